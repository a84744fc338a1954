"""The least that can run a function: a Runtime API for one process, in one thread, with nothing around it.

It starts the very command that a Fanfare was seen to start, with the same variables and in the same folder, and so says
what of a call's time is the runtime's own.
"""

import json
import os
import pathlib
import selectors
import socket
import subprocess
import time

SECONDS_MAX = 60
REQUEST_CONTEXT = {
    "routeKey": "python", "messageId": "Qx1bbcDeFgHcIjI=", "eventType": "MESSAGE",
    "extendedRequestId": "Qx1aaBcDeFgHiJk=",
    "requestTime": "07/Feb/2025:09:05:03 +0000", "messageDirection": "IN", "stage": "dev", "connectedAt": 1738919103001,
    "requestTimeEpoch": 1738919103002, "identity": {"sourceIp": "127.0.0.1"}, "requestId": "Qx1aaBcDeFgHiJk=",
    "domainName": "127.0.0.1:8080", "connectionId": "Qx1aadEfGhIcJkI=", "apiId": "wsapi12345",
}
EVENT = {"requestContext": REQUEST_CONTEXT, "body": '{"action":"python"}', "isBase64Encoded": False}


class Command:
    """How a process was started."""

    def __init__(self, pid):
        folder = pathlib.Path(f"/proc/{pid}")
        self.words = folder.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        pairs = folder.joinpath("environ").read_bytes().rstrip(b"\0").split(b"\0")
        self.environment = dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)
        self.folder = folder.joinpath("cwd").readlink()

    @property
    def function(self):
        return self.environment.get(b"AWS_LAMBDA_FUNCTION_NAME", b"").decode()


class BareRuntime:
    """One process and its Runtime API. `started` and `ready` are on the monotonic clock, in ns."""

    def __init__(self, command, cores):
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.buffers, self.waiting, self.answer, self.calls = {}, None, None, 0
        address = "{}:{}".format(*self.listener.getsockname()).encode()
        environment = {**command.environment, b"AWS_LAMBDA_RUNTIME_API": address}
        # What is started inherits the core; taskset would add a program to the start.
        own_cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        self.started = time.monotonic_ns()
        self.process = subprocess.Popen(
            command.words, env=environment, cwd=command.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        os.sched_setaffinity(0, own_cores)
        try:
            self.pump(lambda: self.waiting)
        except BaseException:
            self.close()
            raise
        self.ready = time.monotonic_ns()

    def invoke(self, event=EVENT):
        """When the call was handed out and when the answer was there, in ns, and the answer's body."""
        self.pump(lambda: self.waiting)
        self.calls += 1
        body = json.dumps(event).encode()
        head = [
            "HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}",
            f"Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-{self.calls:012}",
            f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1000) + 60_000}",
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:local:000000000000:function:bare",
            "Lambda-Runtime-Trace-Id: Root=1-67ab0001-0123456789abcdef01234567;Sampled=0", "", "",
        ]
        peer, self.waiting, self.answer = self.waiting, None, None
        begun = time.monotonic_ns()
        peer.sendall("\r\n".join(head).encode() + body)
        self.pump(lambda: self.answer)
        at, answer = self.answer
        return begun, at, json.loads(json.loads(answer)["body"])

    def pump(self, is_done):
        deadline = time.monotonic() + SECONDS_MAX
        while not is_done():
            for key, _ in self.selector.select(0.5):
                self.accept() if key.fileobj is self.listener else self.read(key.fileobj)
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"the runtime did not answer: {self.process.args}")

    def accept(self):
        peer, _ = self.listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffers[peer] = bytearray()
        self.selector.register(peer, selectors.EVENT_READ)

    def read(self, peer):
        data = peer.recv(65_536)
        if not data:
            self.selector.unregister(peer)
            del self.buffers[peer]
            return peer.close()
        buffer = self.buffers[peer]
        buffer += data
        head, separator, rest = bytes(buffer).partition(b"\r\n\r\n")
        body = body_of(head.lower(), rest) if separator else None
        if body is not None:
            # A client sends nothing before it has the answer.
            buffer.clear()
            self.request(peer, head.split(b" ", 2)[1], body)

    def request(self, peer, path, body):
        if path.endswith(b"/next"):
            self.waiting = peer
            return
        if path.endswith(b"/response"):
            self.answer = time.monotonic_ns(), body
        elif path.endswith(b"/error"):
            raise SystemExit(f"the function failed: {body.decode()}")
        peer.sendall(b'HTTP/1.1 202 Accepted\r\nContent-Length: 16\r\n\r\n{"status": "OK"}')

    def close(self):
        self.process.kill()
        self.process.wait()
        for peer in [*self.buffers, self.listener]:
            peer.close()
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def body_of(head, rest):
    """The body behind a head in lower case, or None while it is not whole."""
    if b"\r\ntransfer-encoding: chunked" in head:
        body = b""
        while True:
            size, separator, after = rest.partition(b"\r\n")
            length = int(size, 16) if separator else -1
            if length < 0 or len(after) < length + 2:
                return None
            if length == 0:
                return body
            body, rest = body + after[:length], after[length + 2 :]
    length = int(head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0]) if b"\r\ncontent-length:" in head else 0
    return rest[:length] if len(rest) >= length else None
