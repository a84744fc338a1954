"""What the standards ask of a server that no other file has a test for; docs/mqtt-requirements.md has the list."""

import time

import pytest
import raw
from raw import CONNACK, DISCONNECT, PUBACK, PUBLISH, Raw


@pytest.fixture(params=[4, 5])
def level(request):
    return request.param


def lasting(level):
    return {"clean": False, "props": {"session_expiry": 60} if level == 5 else ()}


def refusal(port, packet, level):
    """The CONNACK that is all the server says before it closes."""
    with Raw(port, level) as client:
        client.send(packet)
        [ack] = client.ending(3)
        assert (ack.kind, ack.present) == (CONNACK, 0)
        return ack.reason


def test_a_client_id_that_is_too_long(started, level):
    """An id that the server does not take is refused by name, and the connection ends."""
    # proves: v5 MQTT-3.1.3-8; v3.1.1 MQTT-3.1.3-9
    port = started(client_id_bytes=30).mqtt_port
    assert refusal(port, raw.connect("x" * 31, level=level), level) == (0x85 if level == 5 else 2)
    with Raw(port, level) as client:
        client.connect("x" * 30)


def test_a_password_that_does_not_count(started, level):
    """A CONNECT that is well formed and proves nothing is refused, and nothing behind it is done."""
    # proves: v5 MQTT-3.1.4-2 MQTT-3.1.4-6 MQTT-3.2.2-6 MQTT-3.2.2-7; v3.1.1 MQTT-3.1.4-5 MQTT-3.2.2-4 MQTT-3.2.2-5
    port = started(auth='anonymous_allow = ["*:default/*"]').mqtt_port
    with Raw(port) as reader:
        reader.connect()
        reader.subscribe("t")
        wrong = raw.connect("a", level=level, user="u", password="no token") + raw.publish("t", b"no", level=level)
        assert refusal(port, wrong, level) == (0x86 if level == 5 else 4)
        reader.publish("t", b"yes")
        assert reader.expect(PUBLISH).payload == b"yes"


def test_best_quality_of_the_profile(started):
    """A server with a best quality says so, takes subscriptions of any, and refuses wills and messages above."""
    # proves: v5 MQTT-3.2.2-9 MQTT-3.2.2-10 MQTT-3.2.2-11 MQTT-3.2.2-12
    port = started(profile="aws-iot").mqtt_port
    with Raw(port) as client:
        assert client.connect().get("maximum_qos") == 1
        assert client.subscribe(("t/0", 0), ("t/1", 1), ("t/2", 2)) == [0, 1, 1]
        assert client.publish("t/2", b"x", 1) == 0
        assert client.take(1)[0].qos == 1
        client.send(raw.publish("t/2", b"x", 2, 9))
        client.refused(0x9B)
    assert refusal(port, raw.connect("a", will={"topic": "t", "qos": 2}), 5) == 0x9B


def test_retained_messages_outlive_sessions(port, topic, level):
    """The end of a session, and the beginning of a clean one, leave its retained messages where they are."""
    # proves: v3.1.1 MQTT-3.1.2-7 MQTT-3.3.1-6; v5 MQTT-3.3.1-5
    with Raw(port, level) as writer:
        writer.connect(topic, **lasting(level))
        writer.publish(topic, b"kept", 1, retain=True)
    for _ in range(2):
        with Raw(port, level) as again:
            again.connect(topic, clean=True)
            again.subscribe((topic, 1))
            [message] = again.take(1)
            assert (message.payload, message.retain) == (b"kept", True)
            again.leave()
    with Raw(port, level) as writer:
        writer.connect()
        writer.publish(topic, b"", 1, retain=True)


def test_a_plain_message_is_not_retained(port, topic, level):
    """Without the retain flag a message is neither kept nor does it take away what is."""
    # proves: v5 MQTT-3.3.1-8; v3.1.1 MQTT-3.3.1-12
    with Raw(port, level) as client:
        client.connect()
        client.publish(topic, b"passing", 1)
        client.subscribe((topic, 1))
        client.quiet()
        client.unsubscribe(topic)
        client.publish(topic, b"kept", 1, retain=True)
        client.publish(topic, b"passing", 1)
        client.publish(topic, b"", 1)
        client.subscribe((topic, 1))
        [message] = client.take(1)
        assert (message.payload, message.retain) == (b"kept", True)
        client.quiet()
        client.unsubscribe(topic)
        client.publish(topic, b"", 1, retain=True)


def test_no_will_no_message(port, topic, level):
    """Whoever left no will has none, not even that of the connection before it."""
    # proves: v3.1.1 MQTT-3.1.2-12 MQTT-3.1.2-10; v5 MQTT-3.1.2-10
    with Raw(port) as reader:
        reader.connect()
        reader.subscribe((f"{topic}/#", 1))
        with Raw(port, level) as client:
            client.connect(topic, will={"topic": f"{topic}/will"}, **lasting(level))
            client.drop()
        assert reader.take(1)[0].topic == f"{topic}/will"
        with Raw(port, level) as client:
            client.connect(topic, **lasting(level))
            client.drop()
        time.sleep(0.5)
        reader.publish(f"{topic}/mark", b"mark", 1)
        assert reader.take(1)[0].payload == b"mark"


def test_a_session_lasts_as_long_as_its_connection(started, level):
    """However short sessions live without a connection, with one they stay whole."""
    # proves: v5 MQTT-4.1.0-1; v3.1.1 MQTT-4.1.0-1 MQTT-4.1.0-2
    port = started(session_expiry_max_s=1).mqtt_port
    with Raw(port, level) as client, Raw(port) as writer:
        writer.connect()
        client.connect("stays", **lasting(level))
        client.subscribe(("t", 2))
        time.sleep(2.3)
        writer.publish("t", b"there", 2)
        assert [message.payload for message in client.take(1)] == [b"there"]
        client.drop()
        # Cut off and back in time: the session is there, with its subscription.
        with Raw(port, level) as back:
            assert back.connect("stays", **lasting(level)).present == 1
            writer.publish("t", b"still there", 1)
            assert [message.payload for message in back.take(1)] == [b"still there"]


def test_every_matching_session_gets_it(port, topic):
    """What was acknowledged reaches each session that matches: here or away, shared or not, of either version."""
    # proves: v5 MQTT-4.5.0-1; v3.1.1 MQTT-4.5.0-1
    filters = [topic, f"{topic}/#", "+", f"$share/g/{topic}"]
    names = [(level, is_away, number) for level in (4, 5) for is_away in (False, True) for number in range(4)]
    clients = {name: Raw(port, name[0]) for name in names}
    group = []
    try:
        for (level, is_away, number), client in clients.items():
            client.connect(f"{topic}-{level}-{is_away}-{number}", **lasting(level))
            client.subscribe((filters[number], 1))
            if is_away:
                client.leave()
        with Raw(port) as writer:
            writer.connect()
            assert writer.publish(topic, b"for all", 1) == 0
        for (level, is_away, number), client in clients.items():
            if is_away:
                client = clients[level, is_away, number] = Raw(port, level)
                assert client.connect(f"{topic}-{level}-{is_away}-{number}", **lasting(level)).present == 1
            if number < 3:
                assert [message.payload for message in client.take(1)] == [b"for all"], (level, is_away, number)
            else:
                client.send(raw.PINGREQ_BYTES)
                found = client.read()
                group += [found] if found.kind == PUBLISH else []
        assert [message.payload for message in group] == [b"for all"], "one member of the group"
    finally:
        for client in clients.values():
            client.drop()


def test_a_passing_error(started, level):
    """A publish that cannot be taken just now: MQTT 5 is told to slow down, 3.1.1 loses the connection and no answer lies."""
    # proves: v3.1.1 MQTT-4.8.0-2; v5 MQTT-3.4.2-1
    port = started(limits="publish_per_second = 1\npublish_burst = 5").mqtt_port
    with Raw(port) as reader, Raw(port) as writer, Raw(port, level) as client:
        reader.connect()
        reader.subscribe(("t", 1))
        writer.connect()
        client.connect()
        client.send(*[raw.publish("t", str(number), 1, number, level=level) for number in range(1, 21)])
        if level == 5:
            reasons = [client.expect(PUBACK).reason for _ in range(20)]
            assert reasons[:5] == [0] * 5 and set(reasons) == {0, 0x97}, reasons
            taken = reasons.count(0)
        else:
            found = client.ending(3)
            assert all(packet.kind == PUBACK for packet in found), found
            taken = len(found)
        # What was acknowledged is there; what was not may be, but not all of it.
        writer.publish("t", b"mark", 1)
        heard = [reader.take(1)[0].payload]
        while heard[-1] != b"mark":
            heard += [message.payload for message in reader.take(1)]
        assert taken < len(heard) < 20 and (level == 4 or taken == len(heard) - 1), (taken, heard)
    with Raw(port) as client:
        # Nothing of it lasts.
        time.sleep(1.2)
        client.connect()
        assert client.publish("t", b"later", 1) in (0, 0x10)


def test_a_stream_of_bytes(server, level):
    """Packets are cut out of the stream wherever the transport cuts it: byte by byte, and many at once."""
    # proves: v5 MQTT-4.2-1; v3.1.1 MQTT-7.1.1-1
    packets = [raw.connect("bytes", level=level), raw.subscribe(1, ("s/t", 1), level=level)]
    packets += [raw.publish("s/t", bytes([number]) * 200, 1, number, level=level) for number in range(1, 21)]
    stream = b"".join(packets)
    for kind, size in ((Raw, 1), (Raw, 7), (Raw, len(stream)), (raw.RawWebSocket, 11)):
        with kind(server.port if kind is raw.RawWebSocket else server.mqtt_port, level) as client:
            for begin in range(0, len(stream), size):
                client.send(stream[begin : begin + size])
            found = [client.read() for _ in range(2 + 20 + 20)]
            assert not [packet for packet in found if packet.kind == DISCONNECT]
            payloads = [packet.payload for packet in found if packet.kind == PUBLISH]
            assert payloads == [bytes([number]) * 200 for number in range(1, 21)]
            assert [packet.number for packet in found if packet.kind == PUBACK] == list(range(1, 21))
