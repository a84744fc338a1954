"""Sessions: what is kept, for how long, and what a client hears when it comes back."""

import select
import time

import pm
import pytest
import raw
from pm import connected, make, props
from raw import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Raw, acknowledge
from rc import Rumqttc

KEPT = {"session_expiry": 60}


def lasting(level, seconds=60):
    """How a session that outlives its connection is asked for."""
    return {"clean": False, "props": {"session_expiry": seconds} if level == 5 else ()}


@pytest.fixture(params=[4, 5])
def level(request):
    return request.param


def offline(port, topic, level, *messages):
    """A session that has subscribed and is away while these pairs of payload and quality of service are published."""
    with Raw(port, level) as reader, Raw(port, level) as writer:
        reader.connect(topic, **lasting(level))
        reader.subscribe((topic, 2))
        reader.leave()
        writer.connect()
        for payload, qos in messages:
            writer.publish(topic, payload, qos)


def test_session_present(port, topic, level):
    """Session present is said when there was one and none was wished away."""
    # proves: v5 MQTT-3.1.2-4 MQTT-3.1.2-5 MQTT-3.1.2-6 MQTT-3.2.2-2 MQTT-3.2.2-3; v3.1.1 MQTT-3.1.2-4 MQTT-3.1.2-5 MQTT-3.1.2-6 MQTT-3.2.2-1 MQTT-3.2.2-2 MQTT-3.2.2-3
    for clean, present in ((False, 0), (False, 1), (True, 0), (False, 0 if level == 4 else 1), (False, 1)):
        with Raw(port, level) as client:
            ack = client.connect(topic, **{**lasting(level), "clean": clean})
            assert ack.present == present, clean
            client.leave()


def test_clean_start_forgets(port, topic, level):
    """A clean start forgets the subscriptions and the queue."""
    # proves: v5 MQTT-3.1.2-4 MQTT-3.1.4-4; v3.1.1 MQTT-3.1.2-6 MQTT-3.1.4-3
    offline(port, topic, level, ("queued", 1))
    with Raw(port, level) as client:
        assert client.connect(topic, clean=True).present == 0
        client.publish(topic, b"not subscribed any more", 1)
        client.quiet()


def test_offline_queue(port, topic, level):
    """What comes while a client is away waits for it, in order, at its quality of service."""
    # proves: v5 MQTT-4.1.0-1 MQTT-4.6.0-5; v3.1.1 MQTT-3.1.2-5 MQTT-4.6.0-6
    messages = [(f"{number}", 1 + number % 2) for number in range(20)]
    offline(port, topic, level, *messages)
    with Raw(port, level) as client:
        assert client.connect(topic, **lasting(level)).present == 1
        found = client.take(20)
        assert [(message.payload.decode(), message.qos, message.dup) for message in found] == [(*pair, False) for pair in messages]
        client.quiet()


def test_offline_queue_one_at_a_time(port, topic):
    """With a receive maximum of 1 the queue comes one by one, in order, nothing twice."""
    # proves: v5 MQTT-3.3.4-9 MQTT-4.6.0-5
    offline(port, topic, 5, *[(f"{number}", 1 + number % 2) for number in range(12)])
    with Raw(port) as client:
        client.connect(topic, clean=False, props={**KEPT, "receive_maximum": 1})
        for number in range(12):
            message = client.expect(PUBLISH)
            assert message.payload == str(number).encode()
            client.quiet()
            client.finish(message)
        client.quiet()


def test_replay_one_at_a_time_with_interruptions(port, topic):
    """Dropped after every delivery, a client with a receive maximum of 1 still hears all in order, repeats marked."""
    # proves: v5 MQTT-4.4.0-1 MQTT-4.6.0-1 MQTT-3.3.1-3
    offline(port, topic, 5, *[(f"{number}", 1) for number in range(6)])
    for number in range(5):
        with Raw(port) as client:
            client.connect(topic, clean=False, props={**KEPT, "receive_maximum": 1})
            message = client.expect(PUBLISH)
            # Sent once before, to the connection before this one.
            assert (message.payload, message.dup) == (str(number).encode(), number > 0)
            client.finish(message)
            message = client.expect(PUBLISH)
            assert (message.payload, message.dup) == (str(number + 1).encode(), False)
            client.drop()


def test_queue_comes_before_news(port, topic):
    """What is published after a client has come back stands behind what waited."""
    # proves: v5 MQTT-4.6.0-5; v3.1.1 MQTT-4.6.0-6
    offline(port, topic, 5, *[(f"{number}", 1) for number in range(30)])
    with Raw(port) as client, Raw(port) as writer:
        writer.connect()
        client.connect(topic, clean=False, props={**KEPT, "receive_maximum": 4})
        for number in range(30, 40):
            writer.publish(topic, str(number), 1)
        assert [int(message.payload) for message in client.take(40)] == list(range(40))


def test_dup_in_order(port, topic):
    """C15: rumqttc that acknowledges nothing gets the same ids in the same order again, DUP set, then what is new."""
    # proves: v5 MQTT-4.4.0-1 MQTT-4.6.0-1 MQTT-3.3.1-1; v3.1.1 MQTT-4.4.0-1 MQTT-4.6.0-1 MQTT-3.3.1-1
    for version in (4, 5):
        name = f"{topic}{version}"
        with Rumqttc(port, name, version) as client, Raw(port) as writer:
            writer.connect()
            client.connect(clean=False, expiry=60, manual=True)
            client.subscribe(name, 1)
            for number in range(5):
                writer.publish(name, str(number), 1)
            first = [client.expect("publish") for _ in range(5)]
            assert [event["payload"] for event in first] == list("01234") and not any(event["dup"] for event in first)
            client.drop()
            writer.publish(name, "5", 1)
            assert client.connect(clean=False, expiry=60, manual=True)["present"]
            again = [client.expect("publish") for _ in range(6)]
            assert [event["payload"] for event in again] == list("012345")
            assert [event["dup"] for event in again] == [True] * 5 + [False]
            assert [event["id"] for event in again[:5]] == [event["id"] for event in first]


def test_partial_acknowledgement(port, topic, level):
    """Only what was not acknowledged comes again."""
    # proves: v5 MQTT-4.4.0-1 MQTT-4.3.2-1 MQTT-4.3.2-3; v3.1.1 MQTT-4.4.0-1 MQTT-4.3.2-1
    with Raw(port) as writer:
        writer.connect()
        with Raw(port, level) as client:
            client.connect(topic, **lasting(level))
            client.subscribe((topic, 1))
            for number in range(6):
                writer.publish(topic, str(number), 1)
            found = [client.expect(PUBLISH) for _ in range(6)]
            for at in (0, 1, 4):
                client.send(acknowledge(PUBACK, found[at].number))
            client.quiet()
        with Raw(port, level) as client:
            client.connect(topic, **lasting(level))
            again = client.take(3)
            assert [(message.payload, message.number) for message in again] == [(found[at].payload, found[at].number) for at in (2, 3, 5)]
            assert all(message.dup for message in again)
            client.quiet()


def test_nothing_is_repeated_while_connected(port, topic, level):
    """Without a reconnect nothing is sent again, however long an answer takes."""
    # proves: v5 MQTT-4.4.0-1
    with Raw(port, level) as client, Raw(port) as writer:
        writer.connect()
        client.connect(topic, **lasting(level))
        client.subscribe((topic, 2))
        for qos in (1, 2, 2):
            writer.publish(topic, b"x", qos)
        last = [client.expect(PUBLISH) for _ in range(3)][-1]
        client.send(acknowledge(PUBREC, last.number))
        assert client.expect(PUBREL).number == last.number
        client.silent(2.5)


def test_publish_qos_2_dropped_before_the_release(port, topic):
    """C13: paho publishes with quality of service 2, loses the connection before PUBREC is read, and sends again."""
    # proves: v3.1.1 MQTT-4.3.3-1 MQTT-4.3.3-2 MQTT-4.4.0-1
    with connected(port, version=4) as reader:
        reader.subscribe((topic, 2))
        client = make(topic, 4, clean=False)
        up = []
        client.on_connect = lambda c, d, flags, code, p: up.append(flags.session_present)
        client.connect("127.0.0.1", port)
        pm.pump(client, lambda: up, "CONNACK")
        sent = client.publish(topic, b"once", 2)
        assert select.select([client.socket()], [], [], 10)[0], "no PUBREC"
        pm.kill(client)
        client.loop_misc()
        client._sock_close()
        client.reconnect()
        pm.pump(client, lambda: len(up) == 2 and sent.is_published(), "the rest of the handshake")
        assert up == [False, True]
        client.disconnect()
        [message] = reader.messages(1)
        assert (message.payload, message.qos) == (b"once", 2)
        reader.publish(topic, b"end", 0)
        assert reader.messages(1)[0].payload == b"end"


# What the publisher has sent when it is cut off, and what it sends first when it is back.
PUBLISHER_STEPS = {
    "after PUBLISH": ("publish", "publish"),
    "after PUBREC": ("publish read", "release"),
    "after PUBREL": ("publish read release", "release"),
    "after PUBCOMP": ("publish read release complete", "release"),
    "after PUBREC, PUBLISH again": ("publish read", "publish"),
}


@pytest.mark.parametrize("name", PUBLISHER_STEPS)
def test_publisher_of_qos_2_cut_off(port, topic, level, name):
    """A publisher of quality of service 2 that is cut off at any step delivers once."""
    # proves: v5 MQTT-4.3.3-1 MQTT-4.3.3-8 MQTT-4.3.3-10 MQTT-4.3.3-11; v3.1.1 MQTT-4.3.3-1 MQTT-4.3.3-2
    before, after = PUBLISHER_STEPS[name]
    with Raw(port) as reader:
        reader.connect()
        reader.subscribe((topic, 2))
        with Raw(port, level) as client:
            client.connect(topic, **lasting(level))
            for step in before.split():
                if step == "publish":
                    client.send(raw.publish(topic, b"once", 2, 7, level=level))
                    # Whether it arrived before the cut is not left to chance.
                    select.select([client.socket], [], [], 5)
                elif step == "read":
                    assert client.expect(PUBREC).number == 7
                elif step == "release":
                    client.send(acknowledge(PUBREL, 7))
                    select.select([client.socket], [], [], 5)
                else:
                    assert client.expect(PUBCOMP).number == 7
        with Raw(port, level) as client:
            assert client.connect(topic, **lasting(level)).present == 1
            if after == "publish":
                client.send(raw.publish(topic, b"once", 2, 7, dup=True, level=level))
                assert client.expect(PUBREC).number == 7
            client.send(acknowledge(PUBREL, 7))
            done = client.expect(PUBCOMP)
            assert done.number == 7 and done.reason in ((0, 0x92) if level == 5 else (0,))
            # The id is free again: the same bytes are a new message.
            assert client.publish(topic, b"end", 2, 7) in (0, 0x10)
        assert [message.payload for message in reader.take(2)] == [b"once", b"end"]
        reader.quiet()


# What the subscriber has sent when it is cut off, and what the server says first when it is back.
SUBSCRIBER_STEPS = {"after PUBLISH": PUBLISH, "after PUBREC": (PUBLISH, PUBREL), "after PUBREL": PUBREL, "after PUBCOMP": None}


@pytest.mark.parametrize("name", SUBSCRIBER_STEPS)
def test_subscriber_of_qos_2_cut_off(port, topic, level, name):
    """A subscriber of quality of service 2 that is cut off at any step goes on there, and hears no second PUBLISH after a PUBREL."""
    # proves: v5 MQTT-4.3.3-3 MQTT-4.3.3-4 MQTT-4.3.3-5 MQTT-4.3.3-6 MQTT-4.4.0-1; v3.1.1 MQTT-4.3.3-1 MQTT-4.4.0-1
    with Raw(port) as writer:
        writer.connect()
        with Raw(port, level) as client:
            client.connect(topic, **lasting(level))
            client.subscribe((topic, 2))
            writer.publish(topic, b"once", 2)
            message = client.expect(PUBLISH)
            if name != "after PUBLISH":
                client.send(acknowledge(PUBREC, message.number))
                assert client.expect(PUBREL).number == message.number
            if name == "after PUBCOMP":
                client.send(acknowledge(PUBCOMP, message.number))
                client.quiet()
        with Raw(port, level) as client:
            assert client.connect(topic, **lasting(level)).present == 1
            if name == "after PUBLISH":
                again = client.expect(PUBLISH)
                assert (again.number, again.dup, again.qos) == (message.number, True, 2)
                client.finish(again)
            elif name != "after PUBCOMP":
                assert client.expect(PUBREL).number == message.number
                client.send(acknowledge(PUBCOMP, message.number))
            client.quiet()
            writer.publish(topic, b"end", 2)
            assert client.take(1)[0].payload == b"end"


def test_release_repeats_until_completed(port, topic):
    """A PUBREL that is never answered comes with every reconnect, and never a PUBLISH."""
    # proves: v5 MQTT-4.3.3-5 MQTT-4.3.3-6
    with Raw(port) as client:
        client.connect(topic, clean=False, props=KEPT)
        client.subscribe((topic, 2))
        client.send(raw.publish(topic, b"x", 2, 1), acknowledge(PUBREL, 1))
        number = [packet for packet in (client.read(), client.read(), client.read()) if packet.kind == PUBLISH][0].number
        client.send(acknowledge(PUBREC, number))
        assert client.expect(PUBREL).number == number
    for _ in range(3):
        with Raw(port) as client:
            client.connect(topic, clean=False, props=KEPT)
            assert client.expect(PUBREL).number == number
            client.quiet()


def test_take_over_repeats(port, topic):
    """A session that is taken over goes on where it was, what was not acknowledged first."""
    # proves: v5 MQTT-4.4.0-1 MQTT-3.1.4-3
    with Raw(port) as writer, Raw(port) as first, Raw(port) as second:
        writer.connect()
        first.connect(topic, clean=False, props=KEPT)
        first.subscribe((topic, 1))
        for number in range(10):
            writer.publish(topic, str(number), 1)
        found = [first.expect(PUBLISH) for _ in range(10)]
        assert second.connect(topic, clean=False, props=KEPT).present == 1
        again = second.take(10)
        assert [(message.payload, message.number, message.dup) for message in again] == [(message.payload, message.number, True) for message in found]
        first.refused(0x8E)


def test_subscriptions_last(port, topic):
    """Options and identifiers of subscriptions are part of the session, and so are unsubscribes."""
    # proves: v5 MQTT-3.1.2-5 MQTT-3.3.4-3
    with Raw(port) as client:
        client.connect(topic, clean=False, props=KEPT)
        # No local, retain as published, quality of service 1.
        client.subscribe((topic, 1 | 4 | 8), props={"subscription_id": 5})
        client.subscribe((f"{topic}/gone", 1))
        client.unsubscribe(f"{topic}/gone")
        client.leave()
    with Raw(port) as client, Raw(port) as writer:
        client.connect(topic, clean=False, props=KEPT)
        writer.connect()
        client.publish(topic, b"own", 1)
        writer.publish(f"{topic}/gone", b"x", 1)
        writer.publish(topic, b"other", 2, retain=True)
        [message] = client.take(1)
        assert (message.payload, message.qos, message.retain, message.all("subscription_id")) == (b"other", 1, True, [5])
        client.quiet()
        writer.publish(topic, b"", 1, retain=True)


def test_session_ends_with_a_clean_connection(port, topic, level):
    """Without an expiry, or with a clean session in 3.1.1, nothing is left once the connection is gone."""
    # proves: v5 MQTT-3.1.2-23; v3.1.1 MQTT-3.1.2-6
    with Raw(port, level) as client:
        client.connect(topic, clean=level == 4)
        client.subscribe((topic, 1))
        client.drop()
    with Raw(port, level) as client:
        # A clean session in 3.1.1 leaves nothing; in MQTT 5 an expiry of 0 leaves nothing.
        time.sleep(0.2)
        assert client.connect(topic, clean=False).present == 0


def test_session_expiry(port, topic):
    """A session lasts as long as was asked for, counted from the end of the connection."""
    # proves: v5 MQTT-3.1.2-23 MQTT-4.1.0-1 MQTT-4.1.0-2
    def there(name, seconds):
        with Raw(port) as client:
            present = client.connect(name, clean=False, props={"session_expiry": seconds}).present
            client.drop()
            return present

    with Raw(port) as online:
        online.connect(f"{topic}-online", clean=False, props={"session_expiry": 1})
        for name in ("ended", "there", "renewed"):
            there(f"{topic}-{name}", 1 if name == "ended" else 3)
        time.sleep(1.7)
        assert there(f"{topic}-renewed", 3) == 1
        assert there(f"{topic}-there", 3) == 1
        time.sleep(0.6)
        assert there(f"{topic}-ended", 0) == 0
        # It would be over if it counted while it is connected.
        online.quiet()
        online.drop()
        assert there(f"{topic}-online", 0) == 1
        time.sleep(1.3)
        assert there(f"{topic}-renewed", 0) == 1


def test_expiry_changes_at_the_end(port, topic):
    """DISCONNECT may lengthen, shorten or end a session that was to last."""
    # proves: v5 MQTT-3.14.2-1
    def change(name, first, then):
        with Raw(port) as client:
            client.connect(f"{topic}-{name}", clean=True, props={"session_expiry": first})
            client.leave(0, {"session_expiry": then})

    change("longer", 1, 60)
    change("shorter", 60, 1)
    change("ended", 60, 0)
    for name, present in (("ended", 0), ("longer", 1)):
        if name == "longer":
            time.sleep(2.2)
        with Raw(port) as client:
            assert client.connect(f"{topic}-{name}", clean=False).present == present, name
    with Raw(port) as client:
        assert client.connect(f"{topic}-shorter", clean=False).present == 0


def test_expiry_cannot_begin_at_the_end(port, topic):
    """DISCONNECT cannot make a session last that was not to: a protocol error, after which the will goes out."""
    # proves: v5 MQTT-3.14.2-1 MQTT-4.13.1-1
    with Raw(port) as reader, Raw(port) as client:
        reader.connect()
        reader.subscribe(topic)
        client.connect(topic, will={"topic": topic, "payload": b"gone"})
        client.send(raw.disconnect(0, {"session_expiry": 60}))
        client.refused(0x82)
        assert reader.take(1)[0].payload == b"gone"
    with Raw(port) as client:
        assert client.connect(topic, clean=False).present == 0


def test_paho_comes_back(port, topic, level):
    """paho with a lasting session hears what it missed."""
    # proves: v5 MQTT-3.1.2-5; v3.1.1 MQTT-3.1.2-5
    options = {"version": level, "clean": False, "expiry": 60 if level == 5 else None}
    with connected(port, topic, **options) as client:
        client.subscribe((topic, 2))
    with connected(port, version=level) as writer:
        for qos in (1, 2):
            assert writer.publish(topic, str(qos), qos) == 0
    with connected(port, topic, **options) as client:
        assert client.connack[0] is True
        assert [(message.payload, message.qos) for message in client.messages(2)] == [(b"1", 1), (b"2", 2)]
        # The session is not to last longer than the test.
        client.client.disconnect(**({"properties": props("DISCONNECT", SessionExpiryInterval=0)} if level == 5 else {}))


def test_unsubscribe_while_away(port, topic, level):
    """What was queued before an unsubscribe is still delivered; what is published afterwards is not."""
    # proves: v5 MQTT-3.10.4-2 MQTT-3.10.4-3; v3.1.1 MQTT-3.10.4-2 MQTT-3.10.4-3
    offline(port, topic, level, ("started", 1))
    with Raw(port, level) as client, Raw(port) as writer:
        writer.connect()
        client.connect(topic, **lasting(level))
        message = client.expect(PUBLISH)
        client.unsubscribe(topic)
        writer.publish(topic, b"after", 1)
        client.send(acknowledge(PUBACK, message.number))
        client.quiet()
