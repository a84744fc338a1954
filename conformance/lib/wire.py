"""The native protocol as docs/protocol.md has it, over the `websockets` package."""

import json
import time
from collections import deque
from itertools import count

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ANSWER_SECONDS = 10


class Refused(Exception):
    """An `error` frame."""

    def __init__(self, frame):
        super().__init__(f"{frame['code']}: {frame['message']}")
        self.frame = frame
        self.code = frame["code"]


class Client:
    """A connection. Frames that a request finds before its answer wait in `waiting`, in order."""

    def __init__(self, server, token=None, resume=None, path="/v1/connect", hello=True, **options):
        options = {"compression": None, "max_size": None, "ping_interval": None, "proxy": None, **options}
        self.socket = connect(server.ws_url + path, legacy=True, **options)
        self.waiting = deque()
        self.ids = count(1)
        self.welcome = self.connect(token, resume) if hello else None

    def connect(self, token=None, resume=None):
        fields = {name: value for name, value in (("token", token), ("resume", resume)) if value is not None}
        return self.ask("connect", **fields)

    def send(self, kind, **fields):
        self.socket.send(json.dumps({"type": kind, **fields}))

    def read(self, seconds=ANSWER_SECONDS):
        """The next frame from the wire, past those that wait."""
        return json.loads(self.socket.recv(timeout=seconds))

    def next(self, seconds=ANSWER_SECONDS):
        return self.waiting.popleft() if self.waiting else self.read(seconds)

    def answer(self, number, seconds=ANSWER_SECONDS):
        deadline = time.monotonic() + seconds
        while True:
            frame = self.read(max(0, deadline - time.monotonic()))
            if frame.get("id") == number:
                break
            self.waiting.append(frame)
        if frame["type"] == "error":
            raise Refused(frame)
        return frame

    def ask(self, kind, **fields):
        number = next(self.ids)
        self.send(kind, id=number, **fields)
        return self.answer(number)

    def subscribe(self, topic=None, **fields):
        if topic is not None:
            fields["topic"] = topic
        return self.ask("subscribe", **fields)

    def publish(self, topic, text=None, **fields):
        if text is not None:
            fields["text"] = text
        return self.ask("publish", topic=topic, **fields)

    def take(self, number, kind="message", seconds=ANSWER_SECONDS):
        """The next `number` frames, all of which are of one type."""
        frames = [self.next(seconds) for _ in range(number)]
        assert all(frame["type"] == kind for frame in frames), [f for f in frames if f["type"] != kind][:3]
        return frames

    def texts(self, number, seconds=ANSWER_SECONDS):
        return [frame["text"] for frame in self.take(number, seconds=seconds)]

    def quiet(self):
        """That the server has nothing more to say: it answers in order, so nothing comes before the pong."""
        self.ask("ping")
        assert not self.waiting, list(self.waiting)[:3]

    def ending(self, seconds=ANSWER_SECONDS):
        """Reads to the end: the last frame, and the close code."""
        last = self.waiting[-1] if self.waiting else None
        deadline = time.monotonic() + seconds
        try:
            while True:
                last = self.read(max(0, deadline - time.monotonic()))
        except ConnectionClosed as closed:
            return last, closed.rcvd.code if closed.rcvd else None

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def refusal(ask, *args, **fields):
    """The `error` frame that a request is answered with."""
    try:
        answer = ask(*args, **fields)
    except Refused as refused:
        return refused.frame
    raise AssertionError(f"not refused: {answer}")


def texts(messages):
    return [message["text"] for message in messages]
