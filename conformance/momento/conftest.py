"""Momento Topics, judged by Momento's own SDKs: for Node, for browsers (Chromium and jsdom), for Python and for Rust.

    FANFARE=target/release/fanfare pytest conformance/momento              # all of it
    FANFARE=target/release/fanfare pytest conformance/momento -m 'not slow'
    python conformance/momento/checks.py                                   # which test proves which check
    FANFARE=... python conformance/momento/table.py                        # what applications see when something fails

It needs `requirements.txt` and `package.json` of the folder above, Chromium, and cargo: the program in `rust/` is built before
the first test. Tests may run at the same time: `-n 3`.

- A docstring begins with the numbers of its acceptance checks, or `More:`.
- Nothing of the SDKs is changed. They are pointed at the server as docs/momento.md says.
"""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from chromium import Chromium
from clients import Jsdom, Node, Page, Python, Rust, bundle, rust_program
from fanfare import Server
from gateway import CONFIG
from link import Link


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


def pytest_sessionstart(session):
    """What takes minutes the first time is made before the time of a test begins, once for all who run tests."""
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        rust_program()


@pytest.fixture(scope="session")
def server():
    """In development mode, with the cache `websocket`."""
    with Server(config=CONFIG) as server:
        yield server


@pytest.fixture
def topic(request):
    """A topic that no other test uses."""
    return re.sub(r"\W+", "-", request.node.name)


@pytest.fixture
def link(server):
    with Link(server) as link:
        yield link


@pytest.fixture(scope="session")
def node_process():
    with Node() as node:
        yield node


@pytest.fixture
def node(node_process):
    yield node_process
    node_process.ask("reset")


@pytest.fixture
def python():
    """A process of its own for each test: one whose event loop hangs helps no other."""
    with Python() as python:
        yield python


@pytest.fixture
def rust():
    """A process of its own for each test: it counts what the SDK logs."""
    with Rust() as rust:
        yield rust


@pytest.fixture(scope="session")
def chromium():
    with Chromium() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def site():
    """The address of a page with the Web SDK. Its origin is another one than that of the server."""
    script = bundle().read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            kind, body = ("text/javascript", script) if self.path == "/page.js" else ("text/html", b'<script src="/page.js"></script>')
            self.send_response(200)
            self.send_header("content-type", f"{kind}; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["chromium", "jsdom"])
def web(request, site):
    """The Web SDK: each test that asks for it runs in a page of Chromium and in jsdom."""
    made = Jsdom(site) if request.param == "jsdom" else Page(request.getfixturevalue("chromium"), site)
    with made as web:
        yield web


@pytest.fixture(params=["node", "chromium", "python", "rust"])
def sdk(request):
    """Each of the SDKs, one after the other."""
    if request.param != "chromium":
        yield request.getfixturevalue(request.param)
        return
    with Page(request.getfixturevalue("chromium"), request.getfixturevalue("site")) as page:
        yield page
