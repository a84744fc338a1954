"""Integrations that are no Lambda proxies: web servers, templates, and nobody; timeouts."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import target
from clients import Python, Refused
from test_messages import frame_of


class Backend:
    """A web server behind the gateway. `answer` is what it says next: status, headers, body."""

    def __init__(self):
        self.answer, self.seen = (200, {}, b"{}"), []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                backend.seen.append((self.command, self.path, headers, body.decode()))
                is_connect = self.path.startswith("/connect") and "status=" not in self.path
                status, more, text = (200, {}, b"") if is_connect else backend.answer
                self.send_response(status)
                for name, value in {**more, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = reply

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def say(self, status, body, **headers):
        self.answer = (status, headers, body.encode())

    def last(self):
        return self.seen[-1]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def backend():
    made = Backend()
    yield made
    made.close()


@pytest.fixture(scope="module")
def gateway(backend):
    with target.start("integrations.yaml", fill={"BACKEND_HOST": backend.host}) as gateway:
        yield gateway


@pytest.fixture
def connected(gateway):
    with Python(gateway.url(None)) as connected:
        yield connected


def ask(connected, **asked):
    connected.send(json.dumps(asked))
    return connected.receive()


def test_connect_by_web_server(gateway, backend):
    """More: a web server decides who may connect, by headers and query of the client, its status and a mapped id."""
    with Python(f"{gateway.ws_url}?room=a%20b", headers={"X-Own": "1", "Cookie": "c=d"}):
        method, path, headers, body = backend.last()
    assert (method, path) == ("POST", "/connect?room=a%20b") or (method, path) == ("POST", "/connect?room=a+b")
    assert (headers["x-own"], headers["cookie"], headers["x-colour"], body) == ("1", "c=d", "green", "")
    assert len(headers["connectionid"]) == 16
    assert not [name for name in headers if name.startswith("sec-websocket") or name in ("upgrade",)]


def test_refused_by_web_server(gateway, backend):
    """More: the refusal of a web server is what the client gets."""
    backend.say(403, "no")
    with pytest.raises(Refused) as refused:
        with Python(f"{gateway.ws_url}?status=403"):
            pass
    assert refused.value.status == 403


def test_proxy(connected, backend):
    """More: messages go to a web server as they are, with mapped paths, queries and headers, and its answer comes back."""
    backend.say(200, "from the backend")
    message = {"action": "proxy", "room": "blue"}
    assert ask(connected, **message) == "from the backend"
    method, path, headers, body = backend.last()
    assert (method, json.loads(body), headers["x-fixed"]) == ("PUT", message, "a fixed text")
    assert path.startswith("/proxy/blue?user=")


def test_proxy_errors(connected, backend):
    """More: what a web server says with 500 comes back as well."""
    backend.say(500, "something broke")
    assert ask(connected, action="proxy", room="blue") == "something broke"


def test_request_template(connected, backend):
    """More: a template makes the web server's request of a message: loops, conditions, paths, context and variables."""
    backend.say(200, '{"answer": [1, 2]}')
    items = [{"name": 'a "quoted" name'}, {"name": "second"}]
    assert json.loads(ask(connected, action="http", kind="list", items=items)) == {"good": [1, 2]}
    sent = json.loads(backend.last()[3])
    assert len(sent.pop("from")) == 16
    assert sent == {"route": "http", "names": ['a "quoted" name', "second"], "count": 2, "colour": "green"}


def test_template_choice(connected, backend):
    """More: an expression over the message chooses the template."""
    backend.say(200, '{"answer": "x"}')
    message = {"action": "http", "kind": "whole", "n": 1}
    assert json.loads(ask(connected, **message)) == {"good": "x"}
    assert json.loads(backend.last()[3]) == message


def test_response_by_status(connected, backend):
    """More: the status chooses the template of the answer, by regular expression."""
    backend.say(404, '{"answer": "nothing there"}')
    assert json.loads(ask(connected, action="http", kind="whole")) == {"bad": "nothing there"}


def test_no_template(connected, backend):
    """More: a message for which there is no template is refused where nothing may pass through."""
    before = len(backend.seen)
    assert frame_of(ask(connected, action="http", kind="other"))[0] == "Unsupported Media Type"
    assert len(backend.seen) == before


def test_function_with_templates(connected):
    """More: a function between templates is given what one makes, and its result goes through another."""
    given = json.loads(ask(connected, action="lambda", ask={"a": [1]}))["given"]
    assert given["asked"] == {"a": [1]} and len(given["by"]) == 16


def test_function_error_with_templates(connected):
    """More: the message of an error chooses the template of the answer."""
    assert json.loads(ask(connected, action="lambda", ask="fail")) == {"sorry": "as asked"}


def test_mock(gateways):
    """More: a mock integration answers by its templates alone."""
    with Python(gateways("models.yaml").url(None)) as connected:
        told = json.loads(ask(connected, action="mock"))
        assert len(told["you"]) == 16 and told["route"] == "mock"


def test_timeout(gateways):
    """More: an integration that takes longer than it may is told in an error frame."""
    with Python(gateways("models.yaml").url(None)) as connected:
        assert frame_of(ask(connected, action="slow", ms=3_000, text="x"))[0] == "Endpoint request timed out"
        assert ask(connected, action="slow", ms=0, text="y") == "slow y"


def test_stage_variables_of_template(gateways):
    """More: stage variables of a template are in events."""
    gateway = gateways("models.yaml")
    with Python(gateway.url(None)) as connected:
        good = {"action": "order", "kind": "paid", "address": "a", "case": target.case()}
        ask(connected, **good)
        [record] = [one for one in gateway.records("echo") if good["case"] in one["event"]["body"]]
        assert record["event"]["stageVariables"] == {"colour": "green"}
