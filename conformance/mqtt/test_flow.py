"""PUBLISH and its acknowledgements: quality of service, packet ids, receive maximum, sizes, topic aliases."""

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


@pytest.fixture(params=[4, 5])
def level(request):
    return request.param


def test_quality_is_the_lower(port, topic, writer, level):
    """A message is delivered at the lower of the quality published and the quality granted."""
    # proves: v5 MQTT-3.8.4-8 MQTT-4.3.1-1 MQTT-4.3.2-2 MQTT-4.3.3-2; v3.1.1 MQTT-3.8.4-6 MQTT-4.3.1-1
    for granted in (0, 1, 2):
        with Raw(port, level) as client:
            client.connect()
            assert client.subscribe((topic, granted)) == [granted]
            for published in (0, 1, 2):
                writer.publish(topic, str(published), published)
            found = client.take(3)
            assert [(int(message.payload), message.qos) for message in found] == [(qos, min(qos, granted)) for qos in (0, 1, 2)]
            client.quiet()


def test_dup_is_not_passed_on(port, topic, writer):
    """DUP of the publisher does not reach subscribers."""
    # proves: v5 MQTT-3.3.1-1 MQTT-3.3.1-3; v3.1.1 MQTT-3.3.1-3
    with Raw(port) as client:
        client.connect()
        client.subscribe((topic, 2))
        for qos in (1, 2):
            writer.publish(topic, b"x", qos, dup=True)
        assert [message.dup for message in client.take(2)] == [False, False]


def test_acknowledged_id_is_free(port, topic, writer):
    """The id of a QoS 1 message that was acknowledged is free: the same packet again, DUP or not, is a new message."""
    # proves: v5 MQTT-4.3.2-5 MQTT-2.2.1-4; v3.1.1 MQTT-2.3.1-4
    with Raw(port) as client:
        client.connect()
        client.subscribe((topic, 1))
        for dup in (False, False, True):
            writer.publish(topic, b"x", 1, 5, dup=dup)
        assert len(client.take(3)) == 3
        client.quiet()


def test_qos_2_once(port, topic, level):
    """The same QoS 2 packet before its PUBREL is the same message; after its PUBCOMP it is a new one."""
    # proves: v5 MQTT-4.3.3-8 MQTT-4.3.3-10 MQTT-4.3.3-12; v3.1.1 MQTT-4.3.3-2
    with Raw(port) as client, Raw(port, level) as sender:
        client.connect()
        client.subscribe((topic, 2))
        sender.connect()
        for dup in (False, True):
            sender.send(raw.publish(topic, b"first", 2, 5, dup=dup, level=level))
            assert sender.expect(PUBREC).number == 5
        sender.send(acknowledge(PUBREL, 5))
        assert sender.expect(PUBCOMP).number == 5
        sender.publish(topic, b"second", 2, 5)
        assert [message.payload for message in client.take(2)] == [b"first", b"second"]
        client.quiet()


def test_ids_of_both_sides_are_apart(port, topic):
    """Client and server may use the same id at the same time."""
    # proves: v5 MQTT-2.2.1-4; v3.1.1 MQTT-2.3.1-2
    with Raw(port) as client, Raw(port) as sender:
        client.connect()
        sender.connect()
        client.subscribe((topic, 2))
        sender.publish(topic, b"in", 2, 1)
        number = client.expect(PUBLISH).number
        client.send(raw.publish(f"{topic}/out", b"x", 2, number))
        assert client.expect(PUBREC).number == number
        client.send(acknowledge(PUBREC, number), acknowledge(PUBREL, number))
        assert {client.read().kind, client.read().kind} == {PUBREL, PUBCOMP}


def test_server_ids_are_not_zero_and_not_twice(port, topic, writer):
    """Ids of what the server sends are neither 0 nor in use."""
    # proves: v5 MQTT-2.2.1-4 MQTT-2.2.1-2; v3.1.1 MQTT-2.3.1-2 MQTT-2.3.1-5
    with Raw(port) as client:
        client.connect()
        client.subscribe((topic, 1))
        for _ in range(100):
            writer.publish(topic, b"x", 1)
        numbers = {client.expect(PUBLISH).number for _ in range(100)}
        assert len(numbers) == 100 and 0 not in numbers
        # Half are acknowledged, so half of the ids may come again, the others may not.
        done = set(sorted(numbers)[::2])
        client.send(*[acknowledge(PUBACK, number) for number in done])
        for _ in range(50):
            writer.publish(topic, b"x", 1)
        again = [client.expect(PUBLISH).number for _ in range(50)]
        assert len(set(again)) == 50 and not set(again) & (numbers - done)


def test_ids_go_round(port, topic):
    """More messages than there are ids pass one connection."""
    # proves: v5 MQTT-2.2.1-4; v3.1.1 MQTT-2.3.1-4
    with Raw(port) as client, Raw(port, 4) as writer:
        client.connect()
        writer.connect()
        client.subscribe((topic, 1))
        for begin in range(0, 66_000, 100):
            numbers = range(begin, begin + 100)
            writer.send(*[raw.publish(topic, str(number), 1, number % 65_535 + 1, level=4) for number in numbers])
            # A PUBACK of 3.1.1 has four bytes; taking each apart would take longer than all the rest.
            left = 4 * len(numbers)
            while left:
                left -= len(writer.socket.recv(left))
            found = [client.expect(PUBLISH) for _ in numbers]
            assert [int(packet.payload) for packet in found] == list(numbers) and all(packet.number for packet in found)
            client.send(*[acknowledge(PUBACK, packet.number) for packet in found])


def test_order_of_acknowledgements(port, topic, level):
    """PUBACK and PUBREC come in the order of the packets they answer."""
    # proves: v5 MQTT-2.2.1-5 MQTT-3.3.4-1 MQTT-4.6.0-2 MQTT-4.6.0-3 MQTT-4.6.0-4; v3.1.1 MQTT-2.3.1-6 MQTT-3.3.4-1 MQTT-4.6.0-2 MQTT-4.6.0-3 MQTT-4.6.0-4
    with Raw(port, level) as client:
        client.connect()
        numbers = [9, 3, 200, 1, 77, 5, 4, 60, 61, 2]
        for qos, kind in ((1, PUBACK), (2, PUBREC)):
            client.send(*[raw.publish(topic, b"x", qos, number, level=level) for number in numbers])
            assert [client.expect(kind).number for _ in numbers] == numbers
        client.send(*[acknowledge(PUBREL, number) for number in numbers])
        assert [client.expect(PUBCOMP).number for _ in numbers] == numbers


def test_refused_by_the_subscriber(port, topic, writer):
    """C14: a PUBREC that refuses ends the exchange: no PUBREL, nothing again, and the id is used later."""
    # proves: v5 MQTT-4.3.3-4 MQTT-4.4.0-2 MQTT-2.2.1-4
    with Raw(port) as client:
        client.connect(topic, clean=False, props={**KEPT, "receive_maximum": 1})
        client.subscribe((topic, 2))
        for number in range(3):
            writer.publish(topic, str(number), 2)
            message = client.expect(PUBLISH)
            assert message.payload == str(number).encode()
            client.send(acknowledge(PUBREC, message.number, 0x80))
            client.quiet()
        # The one place of the receive maximum is free each time; and so is one after a refused PUBACK.
        writer.publish(topic, b"last", 1)
        client.send(acknowledge(PUBACK, client.expect(PUBLISH).number, 0x97))
        client.quiet()
    with Raw(port) as client:
        client.connect(topic, clean=False, props=KEPT)
        client.quiet()


def test_unknown_ids(port):
    """Answers to what nobody asked: PUBREC and PUBREL are told 0x92, PUBACK and PUBCOMP change nothing."""
    # proves: v5 MQTT-4.3.3-11
    with Raw(port) as client:
        client.connect()
        client.send(acknowledge(PUBREL, 77))
        done = client.expect(PUBCOMP)
        assert (done.number, done.reason) == (77, 0x92)
        client.send(acknowledge(PUBREC, 78))
        release = client.expect(PUBREL)
        assert (release.number, release.reason) == (78, 0x92)
    with Raw(port, 4) as client:
        client.connect()
        client.send(acknowledge(PUBREL, 77))
        assert client.expect(PUBCOMP).number == 77
        client.quiet()


def test_long_forms(port, topic, writer):
    """Acknowledgements may carry a reason, properties, or neither."""
    # proves: v5 MQTT-2.2.2-1
    with Raw(port) as client:
        client.connect()
        client.subscribe((topic, 2))
        for props in (None, (), {"reason_string": "fine"}, [("user", ("a", "b")), ("user", ("a", "b"))]):
            reason = 0
            writer.publish(topic, b"x", 1)
            client.send(acknowledge(PUBACK, client.expect(PUBLISH).number, reason, props))
            writer.publish(topic, b"x", 2)
            number = client.expect(PUBLISH).number
            client.send(acknowledge(PUBREC, number, reason, props))
            assert client.expect(PUBREL).number == number
            client.send(acknowledge(PUBCOMP, number, reason, props))
            client.quiet()


def test_receive_maximum_of_the_client(port, topic, writer):
    """C16: a client that takes two at a time gets two, and a third once one is acknowledged."""
    # proves: v5 MQTT-3.3.4-9 MQTT-4.9.0-1 MQTT-4.9.0-2
    with Raw(port) as client:
        client.connect(props={"receive_maximum": 2})
        client.subscribe((topic, 1))
        for number in range(3):
            writer.publish(topic, str(number), 1)
        first, second = client.expect(PUBLISH), client.expect(PUBLISH)
        client.quiet()
        client.silent(0.5)
        client.send(acknowledge(PUBACK, second.number))
        assert client.expect(PUBLISH).payload == b"2"
        client.send(acknowledge(PUBACK, first.number))
        client.quiet()


def test_quota_of_qos_2_comes_back_at_the_end(port, topic, writer):
    """A QoS 2 message holds its place until PUBCOMP."""
    # proves: v5 MQTT-3.3.4-9 MQTT-4.9.0-2
    with Raw(port) as client:
        client.connect(props={"receive_maximum": 1})
        client.subscribe((topic, 2))
        writer.publish(topic, b"0", 2)
        writer.publish(topic, b"1", 1)
        message = client.expect(PUBLISH)
        client.send(acknowledge(PUBREC, message.number))
        client.expect(PUBREL)
        client.quiet()
        client.silent(0.3)
        client.send(acknowledge(PUBCOMP, message.number))
        assert client.expect(PUBLISH).payload == b"1"


def test_full_quota_holds_nothing_else(port, topic, writer):
    """With no quota left QoS 0, answers and the client's own publishes go on."""
    # proves: v5 MQTT-3.3.4-10 MQTT-4.9.0-3
    with Raw(port) as client:
        client.connect(props={"receive_maximum": 1})
        client.subscribe((f"{topic}/#", 2))
        writer.publish(f"{topic}/held", b"0", 1)
        message = client.expect(PUBLISH)
        for number in range(3):
            writer.publish(f"{topic}/held", b"waits", 1)
        writer.publish(f"{topic}/free", b"passes", 0)
        assert client.expect(PUBLISH).payload == b"passes"
        assert client.subscribe(f"other/{topic}") == [0]
        assert client.unsubscribe(f"other/{topic}") == [0]
        assert client.publish(f"elsewhere/{topic}", b"x", 2, 4) in (0, 0x10)
        client.quiet()
        client.send(acknowledge(PUBACK, message.number))
        assert [found.payload for found in client.take(3)] == [b"waits"] * 3


def test_receive_maximum_is_of_the_connection(port, topic, writer):
    """A reconnect brings its own receive maximum, and what was in flight counts again."""
    # proves: v5 MQTT-3.3.4-9 MQTT-4.9.0-1
    with Raw(port) as client:
        client.connect(topic, clean=False, props={**KEPT, "receive_maximum": 5})
        client.subscribe((topic, 1))
        for number in range(8):
            writer.publish(topic, str(number), 1)
        assert len([client.expect(PUBLISH) for _ in range(5)]) == 5
        client.silent(0.3)
    for maximum in (2, 3):
        with Raw(port) as client:
            client.connect(topic, clean=False, props={**KEPT, "receive_maximum": maximum})
            found = [client.expect(PUBLISH) for _ in range(maximum)]
            assert [message.payload for message in found] == [str(number).encode() for number in range(maximum)]
            client.quiet()
            client.silent(0.3)
    with Raw(port) as client:
        client.connect(topic, clean=False, props=KEPT)
        assert [int(message.payload) for message in client.take(8)] == list(range(8))


def test_receive_maximum_of_the_server(started, topic):
    """C17: one more than the server takes at a time ends the connection with 0x93; as many as it takes do not."""
    # proves: v5 MQTT-3.3.4-7 MQTT-4.9.0-1
    port = started(receive_maximum=10).mqtt_port
    with Raw(port) as client:
        maximum = client.connect().get("receive_maximum", 65_535)
        assert maximum == 10
        client.send(*[raw.publish(topic, b"x", 2, number) for number in range(1, maximum + 1)])
        assert [client.expect(PUBREC).number for _ in range(maximum)] == list(range(1, maximum + 1))
        # The same message again takes no place, QoS 0 takes none, and an end gives one back.
        client.send(raw.publish(topic, b"x", 2, 1, dup=True), raw.publish(topic, b"x"))
        assert client.expect(PUBREC).number == 1
        client.send(acknowledge(PUBREL, 1))
        client.expect(PUBCOMP)
        client.send(raw.publish(topic, b"x", 2, 100))
        assert client.expect(PUBREC).number == 100
        client.send(raw.publish(topic, b"x", 2, 101))
        client.refused(0x93)
    with Raw(port) as client:
        client.connect()
        client.send(*[raw.publish(topic, b"x", 2, number) for number in range(1, 12)])
        client.refused(0x93)
    with Raw(port) as client:
        client.connect(topic, props=KEPT)
        for number in range(1, 31):
            client.publish(topic, b"x", 1, number)


def test_maximum_packet_size_of_the_client(port, topic):
    """C18: what is larger than a client takes never comes, what is smaller does, and the connection stays."""
    # proves: v5 MQTT-3.1.2-24 MQTT-3.1.2-25
    with connected(port, properties={"MaximumPacketSize": 64}) as client, Raw(port) as writer:
        writer.connect()
        client.subscribe(("t", 1))
        for size in (30, 64, 31):
            writer.publish("t", b"x" * size, 1)
        assert [len(message.payload) for message in client.messages(2)] == [30, 31]
        client.publish(topic, b"", 1)


def test_dropped_for_size_holds_no_place(port, topic, writer):
    """A message dropped for its size counts as delivered: it takes no quota and comes with no reconnect."""
    # proves: v5 MQTT-3.1.2-25
    for again in (False, True):
        with Raw(port) as client:
            client.connect(topic, clean=False, props={**KEPT, "receive_maximum": 1, "maximum_packet_size": 200})
            if not again:
                client.subscribe((topic, 1))
            for size in (500, 600, 10):
                writer.publish(topic, b"x" * size, 1)
            [message] = client.take(1)
            assert len(message.payload) == 10
            client.quiet()
    with Raw(port) as client:
        client.connect(topic, clean=False, props=KEPT)
        client.quiet()


def test_answers_fit_the_clients_size(port, topic):
    """Answers leave out their words before they get too large, and stay without words when nobody wants them."""
    # proves: v5 MQTT-3.4.2-2 MQTT-3.4.2-3 MQTT-3.9.2-1 MQTT-3.9.2-2 MQTT-3.1.2-29
    for props in ({"maximum_packet_size": 40}, {"request_problem": 0}):
        with Raw(port) as client:
            client.connect(topic, props=props)
            client.send(raw.subscribe(1, "a/#/b"), raw.unsubscribe(2, "never"), raw.publish(topic, b"x", 1, 3))
            found = [client.read() for _ in range(3)]
            client.send(raw.publish(topic, b"x", 2, 4), acknowledge(PUBREL, 4), acknowledge(PUBREL, 99))
            found += [client.read() for _ in range(3)]
            for packet in found:
                assert packet.size <= 40, packet
                if "request_problem" in props:
                    assert not packet.all("reason_string") and not packet.all("user"), packet


def test_maximum_packet_size_of_the_server(started, topic):
    """C19: a header that announces too much ends the connection with 0x95 before the body comes."""
    # proves: v5 MQTT-3.2.2-15 MQTT-4.13.1-1
    port = started(packet_bytes=10_000).mqtt_port
    for level in (4, 5):
        with Raw(port, level) as client:
            ack = client.connect()
            if level == 5:
                assert ack.get("maximum_packet_size") == 10_000
            whole = raw.publish(topic, b"", 0, level=level)
            fitting = raw.publish(topic, b"x" * (10_000 - len(whole) - 1), level=level)
            assert len(fitting) == 10_000
            client.send(fitting)
            client.quiet()
            client.send(raw.publish(topic, b"x" * (10_000 - len(whole)), level=level)[:5])
            client.refused(0x95)


def test_aliases_of_the_client(started, topic):
    """A topic alias stands for its topic until it is given another one, and only on its connection."""
    # proves: v5 MQTT-3.3.2-7 MQTT-3.3.2-12
    port = started(topic_alias_maximum=3).mqtt_port
    with Raw(port) as reader:
        reader.connect()
        reader.subscribe(f"{topic}/#")
        with Raw(port) as client:
            assert client.connect(topic, props=KEPT).get("topic_alias_maximum") >= 3
            for name, alias, payload in (("a", 1, b"1"), ("b", 3, b"2"), ("", 1, b"3"), ("", 3, b"4"), ("c", 1, b"5"), ("", 1, b"6")):
                client.send(raw.publish(f"{topic}/{name}" if name else "", payload, props={"topic_alias": alias}))
            found = reader.take(6)
            assert [message.topic.rsplit("/")[-1] for message in found] == ["a", "b", "a", "b", "c", "c"]
            assert not any(message.all("topic_alias") for message in found)
            client.quiet()
        with Raw(port) as client:
            client.connect(topic, clean=False, props=KEPT)
            client.send(raw.publish("", b"x", props={"topic_alias": 1}))
            client.refused(0x82)


# Topic, alias counted from the server's maximum when it is above 1,000, and the reason.
WRONG_ALIASES = {"alias 0": ("t", 0, 0x94), "above the maximum": ("t", 1_001, 0x94), "unknown": ("", 5, 0x82), "none": ("", None, 0x82)}


@pytest.mark.parametrize("name", WRONG_ALIASES)
@pytest.mark.parametrize("qos", [0, 1])
def test_wrong_aliases(port, name, qos):
    """C21: aliases that are 0, too large, or never given, and no topic at all, end the connection."""
    # proves: v5 MQTT-3.3.2-8 MQTT-3.3.2-9 MQTT-4.7.3-1 MQTT-4.13.1-1
    topic, alias, code = WRONG_ALIASES[name]
    with Raw(port) as client:
        maximum = client.connect().get("topic_alias_maximum", 0)
        if alias and alias > 1_000:
            alias += maximum - 1_000
        client.send(raw.publish(topic, b"x", qos, 1, props={} if alias is None else {"topic_alias": alias}))
        client.refused(code)


def test_no_alias_unless_wanted(port, topic, writer):
    """The server gives no aliases to clients that take none."""
    # proves: v5 MQTT-3.1.2-26 MQTT-3.1.2-27
    for props in ((), {"topic_alias_maximum": 0}):
        with Raw(port) as client:
            client.connect(props=props)
            client.subscribe(topic)
            for _ in range(3):
                writer.publish(topic, b"x")
            assert not any(message.all("topic_alias") for message in client.take(3))


def test_aliases_of_the_server_are_within_bounds(port, topic, writer):
    """The server's aliases stay within the client's maximum, and every message can be put to its topic."""
    # proves: v5 MQTT-3.1.2-26 MQTT-3.3.2-7 MQTT-3.3.2-11
    with Raw(port) as client:
        client.connect(props={"topic_alias_maximum": 2})
        client.subscribe(f"{topic}/+")
        wanted = [f"{topic}/{number % 5}" for number in range(25)]
        for name in wanted:
            writer.publish(name, b"x")
        aliases, heard = {}, []
        for message in client.take(25):
            alias = message.get("topic_alias")
            assert alias in (None, 1, 2)
            if alias and message.topic:
                aliases[alias] = message.topic
            heard.append(message.topic or aliases[alias])
        assert heard == wanted


def test_no_subscriber(port, topic):
    """C36: an acknowledgement may say that nobody listens, and never says so where somebody does."""
    # proves: v5 MQTT-3.4.2-1 MQTT-3.5.2-1
    with connected(port) as client:
        for qos in (1, 2):
            # Of PUBREC paho tells no reason.
            assert client.publish(topic, b"x", qos) == (0x10 if qos == 1 else 0)
        client.subscribe((f"{topic}/#", 0))
        client.client.publish(topic, b"x", 1)
        kinds = sorted([client.next(), client.next()], key=lambda event: event[0])
        assert [event[0] for event in kinds] == ["message", "published"] and kinds[1][2] == 0
    with Raw(port) as client:
        client.connect()
        assert client.publish(topic, b"x", 2) in (0, 0x10)


BAD_PACKETS = {
    "quality 3": (lambda level: raw.packet(PUBLISH, raw.publish("t", b"x", 1, 1, level=level)[2:], 6), (0x81,)),
    "dup without quality": (lambda level: raw.publish("t", b"x", dup=True, level=level), (0x81, 0x82)),
    "plus in a topic": (lambda level: raw.publish("a/+", b"x", level=level), (0x81, 0x82, 0x90)),
    "hash in a topic": (lambda level: raw.publish("#", b"x", 1, 1, level=level), (0x81, 0x82, 0x90)),
    "topic cut off": (lambda level: raw.packet(PUBLISH, b"\x00\x05ab"), (0x81,)),
    "length cut off": (lambda level: raw.packet(PUBLISH, b"\x00"), (0x81,)),
    "id cut off": (lambda level: raw.packet(PUBACK, b"\x00"), (0x81,)),
    "no body": (lambda level: raw.packet(PUBLISH), (0x81,)),
}


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize("name", BAD_PACKETS)
def test_bad_publishes(port, name, level):
    """C34: quality of service 3, DUP without one, wildcards in a topic and packets cut off end the connection."""
    # proves: v5 MQTT-3.3.1-2 MQTT-3.3.1-4 MQTT-3.3.2-2 MQTT-4.7.0-1; v3.1.1 MQTT-3.3.1-2 MQTT-3.3.1-4 MQTT-3.3.2-2 MQTT-4.7.1-1
    packet, reasons = BAD_PACKETS[name]
    with Raw(port, level) as client:
        client.connect()
        client.send(packet(level))
        client.refused(reasons)


@pytest.mark.parametrize("level", [4, 5])
def test_refused_publish(started, level):
    """A publish that is not allowed is acknowledged or told, and never delivered."""
    # proves: v5 MQTT-3.4.2-1 MQTT-3.5.2-1 MQTT-4.3.3-9; v3.1.1 MQTT-3.3.5-2
    rules = 'anonymous_allow = ["*:default/*"]\nanonymous_deny = ["publish:default/closed"]'
    port = started(auth=rules).mqtt_port
    with Raw(port) as reader, Raw(port, level) as client:
        reader.connect()
        reader.subscribe("closed", "open")
        client.connect()
        if level == 5:
            assert client.publish("closed", b"x", 1) == 0x87
            assert client.publish("closed", b"x", 2) == 0x87
            client.send(raw.publish("closed", b"x"))
            # The refused id of QoS 2 was not kept: it is free for another message.
            assert client.publish("open", b"x", 2) == 0
        else:
            for qos in (1, 2):
                client.publish("closed", b"x", qos)
            client.publish("open", b"x", 2)
        assert reader.take(1)[0].topic == "open"
        reader.quiet()
