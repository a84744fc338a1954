"""A web server of the tests' own, which remembers what was posted to it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fanfare import wait_until


class Hooks:
    """Answers every POST with the statuses of `answers`, one after the other, the last one again and again."""

    def __init__(self, answers=(200,)):
        self.seen = []
        answers = list(answers)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in handler.headers.items()}
                self.seen.append((handler.path, headers, body))
                handler.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
                handler.send_header("Content-Length", "2")
                handler.end_headers()
                handler.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count=1):
        """The first `count` requests, once they are there."""
        wait_until(lambda: len(self.seen) >= count, f"{count} requests")
        return self.seen[:count]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
