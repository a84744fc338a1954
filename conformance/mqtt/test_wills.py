"""Wills: when they go out, when they do not, and what they carry."""

import time

import pm
import pytest
import raw
from pm import connected, props
from raw import PUBLISH, Raw


@pytest.fixture
def reader(port, topic):
    """Hears everything below the test's topic."""
    with Raw(port) as reader:
        reader.connect()
        reader.subscribe((f"{topic}/#", 2))
        yield reader


def will(topic, payload=b"gone", **options):
    return {"topic": f"{topic}/will", "payload": payload, **options}


def marked(reader, topic):
    """That nothing stands before a mark, published now."""
    reader.send(raw.publish(f"{topic}/mark", b"mark"))
    assert reader.expect(PUBLISH).payload == b"mark"


def since(begin):
    return time.monotonic() - begin


def paho_will(topic, delay):
    return {"topic": f"{topic}/will", "payload": b"gone", "qos": 1, "properties": props("WILLMESSAGE", WillDelayInterval=delay)}


def test_delay(port, topic, reader):
    """C09: a will with a delay of 3 s, in a session of 5 s, goes out 3 to 4 s after the end of the connection."""
    # proves: v5 MQTT-3.1.3-9 MQTT-3.1.2-8
    with connected(port, topic, will=paho_will(topic, 3), expiry=5) as client:
        begin = time.monotonic()
        client.kill()
        assert reader.take(1, seconds=6)[0].payload == b"gone"
        assert 2.8 <= since(begin) <= 4.3


def test_delay_ends_with_the_session(port, topic, reader):
    """C10: a session that ends with its connection does not wait for the will's delay."""
    # proves: v5 MQTT-3.1.3-9 MQTT-3.1.2-8
    with connected(port, topic, will=paho_will(topic, 5), expiry=0) as client:
        client.kill()
        assert reader.take(1, seconds=1)[0].payload == b"gone"


def test_session_shorter_than_the_delay(port, topic, reader):
    """A session that expires before the delay is over sends the will when it expires."""
    # proves: v5 MQTT-3.1.3-9
    with Raw(port) as client:
        client.connect(topic, props={"session_expiry": 1}, will=will(topic, props={"will_delay": 30}))
        begin = time.monotonic()
    assert reader.take(1, seconds=4)[0].payload == b"gone"
    assert 0.8 <= since(begin) <= 2.6


def test_delay_is_cancelled(port, topic, reader):
    """C11: whoever is back within the delay sends no will."""
    # proves: v5 MQTT-3.1.3-9
    with connected(port, topic, will=paho_will(topic, 2), expiry=60) as client:
        client.kill()
        time.sleep(0.7)
        with connected(port, topic, clean=False, expiry=60) as back:
            assert back.connack[0] is True
            time.sleep(2.3)
            marked(reader, topic)


def test_delay_and_take_over(port, topic, reader):
    """A take-over cancels a will that is delayed, and sends one that is not."""
    # proves: v5 MQTT-3.1.3-9 MQTT-3.1.2-8
    kept = {"session_expiry": 60}
    with Raw(port) as first, Raw(port) as second, Raw(port) as third:
        first.connect(topic, props=kept, will=will(topic, b"delayed", props={"will_delay": 1}))
        second.connect(topic, clean=False, props=kept, will=will(topic, b"at once"))
        first.refused(0x8E)
        third.connect(topic, clean=False, props=kept)
        assert reader.take(1, seconds=2)[0].payload == b"at once"
        time.sleep(1.3)
        marked(reader, topic)


def test_delay_and_clean_start(port, topic, reader):
    """A clean start ends the old session, so its will goes out although its delay is not over."""
    # proves: v5 MQTT-3.1.3-9 MQTT-3.1.2-4
    with Raw(port) as first, Raw(port) as second:
        first.connect(topic, props={"session_expiry": 60}, will=will(topic, props={"will_delay": 60}))
        second.connect(topic, clean=True)
        assert reader.take(1, seconds=2)[0].payload == b"gone"
    with Raw(port) as third:
        third.connect(f"{topic}-away", props={"session_expiry": 60}, will=will(topic, b"away", props={"will_delay": 60}))
        third.drop()
        marked(reader, topic)
    with Raw(port) as fourth:
        fourth.connect(f"{topic}-away", clean=True)
        assert reader.take(1, seconds=2)[0].payload == b"away"


def test_disconnect_with_will(port, topic, reader):
    """C12: DISCONNECT 0x04 sends the will, at once where there is no delay."""
    # proves: v5 MQTT-3.1.2-8 MQTT-3.14.4-3
    with connected(port, topic, will=paho_will(topic, 0)) as client:
        client.client.disconnect(reasoncode=pm.reason("DISCONNECT", 4))
        assert reader.take(1, seconds=2)[0].payload == b"gone"


@pytest.mark.parametrize("level", [4, 5])
def test_disconnect_without_will(port, topic, reader, level):
    """An orderly end takes the will away."""
    # proves: v5 MQTT-3.1.2-10 MQTT-3.14.4-3; v3.1.1 MQTT-3.1.2-10 MQTT-3.14.4-3
    with Raw(port, level) as client:
        client.connect(topic, will=will(topic))
        client.leave()
    time.sleep(0.5)
    marked(reader, topic)


@pytest.mark.parametrize("level", [4, 5])
def test_other_ends(port, topic, reader, level):
    """A cut, a reset and a protocol error send the will, once."""
    # proves: v5 MQTT-3.1.2-8 MQTT-3.1.2-10; v3.1.1 MQTT-3.1.2-8 MQTT-3.1.2-10
    for how in ("cut", "error", "malformed", "taken over"):
        with Raw(port, level) as client:
            client.connect(topic, will=will(topic, how.encode()))
            if how == "error":
                client.send(raw.subscribe(1, level=level))
                client.ending(3)
            elif how == "malformed":
                client.send(b"\xf7\x00")
                client.ending(3)
            elif how == "taken over":
                with Raw(port, level) as other:
                    other.connect(topic)
                    client.ending(3)
                    other.leave()
            else:
                client.drop()
            assert reader.take(1, seconds=3)[0].payload == how.encode()
    marked(reader, topic)


def test_what_a_will_carries(port, topic, reader):
    """Every property of a will reaches the subscribers; the pairs of the user keep their order."""
    # proves: v5 MQTT-3.1.3-10 MQTT-3.1.3-11 MQTT-3.3.2-17 MQTT-3.3.2-18
    carried = [
        ("payload_format", 1),
        ("message_expiry", 100),
        ("content_type", "text/plain"),
        ("response_topic", "answers"),
        ("correlation_data", b"\x00\x01"),
        *[("user", pair) for pair in (("b", "2"), ("a", "1"), ("b", "2"), ("", ""))],
    ]
    with Raw(port) as client:
        client.connect(topic, will=will(topic, "g\u00f6ne", qos=2, props=[("will_delay", 0), *carried]))
    [message] = reader.take(1, seconds=3)
    assert (message.payload.decode(), message.qos, message.retain) == ("g\u00f6ne", 2, False)
    assert sorted(message.properties, key=lambda pair: pair[0]) == sorted(carried, key=lambda pair: pair[0])


def test_expiry_begins_with_the_publication(port, topic, reader):
    """A will's message expiry does not run during its delay."""
    # proves: v5 MQTT-3.3.2-5 MQTT-3.3.2-6
    with Raw(port) as client:
        client.connect(topic, props={"session_expiry": 60}, will=will(topic, props={"will_delay": 2, "message_expiry": 5}))
    [message] = reader.take(1, seconds=4)
    assert message.get("message_expiry") in (4, 5)


@pytest.mark.parametrize("level", [4, 5])
def test_retained_will(port, topic, reader, level):
    """A will is retained when it says so, and only then."""
    # proves: v5 MQTT-3.1.2-14 MQTT-3.1.2-15; v3.1.1 MQTT-3.1.2-16 MQTT-3.1.2-17
    for retain in (False, True):
        with Raw(port, level) as client:
            client.connect(topic, will=will(topic, retain=retain, qos=1))
        assert reader.take(1, seconds=3)[0].retain is False
        with Raw(port) as late:
            late.connect()
            late.subscribe((f"{topic}/will", 1))
            if retain:
                [message] = late.take(1)
                assert (message.payload, message.retain, message.qos) == (b"gone", True, 1)
                late.publish(f"{topic}/will", retain=True)
                late.expect(PUBLISH)
            late.quiet()


@pytest.mark.parametrize("level", [4, 5])
def test_empty_will(port, topic, reader, level):
    """A will without a payload is a message without a payload."""
    # proves: v5 MQTT-3.1.2-9 MQTT-3.1.2-8; v3.1.1 MQTT-3.1.2-9 MQTT-3.1.2-8
    with Raw(port, level) as client:
        client.connect(topic, will=will(topic, b""))
    assert reader.take(1, seconds=3)[0].payload == b""


def test_a_will_is_of_its_connection(port, topic, reader):
    """A connection without a will in the same session has none, and a later will replaces an earlier one."""
    # proves: v5 MQTT-3.1.2-10; v3.1.1 MQTT-3.1.2-10
    kept = {"session_expiry": 60}
    with Raw(port) as client:
        client.connect(topic, props=kept, will=will(topic, b"first"))
        client.leave()
    with Raw(port) as client:
        client.connect(topic, clean=False, props=kept)
    with Raw(port) as client:
        client.connect(topic, clean=False, props=kept, will=will(topic, b"third"))
    assert reader.take(1, seconds=3)[0].payload == b"third"
    marked(reader, topic)


def test_no_local_will(port, topic):
    """A will goes to other clients even where its own session has subscribed with no local."""
    # proves: v5 MQTT-3.8.3-3
    with Raw(port) as other:
        other.connect()
        other.subscribe((f"{topic}/will", 4))
        with Raw(port) as client:
            client.connect(topic, props={"session_expiry": 60}, will=will(topic))
            client.subscribe((f"{topic}/will", 1 | 4))
        assert other.take(1, seconds=3)[0].payload == b"gone"
        with Raw(port) as client:
            assert client.connect(topic, clean=False).present == 1
            client.quiet()


def test_will_topic_that_is_no_topic(port):
    """A will cannot go to a filter or to nowhere."""
    # proves: v5 MQTT-3.3.2-2 MQTT-4.7.0-1 MQTT-4.7.1-1
    for level in (4, 5):
        for name in ("a/#", "+", ""):
            with Raw(port, level) as client:
                client.send(raw.connect("a", level=level, will={"topic": name}))
                found = client.ending(3)
                assert not found or found[0].reason >= (0x80 if level == 5 else 1), found


def test_refused_will(started):
    """A will to a topic that the client may not publish to is refused at CONNECT, and never goes out."""
    # proves: v5 MQTT-3.2.2-7
    rules = 'anonymous_allow = ["*:default/*"]\nanonymous_deny = ["publish:default/closed"]'
    port = started(auth=rules).mqtt_port
    with Raw(port) as reader, Raw(port) as client:
        reader.connect()
        assert reader.subscribe("closed", "mark") == [0, 0]
        client.send(raw.connect("a", will={"topic": "closed"}))
        [ack] = client.ending(3)
        assert ack.reason == 0x87
        reader.publish("mark", b"x")
        assert reader.expect(PUBLISH).topic == "mark"
