"""The outside service: serves the page, signs users in, and sends notifications on demand.

It stands for the backend that you have already. Nothing in it knows that there are WebSockets, except that it hands out
the address of one; `send_ws` is a function call that finds the user's browsers.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from notifier import tokens
from notifier.push import send_ws

WEB = Path(__file__).parent / "web"
PAGES = {
    "/": (WEB / "index.html", "text/html; charset=utf-8"),
    "/app.js": (WEB.parent / ".work" / "app.js", "text/javascript; charset=utf-8"),
}
BODY_BYTES_MAX = 64 * 1024


def login(user):
    """For development: asks for no password. Where you sign users in, hand out the address in the same way."""
    return {"url": f"{os.environ['WEBSOCKET_URL']}?token={tokens.mint(user)}"}


def notify(user, text):
    return {"delivered": send_ws(user, {"text": text})}


ACTIONS = {"/login": login, "/notify": notify}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path not in PAGES:
            return self.answer(404, {"error": "not found"})
        path, content_type = PAGES[self.path]
        self.answer(200, path.read_bytes(), content_type)

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, {"error": f"at most {BODY_BYTES_MAX} bytes"})
        body = self.rfile.read(length)
        # Pages of other sites cannot send this type without asking, and nobody answers them.
        if self.path not in ACTIONS or self.headers.get_content_type() != "application/json":
            return self.answer(404, {"error": f"post JSON to one of {', '.join(ACTIONS)}"})
        try:
            self.answer(200, ACTIONS[self.path](**json.loads(body)))
        except (TypeError, ValueError) as error:
            self.answer(400, {"error": str(error)})
        except (BotoCoreError, ClientError) as error:
            self.answer(502, {"error": f"the gateway did not take it: {error}"})

    def answer(self, status, body, content_type="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8090"))), Handler).serve_forever()
