"""An application of 2019, as it is: tokens, rows of connections, and a web server that sends (check 50)."""

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
import target
from awsgateway import create_credentials
from fanfare import wait_until

sys.path.insert(0, str(target.APPS))

from seed.ws import rows, tokens  # noqa: E402

SENDER = "import sys, json; from seed.ws.send import send_ws; send_ws(sys.argv[1], json.loads(sys.argv[2]))"


@pytest.fixture(scope="module")
def gateway(gateways):
    return gateways("seed.yml")


@pytest.fixture(autouse=True)
def rows_file(gateway, monkeypatch):
    """The rows that the functions keep; the web server's are the same."""
    monkeypatch.setenv("ROWS_FILE", f"{gateway.records_path}.rows")
    monkeypatch.setenv("JWT_SECRET", "a secret")


@contextmanager
def page(gateway, token, attempts=1):
    """The page's client: what it says, line by line."""
    command = ["node", str(target.APPS / "seed" / "client.mjs"), gateway.url(token), str(attempts)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line.strip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


def keys_of(gateway):
    """What the web server is given: keys, a region, and whom to trust."""
    if target.target() != "fanfare":
        return {**target.KEYS, "WS_ENDPOINT": gateway.endpoint}
    made = create_credentials(f"web-{target.case()}", gateway.server.data, "--policy", "manage-connections")
    return {**made, "AWS_DEFAULT_REGION": "us-east-1", "AWS_CA_BUNDLE": str(gateway.ca)}


def send_ws(gateway, user, message):
    """As the web server does: outside of the gateway, with its own keys."""
    command = [sys.executable, "-c", SENDER, user, json.dumps(message)]
    env = {**os.environ, **keys_of(gateway)}
    done = subprocess.run(command, cwd=target.APPS, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_c50_delivered(gateway):
    """C50: an application of 2019 runs as it is: a token connects, and what its web server sends arrives."""
    with page(gateway, tokens.mint("ada")) as lines, page(gateway, tokens.mint("ada")) as others:
        assert lines.get(timeout=20) == others.get(timeout=20) == "open"
        wait_until(lambda: len(rows.of("ada")) == 2, "two rows")
        send_ws(gateway, "ada", {"text": "hello"})
        for one in (lines, others):
            assert json.loads(one.get(timeout=20).removeprefix("message ")) == {"text": "hello"}
    wait_until(lambda: rows.of("ada") == [], "$disconnect", 20)


def test_c50_refused(gateway):
    """C50: it refuses who has no token, however often the page tries."""
    with page(gateway, "forged.token.x", attempts=40) as lines:
        seen = [lines.get(timeout=30) for _ in range(80)]
    told = {line for line in seen if line.startswith("error")}
    # Those who come back at once are turned away with 429 at some point.
    assert "error Unexpected server response: 403" in told
    assert told <= {f"error Unexpected server response: {status}" for status in (403, 429)}
    assert "open" not in seen and rows.of("forged") == []


def test_c50_stale_row(gateway):
    """C50: it deletes rows of connections that are gone by its old comparison with 410, on request."""
    with page(gateway, tokens.mint("bob")) as lines:
        assert lines.get(timeout=20) == "open"
        [(_, endpoint)] = wait_until(lambda: rows.of("bob"), "the row")
        rows.put("AbCdEfGhIjKlMnM=", "bob", endpoint)
        send_ws(gateway, "bob", {"text": "still here"})
        assert lines.get(timeout=20) == 'message {"text": "still here"}'
        assert len(rows.of("bob")) == 1
