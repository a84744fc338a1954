"""The programs of examples/, on free ports."""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from fanfare import wait_until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

EXAMPLES = Path(__file__).parents[2] / "examples"
# What runs functions is made once for all tests, and its packages come from the network.
RUNTIMES = {"FANFARE_RUNTIME__FOLDER": str(Path(__file__).parents[1] / ".work" / "runtimes")}
INSTALL_SECONDS = 300


def connect_patiently(url):
    """A WebSocket connection to what `url()` answers. A runtime that is not there yet shows as a failing function."""

    def attempt():
        try:
            return connect(url())
        except InvalidStatus as refusal:
            if refusal.response.status_code < 500:
                raise
        except TimeoutError:
            pass
        return None

    return wait_until(attempt, "the first connection", INSTALL_SECONDS)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(folder, command, port, env=None):
    """A Python program that serves pages on `port`; its URL."""
    process = subprocess.Popen([sys.executable, *command], cwd=folder, env={**os.environ, **(env or {})})
    try:
        wait_until(lambda: answers(port), f"{command} on port {port}")
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)
