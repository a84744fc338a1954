"""A line between SDK and server that can be cut, and that reads along what SDKs ask for."""

import base64
import re
import select
import socket
import struct
import threading
from dataclasses import dataclass

BYTES = 65_536
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA = 0
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Subscribe:
    """A Subscribe as it was sent."""

    cache: str
    topic: str
    resume: int
    page: int


class Link:
    """A TCP proxy to `server`, on a port of its own."""

    def __init__(self, server):
        self.server, self.pairs, self.sent = server, [], []
        self.listener, self.port = None, 0
        self.flows = threading.Event()
        self.flows.set()
        self.restore()

    def restore(self):
        """Takes connections, at the beginning and again after `cut`."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port, self.listener = listener.getsockname()[1], listener
        threading.Thread(target=self._take, args=(listener,), daemon=True).start()

    def reset(self):
        """Ends the connections there are, as a network does: by a reset, on both sides."""
        pairs, self.pairs = self.pairs, []
        for one in (end for pair in pairs for end in pair):
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                # Wakes the thread that forwards, which closes both.
                one.shutdown(socket.SHUT_RD)
            except OSError:
                # It has ended by itself.
                pass

    def cut(self):
        """Ends the connections there are and takes no more until `restore`."""
        listener, self.listener = self.listener, None
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        self.reset()

    def hold(self):
        """Lets nothing through until `release`, without a word to anybody."""
        self.flows.clear()

    def release(self):
        self.flows.set()

    def subscribes(self):
        """Every Subscribe that was sent so far, in the order of connections."""
        return [found for data in self.sent for found in read_subscribes(bytes(data))]

    def close(self):
        self.release()
        if self.listener:
            self.cut()
        self.reset()

    def _take(self, listener):
        while True:
            try:
                inner, _ = listener.accept()
            except OSError:
                if self.listener is not listener:
                    return
                continue
            try:
                outer = socket.create_connection(("127.0.0.1", self.server.port), 5)
            except OSError:
                inner.close()
                continue
            data = bytearray()
            self.sent.append(data)
            self.pairs.append((inner, outer))
            threading.Thread(target=forward, args=(inner, outer, data, self.flows), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def forward(inner, outer, record, flows):
    """Both ways, until one of them ends. Nothing is taken while `flows` is not set."""
    for one in (inner, outer):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while True:
            ready, _, _ = select.select([inner, outer], [], [])
            for one in ready:
                flows.wait()
                data = one.recv(BYTES)
                if not data:
                    return
                if one is inner:
                    record += data
                (outer if one is inner else inner).sendall(data)
    except (OSError, ValueError):
        # Cut from outside.
        return
    finally:
        inner.close()
        outer.close()


def read_subscribes(sent):
    """The Subscribes in what one connection sent: HTTP/2 with gRPC, or HTTP/1.1 with base64."""
    bodies = messages_of_http2(sent) if sent.startswith(PREFACE) else messages_of_http1(sent)
    return [found for body in bodies if (found := read_subscribe(body))]


def messages_of_http2(sent):
    """The gRPC messages in DATA frames. SDKs put a small message into one frame."""
    at = len(PREFACE)
    while at + 9 <= len(sent):
        size, kind = int.from_bytes(sent[at : at + 3], "big"), sent[at + 3]
        payload = sent[at + 9 : at + 9 + size]
        if kind == DATA and len(payload) > 5:
            yield payload[5:]
        at += 9 + size


def messages_of_http1(sent):
    request = rb"POST /cache_client\.pubsub\.Pubsub/Subscribe .*?\r\n\r\n([A-Za-z0-9+/]+=*)"
    for body in re.findall(request, sent, re.DOTALL):
        yield base64.b64decode(body)[5:]


def read_subscribe(message):
    """`None` where it is another message: what Publish has in field 3 is a message, not a number."""
    fields, at = {}, 0
    try:
        while at < len(message):
            tag, at = varint(message, at)
            value, at = varint(message, at)
            if tag & 7 == 2:
                value, at = message[at : at + value], at + value
            elif tag & 7 != 0:
                return None
            fields[tag >> 3] = value
    except IndexError:
        return None
    names = fields.get(1), fields.get(2)
    numbers = fields.get(3, 0), fields.get(4, 0)
    if not all(isinstance(name, bytes) for name in names) or not all(isinstance(number, int) for number in numbers):
        return None
    return Subscribe(names[0].decode(), names[1].decode(), *numbers)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
