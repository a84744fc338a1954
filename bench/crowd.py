"""Many WebSocket clients in one thread, and HTTP requests over connections that are kept open."""

import os
import select
import socket
import time

# Clients must mask what they send; with zeros it stays as it is.
MASK = bytes(4)
READ_BYTES = 64 * 1024


def upgrade(port, path):
    """The request with which a client connects."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(text):
    """A client's text message of at most 125 bytes."""
    return bytes([0x81, 0x80 | len(text)]) + MASK + text


def take_frame(buffer):
    """The payload of the text message that `buffer` begins with, which is taken out; None while it is not whole."""
    if len(buffer) < 2 or (buffer[1] == 126 and len(buffer) < 4):
        return None
    if buffer[0] != 0x81 or buffer[1] > 126:
        raise SystemExit(f"not a short text message: {bytes(buffer[:200])}")
    begin = 4 if buffer[1] == 126 else 2
    end = begin + (int.from_bytes(buffer[2:4], "big") if begin == 4 else buffer[1])
    if len(buffer) < end:
        return None
    payload = bytes(buffer[begin:end])
    del buffer[:end]
    return payload


class Loop:
    """Calls back whoever owns a socket that can be read. `heard` counts the messages of all clients."""

    def __init__(self):
        self.epoll = select.epoll()
        self.owners, self.heard = {}, 0

    def add(self, owner):
        self.owners[owner.socket.fileno()] = owner
        self.epoll.register(owner.socket.fileno(), select.EPOLLIN)

    def remove(self, owner):
        del self.owners[owner.socket.fileno()]
        owner.socket.close()

    def run(self, is_done, seconds, what):
        """Until `is_done`, or to the end of the program if that takes more than `seconds`."""
        deadline = time.monotonic() + seconds
        while not is_done():
            for number, _ in self.epoll.poll(0.5):
                self.owners[number].readable()
            if time.monotonic() > deadline:
                raise SystemExit(f"{what}: not within {seconds} s")

    def close(self):
        for owner in self.owners.values():
            owner.socket.close()
        self.owners.clear()
        self.epoll.close()


class Peer:
    """One end of a TCP connection. `take` says what to make of the bytes that came."""

    def __init__(self, port, loop):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        loop.add(self)

    def readable(self):
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise SystemExit(f"the server closed a connection after {bytes(self.buffer[:300])}")
        self.buffer += data
        self.take()


class Client(Peer):
    """A WebSocket client. `heard` has its messages, and `at` is when the last one came, on the monotonic clock in ns."""

    def __init__(self, port, path, loop):
        super().__init__(port, loop)
        self.loop, self.is_open, self.heard, self.at = loop, False, [], 0
        self.socket.sendall(upgrade(port, path))

    def take(self):
        if not self.is_open:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self.buffer.startswith(b"HTTP/1.1 101 "):
                raise SystemExit(f"the server refused: {bytes(self.buffer[:500])}")
            del self.buffer[: end + 4]
            self.is_open = True
        while (payload := take_frame(self.buffer)) is not None:
            self.at = time.monotonic_ns()
            self.heard.append(payload)
            self.loop.heard += 1

    def say(self, text):
        self.heard.clear()
        self.socket.sendall(frame(text))


class Poster(Peer):
    """Sends its requests one after the other over one connection, and expects success of each."""

    def __init__(self, port, requests, loop):
        super().__init__(port, loop)
        self.requests = iter(requests)
        self.is_done = False

    def begin(self):
        request = next(self.requests, None)
        self.is_done = request is None
        if request:
            self.socket.sendall(request)

    def take(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        length = head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0] if b"\r\ncontent-length:" in head else 0
        if len(self.buffer) < end + 4 + int(length):
            return
        if not head.startswith(b"http/1.1 2"):
            raise SystemExit(f"not sent: {bytes(self.buffer[:500])}")
        del self.buffer[: end + 4 + int(length)]
        self.begin()


def open_clients(port, path, count, loop, at_once=8):
    """`count` clients that are connected; `at_once` of them are on their way at a time."""
    clients, opened = [], 0
    while opened < count:
        clients += [Client(port, path, loop) for _ in range(min(at_once, count - opened))]
        fresh = clients[opened:]
        loop.run(lambda: all(client.is_open for client in fresh), 30, "connections")
        opened = len(clients)
    return clients


def children_of(pid):
    """Process ids of everything that `pid` has started, directly or not."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:
                parents.setdefault(int(stat.read().rsplit(")", 1)[1].split()[1]), []).append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    found, queue = [], [pid]
    while queue:
        own = parents.get(queue.pop(), [])
        found += own
        queue += own
    return found
