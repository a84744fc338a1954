"""Clients of others, each with the same few words: open, send, receive, close, and how it ended."""

import base64
import fcntl
import os
import pty
import queue
import re
import socket
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

WSCAT = Path(__file__).parents[1] / "node_modules/wscat/bin/wscat"
SECONDS = 10
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Refused(Exception):
    """The upgrade was answered with something else than 101."""

    def __init__(self, status, text="", response=None):
        super().__init__(f"refused with {status}: {text}")
        self.status, self.text, self.response = status, text, response


class Python:
    """The package `websockets`."""

    name = "websockets"

    def __init__(self, url, subprotocols=None, headers=None, user_agent="conformance/1", timeout=20, **options):
        options = {"compression": None, "max_size": None, "ping_interval": None, "proxy": None, **options}
        try:
            self.socket = connect(
                url, subprotocols=subprotocols, additional_headers=headers, user_agent_header=user_agent,
                open_timeout=timeout, legacy=True, **options,
            )
        except InvalidStatus as refused:
            response = refused.response
            raise Refused(response.status_code, (response.body or b"").decode(), response) from refused

    @property
    def subprotocol(self):
        return self.socket.subprotocol

    def send(self, data):
        self.socket.send(data)

    def receive(self, seconds=SECONDS):
        return self.socket.recv(timeout=seconds)

    def ended(self, seconds=SECONDS):
        """Code and reason of the close frame that came; (1006, "") without one."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.socket.recv(timeout=max(0, deadline - time.monotonic()))
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")

    def close(self, *how):
        self.socket.close(*how)

    def kill(self):
        """As a process that dies: no close frame."""
        self.socket.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Wscat:
    """The command line client of `ws`, at a terminal, as people use it."""

    name = "wscat"

    def __init__(self, url, subprotocols=None, headers=None, ca=None, timeout=20):
        command = ["node", str(WSCAT), "--no-color", "--slash", "-c", url]
        command += [word for one in subprotocols or () for word in ("-s", one)]
        command += [word for name, value in (headers or {}).items() for word in ("-H", f"{name}:{value}")]
        command += ["--ca", str(ca)] if ca else []
        terminal, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 30_000, 0, 0))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=other, stderr=other)
        os.close(other)
        self.lines, self.seen = queue.Queue(), []
        self.reader = threading.Thread(target=self._read, args=(terminal,), daemon=True)
        self.reader.start()
        try:
            first = self._line(("Connected", "error: "), timeout)
        except BaseException:
            self.kill()
            raise
        if first.startswith("error: "):
            self.process.stdin.close()
            self.process.wait(SECONDS)
            status = re.search(r"Unexpected server response: (\d+)", first)
            raise Refused(int(status[1]) if status else None, first)

    def _read(self, terminal):
        rest = ""
        while True:
            try:
                data = os.read(terminal, 65_536)
            except OSError:
                break
            if not data:
                break
            *whole, rest = (rest + data.decode(errors="replace")).replace("\r", "\n").split("\n")
            for line in whole:
                self.lines.put(ESCAPES.sub("", line))
        self.lines.put(None)
        os.close(terminal)

    def _line(self, begins, seconds):
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"wscat said nothing like {begins}, only {self.seen}") from None
            if line is None:
                self.lines.put(None)
                raise EOFError(f"wscat ended and said {self.seen}")
            self.seen.append(line)
            if line.startswith(begins):
                return line

    @property
    def pid(self):
        return self.process.pid

    def send(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def receive(self, seconds=SECONDS):
        return self._line(("< ",), seconds)[2:]

    def ended(self, seconds=SECONDS):
        line = self._line(("Disconnected",), seconds)
        code, reason = re.match(r'Disconnected \(code: (\d+), reason: "(.*)"\)', line).groups()
        return int(code), reason

    def close(self, *how):
        """By the end of its input, or with a code and a reason."""
        if self.process.poll() is None:
            if how:
                self.send(" ".join(["/close", *map(str, how)]))
            else:
                self.process.stdin.close()
            self.process.wait(SECONDS)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        if not self.process.stdin.closed:
            self.process.stdin.close()


class Raw:
    """A socket, on which nothing is done that the test does not do."""

    def __init__(self, host, receive_buffer=None):
        name, port = host.rsplit(":", 1)
        self.host = host
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(SECONDS)
        self.socket.connect((name, int(port)))
        self.rest = b""

    def request(self, path, method="GET", body=b"", **headers):
        headers = {"Host": self.host, **({"Content-Length": len(body)} if body else {}), **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def ask_for_upgrade(self, url, **headers):
        parts = urlsplit(url)
        key = base64.b64encode(os.urandom(16)).decode()
        self.request(
            parts.path + (f"?{parts.query}" if parts.query else ""),
            **{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, **headers},
        )

    def head(self, seconds=SECONDS):
        """Status and headers of the answer; what comes behind stays in `rest`."""
        self.socket.settimeout(seconds)
        while b"\r\n\r\n" not in self.rest:
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError(f"the connection ended after {self.rest!r}")
            self.rest += data
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value for name, value in headers.items()}

    def body(self, headers):
        size = int(headers.get("content-length", 0))
        while len(self.rest) < size:
            data = self.socket.recv(65_536)
            if not data:
                break
            self.rest += data
        return self.rest[:size]

    def send_frame(self, opcode, payload=b"", is_final=True, masked=True):
        size, mask = len(payload), os.urandom(4) if masked else b""
        bit = 0x80 if masked else 0
        if size < 126:
            length = bytes([bit | size])
        elif size < 1 << 16:
            length = bytes([bit | 126]) + struct.pack(">H", size)
        else:
            length = bytes([bit | 127]) + struct.pack(">Q", size)
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if masked else payload
        self.socket.sendall(bytes([(0x80 if is_final else 0) | opcode]) + length + mask + data)

    def _take(self, size):
        while len(self.rest) < size:
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError("the connection ended within a frame")
            self.rest += data
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def frame(self, seconds=SECONDS):
        """Final bit, opcode and payload of the next frame."""
        self.socket.settimeout(seconds)
        first, second = self._take(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return bool(first & 0x80), first & 0x0F, self._take(size)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


CLIENTS = {client.name: client for client in (Wscat, Python)}


def management(endpoint, key="AKIDEXAMPLE", secret="a secret", token=None, attempts=1, **options):
    """boto3's client of `@connections`; `attempts=None` leaves its own retries."""
    retries = {} if attempts is None else {"retries": {"total_max_attempts": attempts, "mode": "standard"}}
    return boto3.client(
        "apigatewaymanagementapi", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key,
        aws_secret_access_key=secret, aws_session_token=token, config=Config(**retries), **options,
    )
