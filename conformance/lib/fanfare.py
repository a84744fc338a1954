"""Runs the binary named by FANFARE on free ports with its own folder, and ends it."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 20


def binary():
    path = os.environ.get("FANFARE")
    if not path:
        raise RuntimeError("FANFARE is to name the binary to try")
    return str(Path(path).resolve())


def wait_until(condition, what, seconds=10):
    """Returns the first true answer of `condition`, asked until the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


class Server:
    """A running Fanfare.

    `data` is the folder of its data (a fresh one when absent), `config` the text of a
    fanfare.toml, `args` more arguments, `env` more variables, `start_seconds` how long it may take
    until it listens. Addresses are chosen by the system at the first start and kept by `restart`.
    """

    def __init__(self, data=None, config=None, args=(), env=None, start_seconds=START_SECONDS):
        self.folder = Path(tempfile.mkdtemp(prefix="fanfare-"))
        self.data = Path(data) if data else self.folder / "data"
        self.log_path = self.folder / "log"
        self.args = list(args)
        self.start_seconds = start_seconds
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("FANFARE")}
        self.env.update(env or {})
        self.config = None
        if config is not None:
            self.config = self.folder / "fanfare.toml"
            self.config.write_text(config)
        self.port = 0
        self.mqtt_port = 0
        self.process = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self):
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self):
        command = [binary(), "serve", "--data", str(self.data)]
        command += ["--listen", f"127.0.0.1:{self.port}", "--mqtt-listen", f"127.0.0.1:{self.mqtt_port}"]
        if self.config:
            command += ["--config", str(self.config)]
        begin = len(self.log())
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command + self.args, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd=self.folder
            )
        try:
            wait_until(lambda: self._is_up(begin), "the server's start", self.start_seconds)
        except BaseException:
            self.close(failed=True)
            raise
        return self

    def _is_up(self, begin):
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with {self.process.returncode}")
        line = re.search(r" listens on 127\.0\.0\.1:(\d+), 127\.0\.0\.1:(\d+)\n", self.log()[begin:])
        if not line:
            return False
        self.port, self.mqtt_port = int(line[1]), int(line[2])
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def metric(self, name):
        """The sum of a metric over its labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(re.escape(name) + r"[{ ]", line))

    def subscribed(self, action, count=1, seconds=10):
        """Does `action`, which starts clients, and returns its answer once `count` of them have subscribed."""
        before = self.metric("fanfare_operations_total")
        answer = action()
        reached = lambda: self.metric("fanfare_operations_total") >= before + count  # noqa: E731
        wait_until(reached, "the subscriptions", seconds)
        return answer

    def _stop(self, number, seconds):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds=STOP_SECONDS):
        """The exit code, once the process has ended; killed after `seconds`."""
        if not self.process:
            return None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self):
        """As a crash: SIGKILL."""
        return self._stop(signal.SIGKILL, STOP_SECONDS)

    def terminate(self, seconds=STOP_SECONDS):
        """As an orderly stop: SIGTERM, then waits for the end."""
        return self._stop(signal.SIGTERM, seconds)

    def restart(self):
        """Starts again on the same addresses and data; an earlier process that still runs is killed."""
        self.kill()
        return self.start()

    def close(self, failed=False):
        self.kill()
        if failed:
            print(f"--- log of the server in {self.folder}\n{self.log()}---")
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # Printed for pytest to show where a test failed; it shows nothing of those that pass.
        self.close(failed=kind is not None)
