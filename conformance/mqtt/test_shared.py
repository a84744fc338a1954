"""Shared subscriptions: one member of a group gets each message."""

import time

import pytest
import raw
from pm import connected
from raw import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Raw, acknowledge

KEPT = {"session_expiry": 60}


@pytest.fixture
def writer(port):
    with Raw(port) as writer:
        writer.connect()
        yield writer


def heard(*clients):
    """What each has waiting, acknowledged."""
    found = []
    for client in clients:
        client.send(raw.PINGREQ_BYTES)
        mine = []
        while (packet := client.read()).kind != raw.PINGRESP:
            client.finish(packet)
            mine.append(packet)
        found.append(mine)
    return found


def gathered(count, *clients, seconds=10):
    """What each has heard once all together have heard `count`."""
    found = [[] for _ in clients]
    deadline = time.monotonic() + seconds
    while sum(map(len, found)) < count:
        assert time.monotonic() < deadline, found
        for mine, new in zip(found, heard(*clients), strict=True):
            mine.extend(new)
    return found


@pytest.mark.parametrize("levels", [(5, 5), (4, 4), (4, 5)])
def test_one_member_each(port, topic, writer, levels):
    """Every message goes to one member, and no member is left out; 3.1.1 may be one."""
    # proves: v5 MQTT-4.8.2-3
    with Raw(port, levels[0]) as one, Raw(port, levels[1]) as two:
        for client in (one, two):
            client.connect()
            assert client.subscribe((f"$share/g/{topic}", 1)) == [1]
        for number in range(40):
            writer.publish(topic, str(number), 1)
        first, second = gathered(40, one, two)
        assert first and second
        assert sorted(int(message.payload) for message in first + second) == list(range(40))
        for mine in (first, second):
            assert [int(message.payload) for message in mine] == sorted(int(message.payload) for message in mine)
        assert heard(one, two) == [[], []]


def test_groups_are_apart(port, topic, writer):
    """Each group gets every message; a plain subscription of a member is a copy of its own."""
    # proves: v5 MQTT-4.8.2-3
    with Raw(port) as one, Raw(port) as two:
        one.connect()
        two.connect()
        one.subscribe(f"$share/g/{topic}")
        two.subscribe(f"$share/h/{topic}", topic)
        for _ in range(10):
            writer.publish(topic, b"x")
        first, second = gathered(30, one, two)
        assert (len(first), len(second)) == (10, 20)


def test_no_retained_messages(port, topic):
    """C28: a shared subscription brings no retained messages, whatever its retain handling."""
    # proves: v5 MQTT-4.8.2-3 MQTT-3.3.1-9
    with connected(port) as client:
        client.publish(topic, b"kept", 1, retain=True)
        client.subscribe((f"$share/g/{topic}", 1))
        client.silent(0.5)
        client.client.publish(topic, b"live", 1)
        assert {client.next()[0], client.next()[0]} == {"message", "published"}
        client.client.publish(topic, b"", 1, retain=True)
        assert {client.next()[0], client.next()[0]} == {"message", "published"}


def test_no_local(port, topic):
    """C24: no local cannot be asked of a shared subscription."""
    # proves: v5 MQTT-3.8.3-4
    with Raw(port) as client:
        client.connect()
        client.send(raw.subscribe(1, (f"$share/g/{topic}", 4)))
        client.refused(0x82)


def test_filter_begins_with_a_slash(port, topic, writer):
    """`$share/g//a` is the filter `/a`."""
    # proves: v5 MQTT-4.8.2-1
    with Raw(port) as client:
        client.connect()
        assert client.subscribe(f"$share/g//{topic}") == [0]
        writer.publish(topic, b"no")
        writer.publish(f"/{topic}", b"yes")
        assert client.take(1)[0].payload == b"yes"


def test_dollar_topics(port, topic, writer):
    """A wildcard in a group leaves topics alone that begin with a dollar."""
    # proves: v5 MQTT-4.7.2-1
    with Raw(port) as client:
        client.connect()
        client.subscribe(f"$share/{topic}/#")
        time.sleep(0.3)
        writer.publish(topic, b"x")
        while (message := client.expect(PUBLISH)).topic != topic:
            assert not message.topic.startswith("$"), message


def test_quality_and_identifier_of_the_member(port, topic, writer):
    """The quality granted to the member, and its identifier, are those of the message."""
    # proves: v5 MQTT-4.8.2-3 MQTT-3.3.4-3 MQTT-3.8.4-8
    with Raw(port) as one, Raw(port) as two:
        for number, client in enumerate((one, two), 1):
            client.connect()
            client.subscribe((f"$share/g/{topic}", number - 1), props={"subscription_id": number})
        for _ in range(20):
            writer.publish(topic, b"x", 2)
        first, second = gathered(20, one, two)
        assert first and {(message.qos, *message.all("subscription_id")) for message in first} == {(0, 1)}
        assert second and {(message.qos, *message.all("subscription_id")) for message in second} == {(1, 2)}


def test_leaving(port, topic, writer):
    """A member that unsubscribes or goes leaves its share to the others."""
    # proves: v5 MQTT-4.8.2-3 MQTT-3.10.4-2
    with Raw(port) as stays, Raw(port) as goes, Raw(port) as leaves:
        for client in (stays, goes, leaves):
            client.connect()
            client.subscribe((f"$share/g/{topic}", 1))
        assert goes.unsubscribe(f"$share/g/{topic}") == [0]
        assert goes.unsubscribe(f"$share/g/{topic}") == [0x11]
        leaves.leave()
        for number in range(20):
            writer.publish(topic, str(number), 1)
        assert len(gathered(20, stays)[0]) == 20
        goes.quiet()


def test_connected_members_first(port, topic, writer):
    """While a member is connected nothing is kept for one that is away."""
    # proves: v5 MQTT-4.8.2-3
    with Raw(port) as away:
        away.connect(f"{topic}-away", clean=False, props=KEPT)
        away.subscribe((f"$share/g/{topic}", 1))
        away.leave()
    with Raw(port) as here:
        here.connect()
        here.subscribe((f"$share/g/{topic}", 1))
        for number in range(20):
            writer.publish(topic, str(number), 1)
        assert len(gathered(20, here)[0]) == 20


def test_queue_of_a_group_that_is_away(port, topic, writer):
    """What is published while all members are away waits for one of them, once."""
    # proves: v5 MQTT-4.8.2-3 MQTT-4.1.0-1
    names = (f"{topic}-1", f"{topic}-2")
    for name in names:
        with Raw(port) as client:
            client.connect(name, clean=False, props=KEPT)
            client.subscribe((f"$share/g/{topic}", 1))
            client.leave()
    for number in range(10):
        writer.publish(topic, str(number), 1)
    with Raw(port) as one, Raw(port) as two:
        for client, name in ((one, names[0]), (two, names[1])):
            assert client.connect(name, clean=False, props=KEPT).present == 1
        found = gathered(10, one, two)
        assert sorted(int(message.payload) for mine in found for message in mine) == list(range(10))
        assert heard(one, two) == [[], []]


def test_a_restart_deals_nothing_twice(started):
    """What a group's members have acknowledged is not dealt again after an orderly restart."""
    # proves: v5 MQTT-4.8.2-3 MQTT-4.1.0-1
    server = started()
    with Raw(server.mqtt_port) as client, Raw(server.mqtt_port) as writer:
        client.connect("member", clean=False, props=KEPT)
        client.subscribe(("$share/g/restart", 1))
        writer.connect()
        for number in range(5):
            writer.publish("restart", str(number), 1)
        assert len(client.take(5)) == 5
        client.quiet()
    server.terminate()
    server.start()
    with Raw(server.mqtt_port) as client, Raw(server.mqtt_port) as writer:
        assert client.connect("member", clean=False, props=KEPT).present == 1
        writer.connect()
        writer.publish("restart", b"new", 1)
        assert client.take(1)[0].payload == b"new"
        client.quiet()


def test_begun_qos_2_stays_with_its_member(port, topic, writer):
    """A QoS 2 message that a member has begun is finished with it, or not at all."""
    # proves: v5 MQTT-4.8.2-4 MQTT-4.8.2-5
    names = (f"{topic}-1", f"{topic}-2")
    with Raw(port) as one, Raw(port) as two:
        for client, name in ((one, names[0]), (two, names[1])):
            client.connect(name, clean=False, props=KEPT)
        one.subscribe((f"$share/g/{topic}", 2))
        writer.publish(topic, b"begun", 2)
        message = one.expect(PUBLISH)
        two.subscribe((f"$share/g/{topic}", 2))
        one.send(acknowledge(PUBREC, message.number))
        assert one.expect(PUBREL).number == message.number
        one.drop()
        two.silent(0.5)
        with Raw(port) as back:
            assert back.connect(names[0], clean=False, props=KEPT).present == 1
            assert back.expect(PUBREL).number == message.number
            back.send(acknowledge(PUBCOMP, message.number))
            back.quiet()
        with Raw(port) as back:
            # Its session ends with a message in flight: the other does not get it.
            back.connect(names[0], clean=True)
            back.subscribe((f"$share/g/{topic}", 2))
            two.unsubscribe(f"$share/g/{topic}")
            writer.publish(topic, b"begun too", 2)
            back.send(acknowledge(PUBREC, back.expect(PUBLISH).number))
            back.expect(PUBREL)
            two.subscribe((f"$share/g/{topic}", 2))
        two.silent(0.5)


def test_qos_1_moves_when_its_member_ends(port, topic, writer):
    """A QoS 1 message that a member has not acknowledged goes to another when the member's session ends."""
    # proves: v5 MQTT-4.8.2-3
    with Raw(port) as one, Raw(port) as two:
        one.connect()
        two.connect()
        one.subscribe((f"$share/g/{topic}", 1))
        writer.publish(topic, b"moves", 1)
        one.expect(PUBLISH)
        two.subscribe((f"$share/g/{topic}", 1))
        one.drop()
        assert two.take(1, seconds=3)[0].payload == b"moves"


def test_refused_by_its_member(port, topic, writer):
    """A message that its member refuses is not tried elsewhere."""
    # proves: v5 MQTT-4.8.2-6
    with Raw(port) as one, Raw(port) as two:
        for client in (one, two):
            client.connect()
        one.subscribe((f"$share/g/{topic}", 2))
        for qos, kind in ((1, PUBACK), (2, PUBREC)):
            writer.publish(topic, b"x", qos)
            message = one.expect(PUBLISH)
            two.subscribe((f"$share/g/{topic}", 2))
            one.send(acknowledge(kind, message.number, 0x80))
            one.quiet()
            two.silent(0.3)
            two.unsubscribe(f"$share/g/{topic}")


def test_too_large_for_one_member(port, topic, writer):
    """A message that one member cannot take goes to one that can."""
    # proves: v5 MQTT-3.1.2-25
    with Raw(port) as small, Raw(port) as large:
        small.connect(props={"maximum_packet_size": 100})
        large.connect()
        for client in (small, large):
            client.subscribe((f"$share/g/{topic}", 1))
        for _ in range(10):
            writer.publish(topic, b"x" * 200, 1)
        assert len(gathered(10, large)[0]) == 10
        small.quiet()
