"""What was acknowledged is there after a crash, a full disk and a torn last write."""

import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import requests
from fanfare import Server, binary
from websockets.exceptions import ConnectionClosed
from wire import Client, Refused, texts

KEEP = "[spaces.default.history]\ncount = 1000000\n"


def everything(server, topic):
    """All that is kept of a topic, page by page over HTTP."""
    messages, since = [], "all"
    while True:
        answer = requests.get(
            f"{server.url}/v1/topics/{topic}/history", params={"since": since, "limit": 1_000}, timeout=10
        ).json()
        assert answer["recovered"] is True
        messages += answer["messages"]
        since = answer["position"]
        if not answer["more"]:
            return messages


def offset(position):
    return int(position.split("-")[1])


class Flood:
    """Publishes with up to 200 unanswered messages and notes what was acknowledged."""

    def __init__(self, server, name):
        self.client = Client(server)
        self.name = name
        self.sent = 0
        self.acknowledged = {}
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while True:
                while self.sent - len(self.acknowledged) < 200:
                    self.client.send("publish", id=self.sent, topic="room", text=f"{self.name}-{self.sent}")
                    self.sent += 1
                answer = self.client.read()
                assert answer["type"] == "published", answer
                self.acknowledged[answer["id"]] = answer["position"]
        except (ConnectionClosed, EOFError, OSError):
            pass


def test_nothing_acknowledged_is_missing_after_crashes():
    generator = random.Random()
    promised = {}
    with Server(config=KEEP) as server:
        for round_number in range(5):
            floods = [Flood(server, f"{round_number}-{index}") for index in range(2)]
            deadline = time.monotonic() + 10
            while not all(flood.acknowledged for flood in floods):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(generator.uniform(0, 0.5))
            server.kill()
            for flood in floods:
                flood.thread.join()
                promised.update((f"{flood.name}-{n}", position) for n, position in flood.acknowledged.items())
            server.start()
            kept = everything(server, "room")
            positions = {message["text"]: message["position"] for message in kept}
            assert len(positions) == len(kept), "something is there twice"
            missing = [text for text, position in promised.items() if positions.get(text) != position]
            assert not missing, (round_number, len(missing), missing[:3])
            order = [offset(message["position"]) for message in kept]
            assert order == sorted(set(order))
            for flood in floods:
                numbers = [int(text.rsplit("-", 1)[1]) for text in positions if text.rsplit("-", 1)[0] == flood.name]
                assert numbers == list(range(len(numbers))), "a publisher's order has a hole"
        printed = subprocess.run(
            [binary(), "sub", "room", "--since", "all", "--count", str(len(kept)), "--url", server.url],
            capture_output=True, text=True, timeout=60, check=True,
        )
        assert printed.stdout.splitlines() == texts(kept)


@pytest.fixture
def small_disk():
    # Needs root, or user namespaces around the whole run: `unshare -rm`.
    folder = tempfile.mkdtemp(prefix="fanfare-disk-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder], check=True)
    yield Path(folder)
    subprocess.run(["umount", "-l", folder], check=True)
    os.rmdir(folder)


def fill(folder):
    """Takes what is left of the disk."""
    path = folder / "filler"
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4_096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                pass
    return path


def test_a_full_disk(small_disk):
    data = small_disk / "data"
    with Server(data=data, config=KEEP) as server, Client(server) as client, Client(server) as live:
        live.subscribe("room")
        acknowledged = [client.publish("room", f"before-{number}") and f"before-{number}" for number in range(50)]
        filler = fill(small_disk)
        refused = None
        for number in range(20_000):
            try:
                client.publish("room", f"during-{number}", properties={"fill": "x" * 2_000})
                acknowledged.append(f"during-{number}")
            except Refused as error:
                refused = error.frame
                break
        assert refused and refused["code"] == "storage_unavailable" and refused["retry"] is True, refused
        assert refused["retry_ms"] > 0
        answer = requests.post(f"{server.url}/v1/publish?topic=room", data="over http", timeout=10)
        assert answer.status_code == 503 and answer.json()["code"] == "storage_unavailable"
        assert int(answer.headers["Retry-After"]) >= 1
        ready = requests.get(f"{server.url}/readyz", timeout=10)
        assert ready.status_code == 503 and ready.json()["code"] == "storage_unavailable"
        assert requests.get(f"{server.url}/healthz", timeout=10).status_code == 200
        # What is kept can still be read.
        assert texts(everything(server, "room"))[:50] == acknowledged[:50]

        filler.unlink()
        deadline = time.monotonic() + 30
        while True:
            try:
                client.publish("room", "after")
                acknowledged.append("after")
                break
            except Refused as error:
                assert error.code == "storage_unavailable" and time.monotonic() < deadline
                time.sleep(0.1)
        assert requests.get(f"{server.url}/readyz", timeout=10).status_code == 200
        kept = texts(everything(server, "room"))
        assert [text for text in kept if text in set(acknowledged)] == acknowledged
        server.kill()
        server.start()
        kept = texts(everything(server, "room"))
        assert [text for text in kept if text in set(acknowledged)] == acknowledged
        with Client(server) as again:
            again.publish("room", "and on")


def journals(data):
    return sorted((data / "store").glob("*.jnl"), key=lambda path: int(path.stem))


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_write_is_cut_and_said(cut):
    with Server(config=KEEP) as server:
        with Client(server) as client:
            positions = [client.publish("room", f"{number:03}" * 30)["position"] for number in range(100)]
        server.kill()
        newest = journals(server.data)[-1]
        os.truncate(newest, newest.stat().st_size - cut)
        before = newest.stat().st_size
        server.start()
        [line] = [line for line in server.log().splitlines() if "unfinished last write" in line]
        assert "WARN" in line
        told = int(line.split("bytes=")[1].split()[0])
        assert 0 < told <= before
        assert texts(everything(server, "room")) == [f"{number:03}" * 30 for number in range(99)]
        with Client(server) as client:
            assert client.subscribe("room", since=positions[98])["recovered"] is True
            # Whoever holds the place of what was cut off must not take its number's next holder for it.
            answer = client.subscribe("room", since=positions[99])
            new = client.publish("room", "new")["position"]
            assert new != positions[99] or answer["recovered"] is False
            assert client.texts(1) == ["new"]


def test_garbage_behind_the_last_write_is_cut():
    with Server(config=KEEP) as server:
        with Client(server) as client:
            for number in range(10):
                client.publish("room", str(number))
        server.kill()
        with open(journals(server.data)[-1], "ab") as journal:
            journal.write(bytes(300))
        server.start()
        assert texts(everything(server, "room")) == [str(number) for number in range(10)]


def test_damage_below_acknowledged_writes_is_not_passed_over():
    with Server(config=KEEP) as server:
        with Client(server) as client:
            for number in range(100):
                client.publish("room", f"{number:03}" * 30)
        server.kill()
        journal = journals(server.data)[-1]
        content = bytearray(journal.read_bytes())
        place = content.index(b"050" * 30)
        content[place] ^= 0xFF
        journal.write_bytes(content)
        ended = subprocess.run(
            [binary(), "serve", "--data", str(server.data), "--listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:0"],
            capture_output=True, text=True, timeout=20, cwd=server.folder,
        )
        assert ended.returncode == 1
        assert journal.name in ended.stderr
        assert journal.read_bytes() == content, "nothing is changed"


def test_a_data_folder_has_one_server():
    with Server() as server:
        ended = subprocess.run(
            [binary(), "serve", "--data", str(server.data), "--listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:0"],
            capture_output=True, text=True, timeout=20, cwd=server.folder,
        )
        assert ended.returncode != 0 and str(server.data) in ended.stderr
    shutil.rmtree(server.folder, ignore_errors=True)
