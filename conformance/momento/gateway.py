"""Fanfare as tests of this folder need it: its configuration, keys, and those who publish and listen without an SDK."""

import json
import os
import subprocess
from itertools import count

from clients import unwrapped
from commands import run
from fanfare import binary

CACHE = "websocket"
CONFIG = f'[momento]\ncaches = ["{CACHE}"]\n'
# Names of keys are unique in a data folder; each process of a test run has its own.
NUMBERS = count(os.getpid() * 1_000)


def make_key(server, role, cache=CACHE, topic=None, name=None, *more):
    """A key in the shape in which SDKs take one. By its name it can be revoked."""
    command = [binary(), "key", "create", name or f"key-{next(NUMBERS)}", "--data", server.data, "--role", role]
    given = [("--cache", cache), ("--topic", topic)]
    command += [word for option, value in given if value is not None for word in (option, value)]
    return run(*command, *more).decode().strip()


def revoke(server, name):
    run(binary(), "key", "revoke", name, "--data", server.data)


class Curl:
    """`curl` and the HTTP interface."""

    def __init__(self, server, key=None):
        self.server, self.key = server, key and unwrapped(key)

    def call(self, path, *args, seconds=20):
        """Status and body."""
        auth = ["-H", f"authorization: {self.key}"] if self.key else []
        command = ["curl", "-sS", "--globoff", "-w", "\n%{http_code}", "--max-time", str(seconds), *auth, *args, f"{self.server.url}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 5)
        assert done.returncode == 0, done.stderr
        body, status = done.stdout.rsplit("\n", 1)
        return int(status), body

    def publish(self, cache, topic, text, seconds=20):
        """The status: 204 is good."""
        return self.call(f"/topics/{cache}/{topic}", "-X", "POST", "--data", text, seconds=seconds)[0]

    def poll(self, cache, topic, number=0, page=0, seconds=20):
        status, body = self.call(f"/topics/{cache}/{topic}?sequence_number={number}&sequence_page={page}", seconds=seconds)
        assert status == 200, (status, body)
        return json.loads(body)["items"]
