"""rumqttc, driven over JSON lines. The program in rumqttc/ is built by the first test that asks for it."""

import fcntl
import json
import os
import queue
import subprocess
import threading
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 600
WAIT = 20


def scratch():
    """Where tests may leave what the next run can use again."""
    folder = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "conformance"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def program():
    manifest = Path(__file__).parent / "rumqttc" / "Cargo.toml"
    target = scratch() / "rumqttc"
    command = ["cargo", "build", "--quiet", "--locked", "--manifest-path", manifest, "--target-dir", target]
    with open(scratch() / "rumqttc.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr
    return target / "debug" / "rumqttc-driver"


class Rumqttc:
    """One client at a time; `connect` again is a reconnect."""

    def __init__(self, port, client_id, version):
        self.fixed = {"port": port, "id": client_id, "version": version}
        self.events = queue.Queue()
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([program()], stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def do(self, command, **fields):
        self.process.stdin.write(json.dumps({"do": command, **fields}) + "\n")
        self.process.stdin.flush()

    def next(self, seconds=WAIT):
        return self.events.get(timeout=seconds)

    def expect(self, kind, seconds=WAIT):
        event = self.next(seconds)
        assert event["event"] == kind, event
        return event

    def connect(self, **fields):
        self.drop()
        self.do("connect", **self.fixed, **fields)
        self.expect("done")
        return self.expect("connack")

    def drop(self):
        """Closes the socket without a word; what was heard before is forgotten."""
        self.do("drop")
        while self.next()["event"] != "done":
            pass

    def subscribe(self, filter, qos):
        self.do("subscribe", filter=filter, qos=qos)
        return self.expect("suback")

    def publish(self, topic, payload, qos=0, retain=False):
        self.do("publish", topic=topic, payload=payload, qos=qos, retain=retain)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
