"""MQTT 5 and the native door over the same topics, with clients that know one of them: what a message is survives."""

import base64
import json
import time

import pytest
from commands import run
from pm import connected
from wire import Client

PAIRS = [("zeta", "1"), ("alpha", "2"), ("zeta", "3"), ("\N{SNOWMAN}", "")]
CORRELATION = bytes(range(256))


@pytest.fixture
def native(server):
    with Client(server) as client:
        yield client


@pytest.fixture
def mqtt(port):
    with connected(port) as client:
        yield client


def curl(server, query, body, *more):
    """Publishes by curl; the position."""
    command = ["curl", "-sS", "--fail-with-body", *more, "--data-binary", "@-", f"{server.url}/v1/publish{query}"]
    return json.loads(run(*command, input=body))["position"]


def test_properties_from_mqtt(server, mqtt, native, topic):
    """What an MQTT 5 publisher says of its message is heard over WebSocket and found in the history."""
    # proves: v5 MQTT-3.3.2-17 MQTT-3.3.2-18
    native.subscribe(topic)
    mqtt.publish(topic, b"\x00\xff", 1, UserProperty=PAIRS, ContentType="image/png", ResponseTopic="answers/1",
                 CorrelationData=CORRELATION, PayloadFormatIndicator=0, MessageExpiryInterval=100)
    [live] = native.take(1)
    [kept] = native.ask("history", topic=topic)["messages"]
    for message in (live, kept):
        assert base64.b64decode(message["base64"]) == b"\x00\xff"
        headers = message["headers"]
        assert (headers["content_type"], headers["response_topic"], headers["utf8"]) == ("image/png", "answers/1", False)
        assert base64.b64decode(headers["correlation_data"]) == CORRELATION
        assert [tuple(pair) for pair in headers["properties"]] == PAIRS
        assert list(message["properties"].items()) == [("alpha", "2"), ("zeta", "3"), ("\N{SNOWMAN}", "")]
        assert message["time"] + 99_000 <= message["expires_at"] <= message["time"] + 100_000


def test_properties_to_mqtt(server, mqtt, native, topic):
    """What is said over WebSocket and by curl is heard by an MQTT 5 subscriber, the expiry as what is left of it."""
    # proves: v5 MQTT-3.3.2-6 MQTT-3.3.2-15 MQTT-3.3.2-16 MQTT-3.3.2-18 MQTT-3.3.2-20
    mqtt.subscribe((topic, 2))
    headers = {"content_type": "image/png", "response_topic": "answers/1", "utf8": False}
    headers["correlation_data"] = base64.b64encode(CORRELATION).decode()
    plain = {"topic": topic, "base64": "AP8=", "ttl_ms": 60_000}
    ordered = {**plain, "headers": headers, "properties": {"z": "1", "a": "2", "m": "3"}}
    repeated = {**plain, "headers": {**headers, "properties": PAIRS}}
    for fields, pairs in ((ordered, [("z", "1"), ("a", "2"), ("m", "3")]), (repeated, PAIRS)):
        native.ask("publish", **fields)
        curl(server, "", json.dumps(fields).encode())
        for message in mqtt.messages(2):
            said = message.properties
            assert (message.payload, message.retain, message.qos) == (b"\x00\xff", False, 1)
            assert (said.ContentType, said.ResponseTopic, said.CorrelationData) == ("image/png", "answers/1", CORRELATION)
            assert said.PayloadFormatIndicator == 0 and said.UserProperty == pairs
            assert 58 <= said.MessageExpiryInterval <= 60


def test_round_trip(server, mqtt, native, topic):
    """A message that a native client sends on as it came is the same for MQTT."""
    # proves: v5 MQTT-3.3.2-17
    native.subscribe(f"{topic}/in")
    mqtt.subscribe((f"{topic}/out", 1))
    mqtt.publish(f"{topic}/in", b"x", 1, UserProperty=PAIRS, ContentType="text/x; a=b", ResponseTopic="r", CorrelationData=b"")
    [message] = native.take(1)
    native.publish(f"{topic}/out", message["text"], headers=message["headers"])
    [back] = mqtt.messages(1)
    said = back.properties
    assert (back.payload, said.UserProperty, said.ContentType, said.ResponseTopic) == (b"x", PAIRS, "text/x; a=b", "r")
    assert said.CorrelationData == b""


@pytest.mark.parametrize("payload, fields, field", [
    (b"plain \xe2\x98\x83", {}, {"text": "plain \N{SNOWMAN}"}),
    (b'{"a": [1]}', {"ContentType": "application/json"}, {"data": {"a": [1]}}),
    (b"{no json", {"ContentType": "application/json"}, {"text": "{no json"}),
    (b'{"a": [1]}', {}, {"text": '{"a": [1]}'}),
    (b"\xff\x00", {}, {"base64": "/wA="}),
    (b"", {}, {"text": ""}),
])
def test_kinds_from_mqtt(mqtt, native, topic, payload, fields, field):
    """Bytes of MQTT are text, JSON if they say so and are, or bytes."""
    native.subscribe(topic)
    mqtt.publish(topic, payload, 1, **fields)
    [message] = native.take(1)
    assert {name: message[name] for name in ("text", "data", "base64") if name in message} == field


def test_kinds_to_mqtt(server, mqtt, native, topic):
    """Text, JSON and bytes of the native door are the payload as it is; JSON says what it is."""
    mqtt.subscribe((topic, 1))
    native.publish(topic, "t\N{SNOWMAN}")
    native.publish(topic, data={"a": [1, None]})
    native.publish(topic, base64="/wA=")
    curl(server, f"?topic={topic}", b"\xff\x00", "-H", "Content-Type: image/png")
    curl(server, f"?topic={topic}", b'{"b":2}', "-H", "Content-Type: application/json")
    text, first, binary, picture, second = mqtt.messages(5)
    assert (text.payload.decode(), binary.payload, picture.payload) == ("t\N{SNOWMAN}", b"\xff\x00", b"\xff\x00")
    assert (json.loads(first.payload), json.loads(second.payload)) == ({"a": [1, None]}, {"b": 2})
    assert first.properties.ContentType == second.properties.ContentType == "application/json"
    assert picture.properties.ContentType == "image/png"


def test_retained_both_ways(server, port, native, topic):
    """What one door retains the other finds, headers and all; either may clear it."""
    with connected(port) as mqtt:
        mqtt.publish(f"{topic}/m", b"by mqtt", 1, retain=True, ContentType="text/x", UserProperty=PAIRS)
        native.publish(f"{topic}/n", "by native", retain=True, headers={"response_topic": "r"}, properties={"b": "1", "a": "2"})
        with Client(server) as reader:
            reader.subscribe(pattern=f"{topic}/+")
            found = {message["text"]: message for message in reader.take(2)}
            assert all(message["retained"] for message in found.values())
            assert found["by mqtt"]["headers"]["content_type"] == "text/x"
            assert [tuple(pair) for pair in found["by mqtt"]["headers"]["properties"]] == PAIRS
            mqtt.subscribe((f"{topic}/+", 1))
            heard = {message.payload: message for message in mqtt.messages(2)}
            assert all(message.retain for message in heard.values())
            said = heard[b"by native"].properties
            assert (said.ResponseTopic, said.UserProperty) == ("r", [("b", "1"), ("a", "2")])
            # Cleared by the other door; the clearing itself is heard live.
            native.publish(f"{topic}/m", "", retain=True)
            assert [message.payload for message in mqtt.messages(1)] == [b""]
            mqtt.unsubscribe(f"{topic}/+")
            mqtt.publish(f"{topic}/n", b"", 1, retain=True)
            assert reader.texts(2) == ["", ""]
    with connected(port) as later, Client(server) as reader:
        later.subscribe((f"{topic}/+", 1))
        reader.subscribe(pattern=f"{topic}/+")
        native.publish(f"{topic}/mark", "mark")
        assert [message.payload for message in later.messages(1)] == [b"mark"]
        assert reader.texts(1) == ["mark"]


def test_nothing_echoes_twice(server, port, native, topic):
    """Both doors publish and listen at once, over several subscriptions: each message comes once, in one order."""
    with connected(port, f"{topic}-client") as mqtt:
        native.subscribe(topic)
        native.subscribe(pattern=f"{topic}/#")
        mqtt.subscribe((topic, 1), (f"{topic}/#", 2))
        for number in range(20):
            if number % 2:
                mqtt.client.publish(topic, str(number), 1)
            else:
                native.publish(topic, str(number))
        deadline, heard, answered = time.monotonic() + 10, [], 0
        while answered < 10 or len(heard) < 20:
            assert time.monotonic() < deadline
            kind, *rest = mqtt.next()
            heard += [rest[0].payload.decode()] if kind == "message" else []
            answered += kind == "published"
        native.publish(topic, "mark")
        heard += [message.payload.decode() for message in mqtt.messages(1)]
        assert sorted(map(int, heard[:-1])) == list(range(20)) and heard[-1] == "mark"
        assert native.texts(21) == heard
        native.quiet()


def test_an_expired_message_is_told_to_nobody(server, port, native, topic):
    """Time counts at either door: a message over its time is gone from what waits and from what is retained."""
    # proves: v5 MQTT-3.3.2-5
    with connected(port, topic, clean=False, expiry=60) as away:
        away.subscribe((topic, 1))
    native.publish(topic, "short", ttl_ms=300, retain=True)
    native.publish(topic, "long", ttl_ms=60_000)
    time.sleep(0.6)
    with connected(port, topic, clean=False, expiry=60) as back, Client(server) as reader:
        assert [message.payload for message in back.messages(1)] == [b"long"]
        back.silent(0.3)
        reader.subscribe(topic)
        reader.quiet()
        native.publish(topic, "", retain=True)
