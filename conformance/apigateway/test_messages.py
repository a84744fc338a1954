"""Routes, answers, error frames and limits (checks 18 to 31)."""

import json
import re
import time

import pytest
import target
from clients import Python, Raw, Wscat
from conftest import connecting
from websockets.exceptions import ConnectionClosed

BOTH = pytest.mark.parametrize("gateway", ["serverless.yml", "python.yml"], indirect=True)
FRAME = re.compile(r'\{"message": "([^"]+)", "connectionId":"([A-Za-z0-9_-]{15}=)", "requestId":"([A-Za-z0-9_-]{15}=)"\}')


def frame_of(text):
    """Message, connection and request of an error frame, which is as it should be to the byte."""
    found = FRAME.fullmatch(text)
    assert found, text
    return found.groups()


def error_of(text):
    """Message and connection of an error frame, however it is spaced."""
    told = json.loads(text)
    return told["message"], told["connectionId"]


def is_alone(connected):
    """The next frame is the answer to what is sent now: nothing else came before."""
    for turn in ("1", "2"):
        connected.send(json.dumps({"action": "echo", "turn": turn}))
        assert json.loads(connected.receive().removeprefix("echo "))["turn"] == turn


@BOTH
def test_c18_two_way(gateway, client):
    """C18: a two-way route sends one frame: the body that the handler returned."""
    with client(gateway.url()) as connected:
        connected.send('{"action":"echo","x":1}')
        assert connected.receive() == 'echo {"action":"echo","x":1}'
        is_alone(connected)


@pytest.mark.parametrize("status", [200, 401, 501])
def test_c19_one_way(gateway, connect, client, status):
    """C19: a one-way route sends nothing, whatever the handler returned."""
    with connect(client) as (connected, found):
        connected.send(json.dumps({"action": "quiet", "status": status}))
        gateway.record("quiet", connection=found)
        is_alone(connected)


@BOTH
def test_c20_handler_throws(gateway, client):
    """C20: a handler that throws is told in an error frame, exact to the byte, and the connection goes on."""
    with connecting(gateway)(client) as (connected, found):
        connected.send('{"action":"boom"}')
        text = connected.receive()
        request = gateway.event("boom", connection=found)["requestContext"]["requestId"]
        assert text == f'{{"message": "Internal server error", "connectionId":"{found}", "requestId":"{request}"}}'
        is_alone(connected)


UNROUTED = ["not json", "[1]", '{"action":"nope"}', "{}", '"echo"', "7", "null", '{"action":null}', '{"action":{"a":1}}']


@pytest.mark.parametrize("text", UNROUTED)
def test_c21_default(gateway, connect, client, text):
    """C21: messages without a route, JSON or not, go to `$default`, under that name."""
    with connect(client) as (connected, found):
        connected.send(text)
        event = gateway.event("default", connection=found)
        assert (event["requestContext"]["routeKey"], event["body"]) == ("$default", text)
        is_alone(connected)


@pytest.mark.parametrize("text", UNROUTED)
def test_c22_no_default(gateways, text):
    """C22: without `$default` they are answered with the error frame `Forbidden`, exact to the byte."""
    gateway = gateways("strict.yml")
    with connecting(gateway)(token=None) as (connected, found):
        connected.send(text)
        message, connection, _ = frame_of(connected.receive())
        assert (message, connection) == ("Forbidden", found)
        is_alone(connected)


@pytest.mark.parametrize(
    "body, route",
    [
        ({"service": "chat", "action": "join"}, "chat/join"),
        ({"service": "chat"}, "chat/"),
        ({"service": "chat", "action": "other"}, "$default"),
        ({"action": "join"}, "$default"),
    ],
)
def test_c23_combined_expression(gateways, body, route):
    """C23: route selection expressions may join several members; one that is missing is empty."""
    with Python(gateways("nested.yml").url(None)) as connected:
        connected.send(json.dumps(body))
        assert json.loads(connected.receive())["requestContext"]["routeKey"] == route


@pytest.mark.parametrize(
    "body",
    [
        {"action": "order", "kind": "paid"},
        {"action": "order", "kind": "paid", "address": 5},
        {"action": "order", "kind": "paid", "address": ""},
        {"action": "order", "kind": "paid", "address": "a", "count": 0},
        {"action": "order", "kind": "unknown", "address": "a"},
        {"action": "any", "kind": "unknown"},
    ],
)
def test_c24_model(gateways, body):
    """C24: messages that the model of a route does not allow are `Invalid request body`, and reach no handler."""
    gateway = gateways("models.yaml")
    with Python(gateway.url(None)) as connected:
        connected.send(json.dumps(body))
        message, found, _ = frame_of(connected.receive())
        assert message == "Invalid request body"
        good = json.dumps({**body, "kind": "paid", "address": "a", "count": 1})
        connected.send(good)
        assert connected.receive() == f"echo {good}"
        assert [record["event"]["body"] for record in gateway.records("echo", connection=found)] == [good]


def is_closed_with(connected, code):
    assert connected.ended()[0] == code


def test_c25_large_frame(gateway):
    """C25: a frame of more than 32 KB ends the connection with 1009."""
    with Python(gateway.url()) as connected:
        connected.send("x" * 32_769)
        is_closed_with(connected, 1009)


def test_c25_largest_frame(gateway, connect):
    """C25: a frame of 32 KB does not end it."""
    with connect() as (connected, found):
        connected.send("x" * 32_768)
        assert gateway.event("default", connection=found)["body"] == "x" * 32_768
        is_alone(connected)


def test_c26_fragments(gateway, connect):
    """C26: a fragmented message with an empty last frame arrives as one."""
    with connect() as (connected, found):
        connected.send(["x" * 30_000] * 4)
        assert gateway.event("default", connection=found)["body"] == "x" * 120_000
        is_alone(connected)


def test_c27_large_message(gateway):
    """C27: fragments of more than 128 KB together end the connection with 1009."""
    with Python(gateway.url()) as connected:
        try:
            connected.send(["x" * 32_768] * 4 + ["x"])
        except ConnectionClosed:
            pass
        is_closed_with(connected, 1009)


def test_c27_largest_message(gateway, connect):
    """C27: fragments of 128 KB together arrive."""
    with connect() as (connected, found):
        connected.send(["x" * 32_768] * 4)
        assert len(gateway.event("default", connection=found)["body"]) == 131_072
        is_alone(connected)


def test_c28_binary(gateway):
    """C28: a binary message ends the connection with 1003."""
    with Python(gateway.url()) as connected:
        connected.send(b"\x00")
        is_closed_with(connected, 1003)


def test_c29_idle(gateways):
    """C29: a connection without traffic ends with 1001 `Going away`."""
    begin = time.monotonic()
    with connecting(gateways("short.yml"))() as (connected, _):
        assert connected.ended() == (1001, "Going away")
        assert 1.9 < time.monotonic() - begin < 4.5


def test_c29_idle_event(gateways):
    """C29: `$disconnect` is told 1001 `Going away` of it."""
    gateway = gateways("short.yml")
    with connecting(gateway)() as (connected, found):
        connected.ended()
        context = gateway.event("disconnect", connection=found)["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1001, "Going away")


def test_c30_duration(gateways):
    """C30: every connection ends after its longest time with 1001 `Going away`, busy or not."""
    with connecting(gateways("short.yml"))() as (connected, _):
        begin, answers = time.monotonic(), 0
        try:
            while time.monotonic() - begin < 8:
                connected.send('{"action":"echo"}')
                assert connected.receive().startswith("echo ")
                answers += 1
                time.sleep(0.2)
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (1001, "Going away")
        assert 2.5 < time.monotonic() - begin < 5.5
        assert answers > 5


@pytest.mark.parametrize("payload", [b"", b"are you there", b"x" * 125])
def test_c31_ping(gateway, payload):
    """C31: a ping is answered with the same payload."""
    with Python(gateway.url()) as connected:
        assert connected.socket.ping(payload or None).wait(5)
        is_alone(connected)


def test_c31_ping_within_a_message(gateway):
    """C31: a ping between the fragments of a message is answered at once."""
    with Raw(gateway.host) as raw:
        raw.ask_for_upgrade(gateway.url())
        assert raw.head()[0] == 101
        raw.send_frame(1, b'{"action":', is_final=False)
        raw.send_frame(9, b"now")
        assert raw.frame() == (True, 10, b"now")
        raw.send_frame(0, b'"echo"}')
        assert raw.frame() == (True, 1, b'echo {"action":"echo"}')
