"""Options of an API: where the original leaves no choice."""

import json

import pytest
from clients import Python, Raw


@pytest.fixture(scope="module")
def chosen(gateways):
    return gateways("chosen.yml")


def test_binary(chosen):
    """More: on request binary messages reach `$default` in base64."""
    with Python(chosen.url(None)) as connected:
        connected.send(b"\x00\xff")
        event = json.loads(connected.receive())
        assert (event["body"], event["isBase64Encoded"]) == ("AP8=", True)


def test_larger_frames(chosen):
    """More: on request frames may be as large as messages, as common clients send them."""
    with Python(chosen.url(None)) as connected:
        connected.send("x" * 131_072)
        assert len(json.loads(connected.receive())["body"]) == 131_072


def test_ordered(chosen):
    """More: on request messages of one connection are answered in their order."""
    with Python(chosen.url(None)) as connected:
        for text, ms in (("1", 300), ("2", 100), ("3", 0)):
            connected.send(json.dumps({"action": "slow", "ms": ms, "text": text}))
        assert [connected.receive(20) for _ in range(3)] == ["slow 1", "slow 2", "slow 3"]


def test_compression(chosen):
    """More: on request messages are compressed."""
    with Python(chosen.url(None), compression="deflate") as connected:
        assert connected.socket.protocol.extensions
        connected.send("x" * 20_000)
        assert len(json.loads(connected.receive())["body"]) == 20_000


def test_server_pings(chosen):
    """More: on request silent clients are pinged."""
    with Raw(chosen.host) as raw:
        raw.ask_for_upgrade(chosen.url(None))
        assert raw.head()[0] == 101
        _, opcode, payload = raw.frame()
        assert opcode == 9
        raw.send_frame(10, payload)
        assert raw.frame()[1] == 9
