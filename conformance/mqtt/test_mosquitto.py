"""Mosquitto's own clients."""

import base64
import json
import subprocess
from contextlib import ExitStack

import pytest
import requests
from commands import fanfare_pub, fanfare_sub, lines_of, mosquitto_pub, mosquitto_sub, run
from fanfare import Server, binary, wait_until

SECRET = "a secret of thirty-two bytes or more"
KEYS = f"[auth]\nkeys = [{{id = 'main', secret = '{SECRET}'}}]\n"


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture(params=["http", "mqtt"])
def port(server, request):
    """MQTT is heard on the one port of everything and on its own."""
    return server.port if request.param == "http" else server.mqtt_port


class Clients:
    """Makes clients only when the count of subscriptions is taken."""

    def __init__(self, server):
        self.server = server
        self.stack = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        return self.stack.__exit__(*failure)

    def start(self, *makers):
        def act():
            return [self.stack.enter_context(make()) for make in makers]

        return self.server.subscribed(act, len(makers))


def test_between_mosquitto_clients(server, port):
    # proves: v3.1.1 MQTT-7.0.0-2 MQTT-7.1.1-1
    with Clients(server) as clients:
        [reader] = clients.start(lambda: mosquitto_sub(server, "pair", 2, port=port))
        mosquitto_pub(server, "pair", b"one", port=port)
        mosquitto_pub(server, "pair", "zwei \N{SNOWMAN}".encode(), port=port)
        assert lines_of(reader) == ["one", "zwei \N{SNOWMAN}"]


def test_to_and_from_the_command_line(server, port):
    with Clients(server) as clients:
        native, mosquitto = clients.start(
            lambda: fanfare_sub(server, "both", 2), lambda: mosquitto_sub(server, "both", 2, port=port)
        )
        mosquitto_pub(server, "both", b"from mosquitto", port=port)
        fanfare_pub(server, "both", "from fanfare")
        assert lines_of(native) == ["from mosquitto", "from fanfare"]
        assert lines_of(mosquitto) == ["from mosquitto", "from fanfare"]


TOPICS = ["w", "w/a", "w/b", "w/a/x", "w/b/x", "w/a/x/deep", "other"]
MATCHES = {
    "w/+": ["w/a", "w/b"],
    "w/+/x": ["w/a/x", "w/b/x"],
    "w/#": ["w", "w/a", "w/b", "w/a/x", "w/b/x", "w/a/x/deep"],
    "w/a/#": ["w/a", "w/a/x", "w/a/x/deep"],
    "+": ["w", "other"],
    "#": TOPICS,
}


@pytest.mark.parametrize("pattern", MATCHES)
def test_wildcards_both_ways(pattern):
    expected = MATCHES[pattern]
    with Server() as server, Clients(server) as clients:
        # One more than expected: a mark that ends the wait and would come after anything too much.
        end = expected[-1]
        count = 2 * len(expected) + 1
        native, mosquitto = clients.start(
            lambda: fanfare_sub(server, pattern, count, "--json"),
            lambda: mosquitto_sub(server, pattern, count, "-v"),
        )
        for topic in TOPICS:
            mosquitto_pub(server, topic, b"m")
            fanfare_pub(server, topic, "n")
        mosquitto_pub(server, end, b"end")
        wanted = [f"{topic} {payload}" for topic in expected for payload in "mn"] + [f"{end} end"]
        assert lines_of(mosquitto) == wanted
        heard = [json.loads(line) for line in lines_of(native)]
        assert [f"{message['topic']} {message['text']}" for message in heard] == wanted


def test_topics_of_the_server_are_not_published():
    with Server() as server, Clients(server) as clients:
        [reader] = clients.start(lambda: mosquitto_sub(server, "#", 1, "-v"))
        mosquitto_pub(server, "$SYS/mine", b"x", is_counted=False)
        mosquitto_pub(server, "plain", b"x")
        assert lines_of(reader) == ["plain x"]


def test_poll_and_events_hear_mqtt(server, port):
    cursor = requests.get(f"{server.url}/v1/poll?topic=heard&wait=0", timeout=10).json()["cursor"]
    events = requests.get(f"{server.url}/v1/sse?topic=heard", stream=True, timeout=20)
    lines = (line for line in events.iter_lines(chunk_size=1, decode_unicode=True))
    assert next(line for line in lines if line.startswith("event:")) == "event: ready"
    mosquitto_pub(server, "heard", b"over mqtt", port=port)
    poll = requests.get(f"{server.url}/v1/poll?topic=heard&since={cursor}&wait=20", timeout=30).json()
    assert [message["text"] for message in poll["messages"]] == ["over mqtt"]
    assert next(line for line in lines if line == "event: message")
    data = next(line for line in lines if line.startswith("data: "))
    assert json.loads(data.removeprefix("data: "))["text"] == "over mqtt"
    events.close()


def test_curl_publishes_to_mqtt(server, port):
    with Clients(server) as clients:
        [reader] = clients.start(lambda: mosquitto_sub(server, "curled", 1, port=port))
        answer = run("curl", "-sS", "--fail", "-d", "hello", f"{server.url}/v1/publish?topic=curled")
        assert "position" in json.loads(answer)
        assert lines_of(reader) == ["hello"]


def test_json_arrives_as_json_text(server):
    value = {"n": 1, "list": [True, None, "\N{SNOWMAN}"], "text": "a\"b"}
    with Clients(server) as clients:
        [reader] = clients.start(lambda: mosquitto_sub(server, "json", 2))
        fanfare_pub(server, "json", json.dumps(value), "--json")
        body = {"topic": "json", "data": value}
        requests.post(f"{server.url}/v1/publish", json=body, timeout=10).raise_for_status()
        assert [json.loads(line) for line in lines_of(reader)] == [value, value]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000, 500_000])
def test_binary_round_trip(server, size):
    payload = (bytes(range(255, -1, -1)) * (size // 256 + 1))[:size]
    with Clients(server) as clients:
        [reader] = clients.start(lambda: mosquitto_sub(server, f"binary/{size}", 1, "-N"))
        mosquitto_pub(server, f"binary/{size}", payload)
        out, _ = reader.communicate(timeout=20)
        assert out == payload
    history = requests.get(f"{server.url}/v1/topics/binary%2F{size}/history", timeout=10).json()
    [message] = history["messages"]
    if size == 0:
        assert message["text"] == ""
    else:
        assert base64.b64decode(message["base64"]) == payload


def test_retained():
    with Server() as server:
        mosquitto_pub(server, "kept", b"first", "-r")
        mosquitto_pub(server, "kept", b"last", "-r")
        mosquitto_pub(server, "kept", b"passing")
        with mosquitto_sub(server, "kept", 1, "-F", "%r %p") as reader:
            assert lines_of(reader) == ["1 last"]
        with fanfare_sub(server, "kept", 1, "--json") as reader:
            [line] = lines_of(reader)
            message = json.loads(line)
            assert (message["text"], message.get("retained")) == ("last", True)
        # Published natively, heard over MQTT, also after a crash.
        fanfare_pub(server, "kept", "native", "--retain")
        server.restart()
        with mosquitto_sub(server, "kept", 1, "-F", "%r %p") as reader:
            assert lines_of(reader) == ["1 native"]
        # Whoever listens already gets it as any other message.
        with Clients(server) as clients:
            [reader] = clients.start(lambda: mosquitto_sub(server, "live", 1, "-F", "%r %p"))
            mosquitto_pub(server, "live", b"now", "-r")
            assert lines_of(reader) == ["0 now"]
        # An empty one clears.
        mosquitto_pub(server, "kept", b"", "-r")
        with Clients(server) as clients:
            [reader] = clients.start(lambda: mosquitto_sub(server, "kept", 1, "-F", "%r %p"))
            mosquitto_pub(server, "kept", b"after")
            assert lines_of(reader) == ["0 after"]


@pytest.mark.parametrize("quality", [0, 1, 2])
def test_quality_is_granted_as_asked(server, port, quality):
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", "q", "-q", str(quality), "-d", "-E"]
    done = subprocess.run(command, capture_output=True, timeout=20, text=True)
    assert f"Subscribed (mid: 1): {quality}\n" in done.stdout, done


def test_versions(server, port):
    for version in ["mqttv31", "mqttv311", "mqttv5"]:
        with Clients(server) as clients:
            [reader] = clients.start(lambda: mosquitto_sub(server, f"v/{version}", 1, "-V", version, "-q", "2", port=port))
            mosquitto_pub(server, f"v/{version}", b"hello", "-V", version, "-q", "2", port=port)
            assert lines_of(reader) == ["hello"]


def test_tokens():
    with Server(config=KEYS) as server:
        token = lambda *allow: run(  # noqa: E731
            binary(), "token", "--config", server.config, *[part for rule in allow for part in ("--allow", rule)]
        ).decode().strip()
        writer = token("publish:default/room")
        reader = token("subscribe:default/room")
        sub = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(server.mqtt_port), "-W", "10", "-d", "-u", "anybody"]

        def connack(*args):
            done = subprocess.run([*sub, "-E", *args], capture_output=True, timeout=20, text=True)
            return [line for line in done.stdout.splitlines() if "CONNACK" in line or line.startswith("Subscribed")], done

        lines, done = connack("-t", "room", "-P", "wrong")
        assert lines == ["Client (null) received CONNACK (4)"], done
        forged = reader[:-4] + ("AAAA" if reader[-4:] != "AAAA" else "BBBB")
        lines, done = connack("-t", "room", "-P", forged)
        assert lines == ["Client (null) received CONNACK (4)"], done
        lines, done = connack("-t", "room", "-P", reader)
        assert lines == ["Client (null) received CONNACK (0)", "Subscribed (mid: 1): 0"], done
        lines, done = connack("-t", "hall", "-P", reader)
        assert lines[0] == "Client (null) received CONNACK (0)"
        assert lines[1] == "Subscribed (mid: 1): 128", done
        # Without a token, nothing.
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(server.mqtt_port), "-t", "room", "-d", "-W", "10", "-E"]
        done = subprocess.run(command, capture_output=True, timeout=20, text=True)
        assert "Subscribed (mid: 1): 0" not in done.stdout, done
        # Whoever may only write or only read does only that.
        since = {"headers": {"Authorization": f"Bearer {reader}"}, "timeout": 30}
        cursor = requests.get(f"{server.url}/v1/poll?topic=room&wait=0", **since).json()["cursor"]
        mosquitto_pub(server, "room", b"dropped", "-u", "anybody", "-P", reader, is_counted=False)
        mosquitto_pub(server, "room", b"allowed", "-u", "anybody", "-P", writer, is_counted=False)
        poll = requests.get(f"{server.url}/v1/poll?topic=room&since={cursor}&wait=20", **since).json()
        assert [message["text"] for message in poll["messages"]] == ["allowed"]


def test_crash_leaves_what_was_published():
    with Server() as server:
        for number in range(20):
            mosquitto_pub(server, "log", str(number).encode())
        history = f"{server.url}/v1/topics/log/history?limit=100"
        # Nobody is told when a publish of quality of service 0 is on disk; an acknowledged one behind them says that all are.
        assert requests.post(f"{server.url}/v1/publish?topic=log", data="end", timeout=10).status_code == 200
        server.restart()
        texts = [message["text"] for message in requests.get(history, timeout=10).json()["messages"]]
        assert texts == [*(str(number) for number in range(20)), "end"]
