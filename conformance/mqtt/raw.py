"""MQTT by hand: packets of 3.1.1 and 5 as bytes, over TCP and over WebSocket, good ones and bad ones.

It proves what clients of other people cannot be made to do. What the server says is read with deadlines and taken
apart, never judged: that is the tests' part.
"""

import base64
import os
import socket
import struct
import time
from collections import deque

WAIT = 10

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE = range(1, 9)
SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(9, 16)
NAMES = (
    "0 CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP "
    "DISCONNECT AUTH"
).split()

# MQTT 5, 2.2.2.2: byte, two and four bytes, varint, string, data, pair.
KINDS = {
    "payload_format": (0x01, "B"),
    "message_expiry": (0x02, "4"),
    "content_type": (0x03, "S"),
    "response_topic": (0x08, "S"),
    "correlation_data": (0x09, "D"),
    "subscription_id": (0x0B, "V"),
    "session_expiry": (0x11, "4"),
    "assigned_client_id": (0x12, "S"),
    "server_keep_alive": (0x13, "2"),
    "auth_method": (0x15, "S"),
    "auth_data": (0x16, "D"),
    "request_problem": (0x17, "B"),
    "will_delay": (0x18, "4"),
    "request_response": (0x19, "B"),
    "response_information": (0x1A, "S"),
    "server_reference": (0x1C, "S"),
    "reason_string": (0x1F, "S"),
    "receive_maximum": (0x21, "2"),
    "topic_alias_maximum": (0x22, "2"),
    "topic_alias": (0x23, "2"),
    "maximum_qos": (0x24, "B"),
    "retain_available": (0x25, "B"),
    "user": (0x26, "P"),
    "maximum_packet_size": (0x27, "4"),
    "wildcard_available": (0x28, "B"),
    "subscription_ids_available": (0x29, "B"),
    "shared_available": (0x2A, "B"),
}
BY_ID = {number: (name, kind) for name, (number, kind) in KINDS.items()}
NUMBERS = {"B": ">B", "2": ">H", "4": ">I"}
PINGREQ_BYTES = bytes([PINGREQ << 4, 0])


class Closed(Exception):
    """The server has ended the connection; `rest` is what it said that was no whole packet."""

    def __init__(self, rest=b""):
        super().__init__(f"closed by the server after {rest!r}")
        self.rest = rest


def varint(number):
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


def data(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(value)) + value


def one_property(name, value):
    number, kind = KINDS[name]
    if kind in NUMBERS:
        return bytes([number]) + struct.pack(NUMBERS[kind], value)
    if kind == "V":
        return bytes([number]) + varint(value)
    if kind == "P":
        return bytes([number]) + data(value[0]) + data(value[1])
    return bytes([number]) + data(value)


def properties(items):
    """`items`: pairs of name and value, or a dict, or bytes that are taken as they are."""
    if isinstance(items, bytes):
        return varint(len(items)) + items
    pairs = items.items() if isinstance(items, dict) else items
    body = b"".join(one_property(name, value) for name, value in pairs)
    return varint(len(body)) + body


def packet(kind, body=b"", flags=None):
    flags = (2 if kind in (PUBREL, SUBSCRIBE, UNSUBSCRIBE) else 0) if flags is None else flags
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def connect(client_id="", level=5, clean=True, keepalive=0, props=(), will=None, user=None, password=None, flags=0):
    """`will`: a dict of topic, payload, qos, retain and props. `flags` is added to the connect flags."""
    will = will or {}
    flags |= (2 if clean else 0) | (4 if will else 0) | will.get("qos", 0) << 3 | (32 if will.get("retain") else 0)
    flags |= (0 if password is None else 64) | (0 if user is None else 128)
    body = data("MQIsdp" if level == 3 else "MQTT") + struct.pack(">BBH", level, flags, keepalive)
    body += (properties(props) if level >= 5 else b"") + data(client_id)
    if will:
        body += (properties(will.get("props", ())) if level >= 5 else b"") + data(will["topic"])
        body += data(will.get("payload", b"will"))
    body += b"".join(data(value) for value in (user, password) if value is not None)
    return packet(CONNECT, body)


def publish(topic, payload=b"", qos=0, number=None, retain=False, dup=False, props=(), level=5):
    payload = payload.encode() if isinstance(payload, str) else payload
    body = data(topic) + (struct.pack(">H", number) if qos else b"")
    body += (properties(props) if level >= 5 else b"") + payload
    return packet(PUBLISH, body, dup << 3 | qos << 1 | retain)


def acknowledge(kind, number, reason=None, props=None):
    body = struct.pack(">H", number) + (b"" if reason is None else bytes([reason]))
    return packet(kind, body + (b"" if props is None else properties(props)))


def subscribe(number, *filters, props=(), level=5):
    """`filters`: pairs of a filter and its option byte, or filters alone for quality of service 0."""
    pairs = [(entry, 0) if isinstance(entry, (str, bytes)) else entry for entry in filters]
    body = struct.pack(">H", number) + (properties(props) if level >= 5 else b"")
    return packet(SUBSCRIBE, body + b"".join(data(text) + bytes([options]) for text, options in pairs))


def unsubscribe(number, *filters, props=(), level=5):
    body = struct.pack(">H", number) + (properties(props) if level >= 5 else b"")
    return packet(UNSUBSCRIBE, body + b"".join(data(text) for text in filters))


def disconnect(reason=None, props=None):
    body = (b"" if reason is None else bytes([reason])) + (b"" if props is None else properties(props))
    return packet(DISCONNECT, body)


class Reader:
    """Takes a body apart."""

    def __init__(self, body):
        self.body = body
        self.at = 0

    def take(self, count):
        assert self.at + count <= len(self.body), f"the server's packet ends too early: {self.body!r}"
        self.at += count
        return self.body[self.at - count : self.at]

    def number(self, form=">H"):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def data(self):
        return self.take(self.number())

    def properties(self):
        end = self.varint() + self.at
        found = []
        while self.at < end:
            name, kind = BY_ID[self.varint()]
            if kind in NUMBERS:
                value = self.number(NUMBERS[kind])
            elif kind == "V":
                value = self.varint()
            elif kind == "P":
                value = (self.data().decode(), self.data().decode())
            else:
                value = self.data().decode() if kind == "S" else self.data()
            found.append((name, value))
        assert self.at == end, f"properties longer than they say: {self.body!r}"
        return found

    def rest(self):
        return self.take(len(self.body) - self.at)


class Packet:
    """What the server said. Fields that a packet does not have are absent."""

    def __init__(self, first, body, level):
        self.kind, self.flags, self.body, self.level = first >> 4, first & 15, body, level
        self.name = NAMES[self.kind]
        self.properties = []
        reader = Reader(body)
        is_five = level >= 5
        if self.kind == CONNACK:
            self.present, self.reason = reader.take(1)[0], reader.take(1)[0]
            self.properties = reader.properties() if is_five else []
        elif self.kind == PUBLISH:
            self._publish(reader, is_five)
        elif self.kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            self.number = reader.number()
            self._reason(reader)
        elif self.kind in (SUBACK, UNSUBACK):
            self.number = reader.number()
            self.properties = reader.properties() if is_five else []
            self.codes = list(reader.rest())
        elif self.kind in (DISCONNECT, AUTH):
            self._reason(reader)
        assert not reader.rest(), f"bytes too many: {self.body!r}"

    def _reason(self, reader):
        self.reason = reader.take(1)[0] if reader.at < len(self.body) else 0
        self.properties = reader.properties() if reader.at < len(self.body) else []

    def _publish(self, reader, is_five):
        self.qos, self.dup, self.retain = self.flags >> 1 & 3, bool(self.flags & 8), bool(self.flags & 1)
        self.topic = reader.data().decode()
        self.number = reader.number() if self.qos else None
        self.properties = reader.properties() if is_five else []
        self.payload = reader.rest()

    def all(self, name):
        return [value for found, value in self.properties if found == name]

    def get(self, name, default=None):
        values = self.all(name)
        assert len(values) < 2, f"{name} twice: {self}"
        return values[0] if values else default

    @property
    def size(self):
        """On the wire."""
        return 1 + len(varint(len(self.body))) + len(self.body)

    def __repr__(self):
        fields = {name: value for name, value in vars(self).items() if name not in ("kind", "body", "level", "name")}
        return f"{self.name}({fields})"


class Raw:
    """A connection over TCP. `level` is that of the CONNECT to come: how answers are read."""

    def __init__(self, port, level=5):
        self.level = level
        self.buffer = b""
        self.waiting = deque()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, *packets):
        """All in one write."""
        self.socket.settimeout(WAIT)
        self.socket.sendall(b"".join(packets))

    def _receive(self):
        """More bytes; None at the end."""
        return self.socket.recv(65_536) or None

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing more from the server; waiting: {self.buffer!r}")
        self.socket.settimeout(left)
        try:
            part = self._receive()
        except (ConnectionResetError, BrokenPipeError):
            raise Closed(self.buffer) from None
        except TimeoutError:
            raise TimeoutError(f"nothing more from the server; waiting: {self.buffer!r}") from None
        if part is None:
            raise Closed(self.buffer)
        self.buffer += part

    def _cut(self):
        """The first packet, once it is whole."""
        length = shift = 0
        for at in range(1, min(5, len(self.buffer))):
            length |= (self.buffer[at] & 127) << shift
            shift += 7
            if self.buffer[at] < 128:
                end = at + 1 + length
                if len(self.buffer) < end:
                    return None
                whole, self.buffer = self.buffer[:end], self.buffer[end:]
                return Packet(whole[0], whole[at + 1 :], self.level)
        return None

    def read(self, seconds=WAIT):
        """The next packet. `Closed` when the server ended, `TimeoutError` when it said nothing."""
        return self.waiting.popleft() if self.waiting else self._next(seconds)

    def _next(self, seconds):
        deadline = time.monotonic() + seconds
        while (found := self._cut()) is None:
            self._fill(deadline)
        return found

    def answer(self, kind, number, seconds=WAIT):
        """The next packet of a kind with this id. What comes before it waits for `read`."""
        while True:
            found = self._next(seconds)
            if found.kind == kind and found.number == number:
                return found
            self.waiting.append(found)

    def expect(self, kind, seconds=WAIT):
        found = self.read(seconds)
        assert found.kind == kind, f"{NAMES[kind]} expected: {found}"
        return found

    def connect(self, client_id="", seconds=WAIT, **options):
        """Connects, and returns the CONNACK, which says success."""
        self.send(connect(client_id, level=self.level, **options))
        ack = self.expect(CONNACK, seconds)
        assert ack.reason == 0, ack
        return ack

    def subscribe(self, *filters, number=1, props=()):
        """The codes of the SUBACK."""
        self.send(subscribe(number, *filters, props=props, level=self.level))
        return self.answer(SUBACK, number).codes

    def unsubscribe(self, *filters, number=1):
        self.send(unsubscribe(number, *filters, level=self.level))
        return self.answer(UNSUBACK, number).codes

    def publish(self, topic, payload=b"", qos=0, number=1, **options):
        """Publishes, and takes part in the handshake to its end; the reason of the first answer. What else comes in
        between waits for `read`."""
        self.send(publish(topic, payload, qos, number, level=self.level, **options))
        if qos == 0:
            return None
        first = self.answer(PUBACK if qos == 1 else PUBREC, number)
        if qos == 2 and first.reason < 0x80:
            self.send(acknowledge(PUBREL, number))
            self.answer(PUBCOMP, number)
        return first.reason

    def take(self, count, seconds=WAIT):
        """The next `count` messages, each acknowledged to the end before the next is read."""
        found = []
        while len(found) < count:
            message = self.expect(PUBLISH, seconds)
            found.append(message)
            self.finish(message)
        return found

    def finish(self, message):
        if message.qos == 1:
            self.send(acknowledge(PUBACK, message.number))
        elif message.qos == 2:
            self.send(acknowledge(PUBREC, message.number))
            self.answer(PUBREL, message.number)
            self.send(acknowledge(PUBCOMP, message.number))

    def quiet(self):
        """That nothing waits to be said: the answer to a ping comes next."""
        self.send(PINGREQ_BYTES)
        self.expect(PINGRESP)

    def silent(self, seconds):
        """That nothing is said for so long."""
        try:
            found = self.read(seconds)
        except TimeoutError:
            assert not self.buffer, self.buffer
        else:
            raise AssertionError(f"nothing was expected: {found}")

    def ending(self, seconds=WAIT):
        """Everything up to the end of the connection, which must come within `seconds`."""
        deadline = time.monotonic() + seconds
        found = []
        while True:
            try:
                found.append(self.read(max(0.001, deadline - time.monotonic())))
            except Closed as closed:
                assert not closed.rest, f"half a packet at the end: {closed.rest!r}"
                return found

    def refused(self, reason, seconds=2):
        """That the connection ends within `seconds`; at level 5 its last packet, a DISCONNECT, says why."""
        found = self.ending(seconds)
        if self.level < 5:
            assert not [packet for packet in found if packet.kind == DISCONNECT], found
            return found
        reasons = {reason} if isinstance(reason, int) else set(reason)
        assert found and found[-1].kind == DISCONNECT and found[-1].reason in reasons, (reasons, found)
        return found

    def drop(self):
        """Ends the connection without a word."""
        self.socket.close()

    def leave(self, reason=None, props=None):
        """An orderly end: the server has read the DISCONNECT when this returns."""
        self.send(disconnect(reason, props))
        return self.ending()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class RawWebSocket(Raw):
    """The same over WebSocket. Each `send` is one binary frame, unless `frame` is used."""

    def __init__(self, port, level=5, path="/mqtt", protocols="mqtt"):
        super().__init__(port, level)
        self.frames = b""
        self.close_code = None
        self.pongs = []
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}"]
        lines += [f"Sec-WebSocket-Protocol: {protocols}"] if protocols else []
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self.frames:
            part = self.socket.recv(4096)
            if not part:
                raise Closed(self.frames)
            self.frames += part
        head, self.frames = self.frames.split(b"\r\n\r\n", 1)
        first, *rest = head.decode().split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in rest)}

    def send(self, *packets):
        self.frame(BINARY, b"".join(packets))

    def frame(self, opcode, payload=b"", fin=True):
        self.socket.settimeout(WAIT)
        self.socket.sendall(self.framed(opcode, payload, fin))

    @staticmethod
    def framed(opcode, payload=b"", fin=True):
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([(128 if fin else 0) | opcode])
        if size < 126:
            head += bytes([128 | size])
        elif size < 65_536:
            head += bytes([128 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([128 | 127]) + struct.pack(">Q", size)
        return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    def _receive(self):
        """The payload of the next frame; None at the end."""
        while (frame := self._cut_frame()) is None:
            part = self.socket.recv(65_536)
            if not part:
                return None
            self.frames += part
        opcode, payload = frame
        if opcode == CLOSE:
            self.close_code = struct.unpack(">H", payload[:2])[0] if payload else None
            return b""
        if opcode == PONG:
            self.pongs.append(payload)
            return b""
        assert opcode in (0, BINARY), f"opcode {opcode} from the server: {payload!r}"
        return payload

    def _cut_frame(self):
        if len(self.frames) < 2:
            return None
        opcode, size, at = self.frames[0] & 15, self.frames[1], 2
        assert size < 128, "the server masks its frames"
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(self.frames) < at + width:
                return None
            size = int.from_bytes(self.frames[at : at + width], "big")
            at += width
        if len(self.frames) < at + size:
            return None
        payload, self.frames = self.frames[at : at + size], self.frames[at + size :]
        return opcode, payload
