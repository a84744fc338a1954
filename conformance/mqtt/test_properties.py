"""What a message carries in MQTT 5: passed on as it is, expired in time, refused when it is wrong."""

import time

import pytest
import raw
from pm import connected, props
from raw import PUBLISH, Raw

KEPT = {"session_expiry": 60}

EVERYTHING = [
    ("payload_format", 1),
    ("content_type", "text/plain"),
    ("response_topic", "answers/to/me"),
    ("correlation_data", bytes(range(256))),
    ("user", ("b", "2")),
    ("user", ("a", "\N{SNOWMAN}")),
    ("user", ("b", "1")),
    ("user", ("", "")),
]


def ordered(items):
    """Only the order of pairs counts."""
    return sorted(items, key=lambda pair: pair[0])


@pytest.fixture
def writer(port):
    with Raw(port) as writer:
        writer.connect()
        yield writer


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_passed_on_unaltered(port, topic, writer, qos):
    """Every property reaches the subscribers as it was, also over the queue of a client that is away."""
    # proves: v5 MQTT-3.3.2-4 MQTT-3.3.2-15 MQTT-3.3.2-16 MQTT-3.3.2-17 MQTT-3.3.2-18 MQTT-3.3.2-20
    with Raw(port) as client:
        client.connect(topic, clean=False, props=KEPT)
        client.subscribe((topic, 2))
        writer.publish(topic, "text", qos, props=EVERYTHING)
        [message] = client.take(1)
        assert ordered(message.properties) == ordered(EVERYTHING)
        client.leave()
    if qos:
        writer.publish(topic, "text", qos, props=EVERYTHING)
        with Raw(port) as client:
            client.connect(topic, clean=False, props=KEPT)
            [message] = client.take(1)
            assert ordered(message.properties) == ordered(EVERYTHING)


def test_nothing_is_added(port, topic, writer):
    """A message without properties has none at the other end."""
    # proves: v5 MQTT-3.3.2-6
    with Raw(port) as client:
        client.connect()
        client.subscribe(topic)
        writer.publish(topic, b"x")
        assert client.take(1)[0].properties == []


def test_many_user_properties(port, topic, writer):
    """A hundred pairs keep their order and their repeats."""
    # proves: v5 MQTT-3.3.2-17 MQTT-3.3.2-18
    pairs = [("user", (f"name {number % 7}", f"{number}")) for number in range(100)]
    with Raw(port) as client:
        client.connect()
        client.subscribe((topic, 1))
        writer.publish(topic, b"x", 1, props=pairs)
        assert client.take(1)[0].properties == pairs


def test_user_properties_everywhere(port, topic):
    """The other packets of a client may carry pairs, too, and are answered as ever."""
    # proves: v5 MQTT-2.2.2-1
    pairs = [("user", ("a", "b")), ("user", ("a", "b"))]
    with Raw(port) as client:
        client.connect(topic, props=pairs)
        assert client.subscribe(topic, props=pairs) == [0]
        client.send(raw.unsubscribe(3, topic, props=pairs))
        assert client.expect(raw.UNSUBACK).codes == [0]
        assert client.leave(0, pairs) == []


def test_expiry_in_the_queue(port, topic):
    """C33: a message that expires while its reader is away does not come; one that does not tells what is left."""
    # proves: v5 MQTT-3.3.2-5 MQTT-3.3.2-6
    with connected(port, topic, clean=False, expiry=60) as client:
        client.subscribe((topic, 2))
    with connected(port) as writer:
        for qos in (1, 2):
            for seconds in (1, 6):
                writer.publish(topic, f"{qos} {seconds}", qos, MessageExpiryInterval=seconds)
        writer.publish(topic, b"forever", 1)
    time.sleep(3)
    with connected(port, topic, clean=False, expiry=60) as client:
        # paho shows a message of quality 2 only when its handshake is over.
        left = {message.payload: getattr(message.properties, "MessageExpiryInterval", None) for message in client.messages(3)}
        assert left.keys() == {b"1 6", b"2 6", b"forever"} and left[b"forever"] is None
        assert 1 <= left[b"1 6"] <= 3 and 1 <= left[b"2 6"] <= 3
        client.silent(0.3)


def test_expiry_at_once(port, topic, writer):
    """A message with an expiry that is delivered at once says all of it."""
    # proves: v5 MQTT-3.3.2-6
    with Raw(port) as client:
        client.connect()
        client.subscribe((topic, 1))
        for qos in (0, 1):
            writer.publish(topic, b"x", qos, props={"message_expiry": 100})
        assert all(message.get("message_expiry") in (99, 100) for message in client.take(2))


def test_expiry_behind_a_full_quota(port, topic, writer):
    """A message that expires while it waits for its turn does not come."""
    # proves: v5 MQTT-3.3.2-5
    with Raw(port) as client:
        client.connect(props={"receive_maximum": 1})
        client.subscribe((topic, 1))
        writer.publish(topic, b"first", 1)
        writer.publish(topic, b"expires", 1, props={"message_expiry": 1})
        writer.publish(topic, b"last", 1)
        message = client.expect(PUBLISH)
        time.sleep(2.1)
        client.finish(message)
        assert client.take(1)[0].payload == b"last"


def test_begun_qos_2_does_not_expire(port, topic, writer):
    """A QoS 2 message that was sent is finished though its time is over."""
    # proves: v5 MQTT-4.3.3-7 MQTT-4.3.3-13
    with Raw(port) as client:
        client.connect(topic, clean=False, props=KEPT)
        client.subscribe((topic, 2))
        writer.publish(topic, b"x", 2, props={"message_expiry": 2})
        message = client.expect(PUBLISH)
        time.sleep(3.1)
        client.finish(message)
        client.quiet()
        writer.publish(topic, b"y", 2, props={"message_expiry": 2})
        message = client.expect(PUBLISH)
        client.send(raw.acknowledge(raw.PUBREC, message.number))
        client.expect(raw.PUBREL)
    time.sleep(3.1)
    with Raw(port) as client:
        client.connect(topic, clean=False, props=KEPT)
        assert client.expect(raw.PUBREL).number == message.number
        client.send(raw.acknowledge(raw.PUBCOMP, message.number))
        client.quiet()


# What makes a PUBLISH wrong, and what the server says to it.
WRONG = {
    "response topic with a wildcard": (dict(props={"response_topic": "a/+"}), (0x82,)),
    "response topic with a hash": (dict(props={"response_topic": "#"}), (0x82,)),
    "subscription identifier": (dict(props={"subscription_id": 1}), (0x82,)),
    "dup without quality": (dict(dup=True), (0x81,)),
    "payload format 2": (dict(props={"payload_format": 2}), (0x81, 0x82, 0x99)),
    "expiry twice": (dict(props=[("message_expiry", 1), ("message_expiry", 1)]), (0x82,)),
    "alias twice": (dict(props=[("topic_alias", 1), ("topic_alias", 1)]), (0x82,)),
    "property of another packet": (dict(props={"session_expiry": 1}), (0x81, 0x82)),
    "unknown property": (dict(props=b"\x7e\x01"), (0x81,)),
    "property cut off": (dict(props=b"\x02\x00"), (0x81,)),
    "string cut off": (dict(props=b"\x03\x00\x09ab"), (0x81,)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_publishes(port, topic, name):
    """C34: properties that a client must not send end the connection with the right reason, and nothing is delivered."""
    # proves: v5 MQTT-3.3.2-14 MQTT-3.3.4-6 MQTT-3.3.1-2 MQTT-2.2.2-1 MQTT-4.13.1-1
    options, reasons = WRONG[name]
    with Raw(port) as client, Raw(port) as reader:
        reader.connect()
        reader.subscribe(topic)
        client.connect()
        client.send(raw.publish(topic, b"x", **options))
        client.refused(reasons)
        reader.publish(topic, b"end")
        assert reader.expect(PUBLISH).payload == b"end"


def test_property_length_beyond_the_packet(port, topic):
    """Properties longer than their packet are malformed."""
    # proves: v5 MQTT-2.2.2-1
    with Raw(port) as client:
        client.connect()
        client.send(raw.packet(PUBLISH, raw.data(topic) + b"\x7f\x01"))
        client.refused(0x81)


def test_payload_that_is_not_text(port, topic, writer):
    """A payload that says it is text and is not may be refused, or is passed on as it is."""
    # proves: v5 MQTT-3.3.2-4
    with Raw(port) as client:
        client.connect()
        client.subscribe((topic, 1))
        reason = writer.publish(topic, b"\xff\xfe", 1, props={"payload_format": 1})
        assert reason in (0, 0x99)
        if reason == 0:
            [message] = client.take(1)
            assert (message.payload, message.get("payload_format")) == (b"\xff\xfe", 1)


def test_request_and_response(port, topic):
    """A question with a response topic and correlation data is answered, by paho on both sides."""
    # proves: v5 MQTT-3.3.2-15 MQTT-3.3.2-16
    with connected(port) as asks, connected(port) as answers:
        asks.subscribe((f"{topic}/answers", 1))
        answers.subscribe((f"{topic}/questions", 1))
        asks.publish(f"{topic}/questions", b"?", 1, ResponseTopic=f"{topic}/answers", CorrelationData=b"\x01\x02")
        [question] = answers.messages(1)
        given = question.properties
        answers.publish(given.ResponseTopic, b"!", 1, CorrelationData=given.CorrelationData)
        [answer] = asks.messages(1)
        assert (answer.payload, answer.properties.CorrelationData) == (b"!", b"\x01\x02")


def test_paho_and_everything(port, topic):
    """paho sees every property that paho has sent."""
    # proves: v5 MQTT-3.3.2-4 MQTT-3.3.2-17 MQTT-3.3.2-20
    with connected(port) as client:
        client.subscribe((topic, 1))
        fields = {"PayloadFormatIndicator": 1, "ContentType": "a/b", "UserProperty": [("x", "1"), ("x", "2")]}
        client.client.publish(topic, b"x", 1, properties=props("PUBLISH", **fields))
        heard = dict(event[:2] for event in (client.next(), client.next()))
        assert {name: getattr(heard["message"].properties, name) for name in fields} == fields


def test_properties_and_3(port, topic, writer):
    """A 3.1.1 subscriber gets the message without its properties."""
    # proves: v5 MQTT-3.3.2-4
    with Raw(port, 4) as client:
        client.connect()
        client.subscribe((topic, 1))
        writer.publish(topic, b"x", 1, props=EVERYTHING)
        assert client.take(1)[0].payload == b"x"
