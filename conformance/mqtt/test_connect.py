"""CONNECT, CONNACK, keep alive, and the bytes that end a connection."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import raw
from fanfare import Server
from pm import connected, opened
from raw import CONNACK, DISCONNECT, Raw


def answer(port, *packets, level=5, seconds=3):
    """What the server says to these bytes until it closes, which it must."""
    with Raw(port, level) as client:
        client.send(*packets)
        return client.ending(seconds)


def no_success(found):
    """At most a CONNACK that refuses."""
    assert [packet.kind for packet in found] in ([], [CONNACK]), found
    assert all(packet.reason >= 0x80 and packet.present == 0 for packet in found), found
    return found[0].reason if found else None


def test_first_packet(port):
    """C01: whoever begins with PINGREQ is not answered."""
    # proves: v5 MQTT-3.1.0-1; v3.1.1 MQTT-3.1.0-1
    for first in (raw.PINGREQ_BYTES, raw.publish("t", b"x"), raw.subscribe(1, "t"), raw.disconnect()):
        with Raw(port) as client:
            client.send(first)
            with pytest.raises(raw.Closed) as closed:
                client.read(3)
            assert closed.value.rest == b""


def test_unknown_level(port):
    """C02: levels after 5 are refused in the words of 5, levels before 3 in those of 3.1.1."""
    # proves: v5 MQTT-3.1.2-2; v3.1.1 MQTT-3.1.2-2
    for level, wanted in ((9, b"\x20\x03\x00\x84\x00"), (6, b"\x20\x03\x00\x84\x00"), (2, b"\x20\x02\x00\x01")):
        with Raw(port, level) as client:
            client.send(raw.connect("a", level=level))
            client.socket.settimeout(3)
            heard = b""
            while part := client.socket.recv(100):
                heard += part
            assert heard == wanted, level


def test_wrong_name(port):
    """A protocol name that is not ours is never let in."""
    # proves: v5 MQTT-3.1.2-1; v3.1.1 MQTT-3.1.2-1
    for level in (4, 5):
        packet = raw.connect("a", level=level).replace(b"MQTT", b"MQTt")
        with Raw(port, level) as client:
            client.send(packet)
            no_success(client.ending(3))


@pytest.mark.parametrize("level", [4, 5])
def test_reserved_flag(port, level):
    """C03: the reserved connect flag ends the connection, in 3.1.1 without a byte."""
    # proves: v5 MQTT-3.1.2-3; v3.1.1 MQTT-3.1.2-3
    found = answer(port, raw.connect("a", level=level, flags=1), level=level)
    assert no_success(found) in ((None,) if level == 4 else (None, 0x81, 0x82))


# Flags beside clean start (2), and what follows the client id.
BAD_FLAGS = {
    "will qos without will": 8,
    "will retain without will": 32,
    "will qos 3": 4 | 24,
}


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize("name", BAD_FLAGS)
def test_bad_will_flags(port, level, name):
    """Will flags that contradict each other end the connection."""
    # proves: v5 MQTT-3.1.2-11 MQTT-3.1.2-12 MQTT-3.1.2-13; v3.1.1 MQTT-3.1.2-13 MQTT-3.1.2-14 MQTT-3.1.2-15
    packet = raw.connect("a", level=level)
    if name == "will qos 3":
        packet = raw.connect("a", level=level, will={"topic": "t", "qos": 3})
    else:
        packet = raw.connect("a", level=level, flags=BAD_FLAGS[name])
    found = answer(port, packet, level=level)
    assert no_success(found) in ((None,) if level == 4 else (None, 0x81, 0x82))


def test_password_without_user(port):
    """A password without a user name is wrong in 3.1.1 and right in 5."""
    # proves: v3.1.1 MQTT-3.1.2-22 MQTT-3.1.4-1
    assert answer(port, raw.connect("a", level=4, password=""), level=4) == []


def test_bytes_behind_the_payload(port):
    """A CONNECT with bytes too many, or too few, is no CONNECT."""
    # proves: v5 MQTT-3.1.3-1 MQTT-3.1.4-1 MQTT-3.14.0-1; v3.1.1 MQTT-3.1.3-1
    for level in (4, 5):
        body = raw.connect("abc", level=level)[2:]
        for wrong in (body + b"\x00", body[:-1], body + raw.data("extra")):
            no_success(answer(port, raw.packet(raw.CONNECT, wrong), level=level))


@pytest.mark.parametrize("level", [4, 5])
def test_second_connect(port, topic, level):
    """A second CONNECT ends the connection."""
    # proves: v5 MQTT-3.1.0-2; v3.1.1 MQTT-3.1.0-2
    with Raw(port, level) as client:
        client.connect(topic)
        client.send(raw.connect(topic, level=level))
        client.refused(0x82)


def test_empty_id_3(port):
    """C04: 3.1.1 without an id and without a clean session is refused with code 2, with one it is let in."""
    # proves: v3.1.1 MQTT-3.1.3-6 MQTT-3.1.3-7 MQTT-3.1.3-8 MQTT-3.1.3-9
    # paho does not ask for what is refused, so that CONNECT is made by hand.
    [ack] = answer(port, raw.connect("", level=4, clean=False), level=4)
    assert (ack.reason, ack.present) == (2, 0)
    with connected(port, "", version=4, clean=True) as client:
        assert client.subscribe(("t", 0)) == [0]


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_empty_id_5(server, transport):
    """C05: MQTT 5 without an id and without a clean start is let in, and told its id. (mqtt.js does not ask for this.)"""
    # proves: v5 MQTT-3.1.3-6 MQTT-3.1.3-7 MQTT-3.2.2-16
    port = server.port if transport == "websockets" else server.mqtt_port
    with connected(port, "", clean=False, transport=transport) as client:
        assert client.connack[0] is False
        assert client.connack[2].AssignedClientIdentifier


def test_assigned_ids(port):
    """Without an id MQTT 5 gets one, each its own, and may come back with it."""
    # proves: v5 MQTT-3.1.3-6 MQTT-3.1.3-7 MQTT-3.2.2-16
    found = set()
    for clean in (True, False):
        with Raw(port) as one, Raw(port) as two:
            ids = [client.connect("", clean=clean, props={"session_expiry": 60}).get("assigned_client_id") for client in (one, two)]
            assert all(ids), ids
            found.update(ids)
    assert len(found) == 4, found
    with Raw(port) as again:
        ack = again.connect(ids[0], clean=False)
        assert ack.present == 1 and ack.get("assigned_client_id") is None


def test_ids(port):
    """Ids of 1 to 23 letters and digits are let in, and longer and stranger ones, too; they are kept apart byte by byte."""
    # proves: v5 MQTT-3.1.3-2 MQTT-3.1.3-4 MQTT-3.1.3-5; v3.1.1 MQTT-3.1.3-2 MQTT-3.1.3-4 MQTT-3.1.3-5
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for client_id in ("a", letters[:23], letters[39:], letters * 2, "a b/c#+", "\N{SNOWMAN}", "\ufeffa"):
        for level in (4, 5):
            with Raw(port, level) as client:
                client.connect(client_id)
                client.quiet()


def test_one_connack(port, topic):
    """One CONNACK comes, before the answers to what was sent behind the CONNECT in one write."""
    # proves: v5 MQTT-3.2.0-1 MQTT-3.2.0-2 MQTT-3.1.4-5; v3.1.1 MQTT-3.2.0-1 MQTT-3.1.4-4
    for level in (4, 5):
        with Raw(port, level) as client:
            pipelined = [raw.subscribe(7, topic, level=level), raw.publish(topic, b"x", level=level), raw.PINGREQ_BYTES]
            client.send(raw.connect(topic, level=level), *pipelined)
            assert client.expect(CONNACK).reason == 0
            assert client.expect(raw.SUBACK).number == 7
            assert {client.read().kind for _ in range(2)} == {raw.PUBLISH, raw.PINGRESP}


def test_nothing_after_a_refusal(port, topic):
    """What is sent behind a CONNECT that is refused is not done."""
    # proves: v5 MQTT-3.1.4-6 MQTT-3.2.2-6 MQTT-3.2.2-7; v3.1.1 MQTT-3.1.4-5 MQTT-3.2.2-4 MQTT-3.2.2-5
    with Raw(port) as reader:
        reader.connect()
        reader.subscribe(topic)
        [ack] = answer(port, raw.connect("", level=4, clean=False) + raw.publish(topic, b"no", level=4), level=4)
        assert ack.reason == 2
        [ack] = answer(port, raw.connect("a", level=7) + raw.publish(topic, b"no"))
        assert ack.reason == 0x84
        reader.publish(topic, b"yes")
        assert reader.expect(raw.PUBLISH).payload == b"yes"


@pytest.mark.parametrize("version", [4, 5])
def test_take_over(port, topic, version):
    """C06: the second connection with an id ends the first, which is told 0x8E in MQTT 5."""
    # proves: v5 MQTT-3.1.4-3 MQTT-3.2.2-2 MQTT-3.2.2-3; v3.1.1 MQTT-3.1.4-2
    for clean in (True, False):
        with connected(port, topic, version, clean=False, expiry=60 if version == 5 else None) as first:
            with connected(port, topic, version, clean=clean) as second:
                is_packet, code = first.expect("disconnect")
                if version == 5:
                    assert (is_packet, code) == (True, 0x8E)
                assert second.connack[0] is (not clean)
                assert second.subscribe((topic, 0)) == [0]


def test_take_over_is_atomic(port, topic):
    """Of twenty connections with one id at once one stays, and the server's answers show that it works."""
    # proves: v5 MQTT-3.1.4-3
    clients = [Raw(port) for _ in range(20)]
    try:
        with ThreadPoolExecutor(len(clients)) as pool:
            list(pool.map(lambda client: client.connect(topic, clean=False, props={"session_expiry": 60}), clients))
        alive = []
        for client in clients:
            try:
                client.send(raw.PINGREQ_BYTES)
                found = client.read(2)
            except (raw.Closed, ConnectionError, BrokenPipeError):
                continue
            if found.kind == DISCONNECT:
                assert found.reason == 0x8E
            else:
                alive.append(client)
        assert len(alive) == 1
    finally:
        for client in clients:
            client.drop()


def test_keep_alive(port, topic):
    """C07: silence for one and a half times the keep alive ends the connection; MQTT 5 hears 0x8D; the will goes out."""
    # proves: v5 MQTT-3.1.2-22 MQTT-3.1.2-7 MQTT-3.1.2-8; v3.1.1 MQTT-3.1.2-24 MQTT-3.1.2-8
    with Raw(port) as reader:
        reader.connect()
        reader.subscribe(f"{topic}/+")

        def wait(level):
            with Raw(port, level) as client:
                client.connect(f"{topic}{level}", keepalive=2, will={"topic": f"{topic}/{level}"})
                begin = time.monotonic()
                found = client.ending(8)
                return time.monotonic() - begin, found

        with ThreadPoolExecutor(2) as pool:
            (three, in_three), (five, in_five) = pool.map(wait, (4, 5))
        assert in_three == [] and [packet.reason for packet in in_five] == [0x8D], (in_three, in_five)
        assert 2.9 <= three <= 4.6 and 2.9 <= five <= 4.6, (three, five)
        assert {message.topic for message in reader.take(2)} == {f"{topic}/4", f"{topic}/5"}


def test_keep_alive_counts_every_packet(port, topic):
    """Any packet keeps a connection alive, not only pings; what the client is sent does not."""
    # proves: v5 MQTT-3.1.2-20 MQTT-3.1.2-22 MQTT-3.12.4-1; v3.1.1 MQTT-3.1.2-23 MQTT-3.12.4-1
    with Raw(port) as busy, Raw(port) as deaf, Raw(port) as off:
        busy.connect(keepalive=1)
        deaf.connect(keepalive=1)
        off.connect(keepalive=0)
        deaf.subscribe(topic)
        for _ in range(6):
            time.sleep(0.5)
            busy.send(raw.publish(topic, b"x"))
        busy.quiet()
        found = deaf.ending(3)
        assert found[-1].kind == DISCONNECT and found[-1].reason == 0x8D, found
        off.quiet()


def test_server_keep_alive(started):
    """C08: a keep alive that is too long, or none, is replaced by the server's; a shorter one stays."""
    # proves: v5 MQTT-3.1.2-21 MQTT-3.2.2-21 MQTT-3.2.2-22
    server = started(max_keepalive_s=60)
    with connected(server.mqtt_port, keepalive=120) as client:
        assert client.connack[2].ServerKeepAlive == 60
    with connected(server.mqtt_port, keepalive=30) as client:
        assert not hasattr(client.connack[2], "ServerKeepAlive")
    with Raw(server.mqtt_port) as client:
        assert client.connect(keepalive=0).get("server_keep_alive") == 60


def test_server_keep_alive_counts(started):
    """The server's keep alive is the one that is measured."""
    # proves: v5 MQTT-3.2.2-21
    with Raw(started(max_keepalive_s=1).mqtt_port) as client:
        assert client.connect(keepalive=600).get("server_keep_alive") == 1
        begin = time.monotonic()
        assert [packet.reason for packet in client.ending(6)] == [0x8D]
        assert 1.4 <= time.monotonic() - begin <= 3.1


def test_limits_are_announced(started):
    """CONNACK says what the server can take, and nothing that goes without saying."""
    # proves: v5 MQTT-3.2.2-1 MQTT-3.2.2-9
    server = started(receive_maximum=7, topic_alias_maximum=3, packet_bytes=70_000)
    with Raw(server.mqtt_port) as client:
        ack = client.connect()
        assert ack.get("receive_maximum") == 7
        assert ack.get("topic_alias_maximum") == 3
        assert ack.get("maximum_packet_size") == 70_000
        assert ack.get("maximum_qos") is None
        for name in ("retain_available", "wildcard_available", "subscription_ids_available", "shared_available"):
            assert ack.get(name, 1) == 1, name
        assert ack.get("response_information") is None


def test_lower_session_expiry_is_told(started):
    """A session expiry beyond the server's is cut, and CONNACK says so."""
    # proves: v5 MQTT-3.1.2-23
    server = started(session_expiry_max_s=100)
    for asked, told in ((1000, 100), (0xFFFFFFFF, 100), (50, None), (100, None)):
        with Raw(server.mqtt_port) as client:
            assert client.connect(props={"session_expiry": asked}).get("session_expiry") in (told, told or asked)


BAD_PROPERTIES = {
    "session expiry twice": (b"\x11\x00\x00\x00\x05\x11\x00\x00\x00\x05", (0x82,)),
    "receive maximum 0": (b"\x21\x00\x00", (0x82,)),
    "maximum packet size 0": (b"\x27\x00\x00\x00\x00", (0x82,)),
    "request problem information 2": (b"\x17\x02", (0x82,)),
    "request response information 2": (b"\x19\x02", (0x82,)),
    "authentication data alone": (b"\x16\x00\x01x", (0x82,)),
    "unknown": (b"\x7f\x00", (0x81, 0x82)),
    "of another packet": (b"\x23\x00\x01", (0x81, 0x82)),
    "cut off": (b"\x11\x00\x00", (0x81, 0x82)),
}


@pytest.mark.parametrize("name", BAD_PROPERTIES)
def test_bad_properties(port, name):
    """Properties of CONNECT that are wrong refuse it."""
    # proves: v5 MQTT-2.2.2-1 MQTT-3.14.0-1 MQTT-4.13.1-1
    text, reasons = BAD_PROPERTIES[name]
    assert no_success(answer(port, raw.connect("a", props=text))) in (None, *reasons)


def test_overlong_numbers(port, topic):
    """C35: a property length that is longer than it need be is malformed, in every packet."""
    # proves: v5 MQTT-1.5.5-1
    body = raw.data("MQTT") + bytes([5, 2, 0, 0]) + b"\x80\x80\x80\x00" + raw.data("a")
    assert no_success(answer(port, raw.packet(raw.CONNECT, body))) in (None, 0x81)
    for kind, before, after in (
        (raw.PUBLISH, raw.data(topic), b"x"),
        (raw.SUBSCRIBE, b"\x00\x01", raw.data(topic) + b"\x00"),
    ):
        with Raw(port) as client:
            client.connect()
            client.send(raw.packet(kind, before + b"\x80\x80\x80\x00" + after))
            client.refused(0x81)
    with Raw(port) as client:
        client.connect()
        client.send(raw.packet(raw.SUBSCRIBE, b"\x00\x01" + b"\x03\x0b\x81\x00" + raw.data(topic) + b"\x00"))
        client.refused(0x81)


def test_five_bytes_of_length(port):
    """A remaining length of five bytes is malformed."""
    # proves: v5 MQTT-1.5.5-1; v3.1.1 MQTT-4.8.0-1
    no_success(answer(port, b"\x10\xff\xff\xff\xff\x01"))
    for level in (4, 5):
        with Raw(port, level) as client:
            client.connect()
            client.send(b"\x30\xff\xff\xff\xff\x01")
            client.refused((0x81, 0x95))


BAD_TEXTS = {"not UTF-8": b"a\xff", "surrogate": b"a\xed\xa0\x80", "null": b"a\x00b"}


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize("name", BAD_TEXTS)
def test_bad_texts(port, name, level):
    """Text that is not UTF-8, has surrogates or a null ends the connection wherever it stands."""
    # proves: v5 MQTT-1.5.4-1 MQTT-1.5.4-2 MQTT-1.5.7-1; v3.1.1 MQTT-1.5.3-1 MQTT-1.5.3-2
    bad = BAD_TEXTS[name]
    no_success(answer(port, raw.connect(bad, level=level), level=level))
    no_success(answer(port, raw.connect("a", level=level, user=bad), level=level))
    no_success(answer(port, raw.connect("a", level=level, will={"topic": bad}), level=level))
    packets = [raw.publish(bad, level=level), raw.subscribe(1, bad, level=level), raw.unsubscribe(1, bad, level=level)]
    if level == 5:
        packets += [raw.publish("t", props=[("user", pair)]) for pair in ((bad, "a"), ("a", bad))]
        packets += [raw.publish("t", props={name: bad}) for name in ("content_type", "response_topic")]
    for packet in packets:
        with Raw(port, level) as client:
            client.connect()
            client.send(packet)
            client.refused((0x81, 0x8F, 0x90))


def test_byte_order_mark_is_data(port, topic):
    """A byte order mark and unusual forms of letters are kept as they are, and never made equal."""
    # proves: v5 MQTT-1.5.4-3 MQTT-4.7.3-4; v3.1.1 MQTT-1.5.3-3 MQTT-4.7.3-4
    with Raw(port) as client:
        client.connect()
        marked, composed, apart = f"\ufeff{topic}", f"{topic}/\u00e9", f"{topic}/e\u0301"
        client.subscribe(marked, composed, f"{topic}/UPPER")
        for name in (topic, apart, f"{topic}/upper", marked, composed, f"{topic}/UPPER"):
            client.publish(name, b"x", qos=0)
        assert [message.topic for message in client.take(3)] == [marked, composed, f"{topic}/UPPER"]
        client.quiet()


# The first byte, and a body that is otherwise right.
WRONG_FLAGS = {
    "PUBREL 0": raw.packet(raw.PUBREL, b"\x00\x01", 0),
    "SUBSCRIBE 0": raw.packet(raw.SUBSCRIBE, raw.subscribe(1, "t")[2:], 0),
    "UNSUBSCRIBE 0": raw.packet(raw.UNSUBSCRIBE, raw.unsubscribe(1, "t")[2:], 0),
    "DISCONNECT 1": raw.packet(raw.DISCONNECT, b"", 1),
    "PINGREQ 1": raw.packet(raw.PINGREQ, b"", 1),
    "PUBACK 1": raw.packet(raw.PUBACK, b"\x00\x01", 1),
    "PUBREC 1": raw.packet(raw.PUBREC, b"\x00\x01", 1),
    "PUBCOMP 1": raw.packet(raw.PUBCOMP, b"\x00\x01", 1),
    "type 0": b"\x00\x00",
    "CONNACK": b"\x20\x03\x00\x00\x00",
    "SUBACK": b"\x90\x04\x00\x01\x00\x00",
    "PINGRESP": b"\xd0\x00",
}


@pytest.mark.parametrize("name", WRONG_FLAGS)
def test_wrong_fixed_header(port, name):
    """Flags that a packet does not have, and packets that a client does not send, end the connection."""
    # proves: v5 MQTT-2.1.3-1 MQTT-3.6.1-1 MQTT-3.8.1-1 MQTT-3.10.1-1 MQTT-3.14.1-1; v3.1.1 MQTT-2.2.2-2 MQTT-3.6.1-1 MQTT-3.8.1-1 MQTT-3.10.1-1 MQTT-3.14.1-1
    packet = WRONG_FLAGS[name]
    with Raw(port) as client:
        client.connect()
        client.send(packet)
        client.refused((0x81, 0x82))


def test_packet_id_zero(port, topic):
    """Packets that need an id need one that is not zero."""
    # proves: v5 MQTT-2.2.1-3; v3.1.1 MQTT-2.3.1-1
    for level in (4, 5):
        packets = [raw.subscribe(0, topic, level=level), raw.unsubscribe(0, topic, level=level)]
        packets += [raw.publish(topic, b"x", qos, 0, level=level) for qos in (1, 2)]
        for packet in packets:
            with Raw(port, level) as client:
                client.connect()
                client.send(packet)
                client.refused((0x81, 0x82))


def test_unknown_authentication(port, topic):
    """A method that the server does not have is refused with 0x8C; AUTH that nobody asked for ends the connection."""
    # proves: v5 MQTT-4.12.0-1 MQTT-4.12.0-6 MQTT-4.12.0-7 MQTT-3.15.1-1
    [ack] = answer(port, raw.connect(topic, props={"auth_method": "none such", "auth_data": b"x"}))
    assert (ack.kind, ack.reason) == (CONNACK, 0x8C)
    for auth in (raw.packet(raw.AUTH), raw.packet(raw.AUTH, b"\x18" + raw.properties({"auth_method": "x"}))):
        with Raw(port) as client:
            client.connect()
            client.send(auth)
            client.refused((0x82, 0x8C))
    with Raw(port, 4) as client:
        client.connect()
        client.send(raw.packet(raw.AUTH))
        client.refused(None)


def test_silent_connection_is_closed(started):
    """Who never sends a CONNECT is not kept, be it silent or slow."""
    # proves: v5 MQTT-3.1.0-1
    port = started(limits="handshake_timeout_ms = 1500").mqtt_port
    with Raw(port) as silent, Raw(port) as slow:
        slow.send(raw.connect("slow", keepalive=60)[:6])
        assert silent.ending(4) == [] and slow.ending(1) == []


def test_shutdown_is_told():
    """A server that is stopped tells its MQTT 5 clients 0x8B, and lets those of 3.1.1 go without a word."""
    # proves: v5 MQTT-3.14.4-1 MQTT-3.14.4-2
    with Server() as server, Raw(server.mqtt_port) as five, Raw(server.mqtt_port, 4) as three:
        five.connect()
        three.connect()
        assert server.terminate() == 0
        assert [packet.reason for packet in five.ending(2)] == [0x8B]
        assert three.ending(2) == []


def test_wrong_code_for_paho(port):
    """paho hears the code of a refusal."""
    # proves: v5 MQTT-3.2.2-7
    with opened(port, "a", properties={"AuthenticationMethod": "none such"}) as client:
        _, code, _ = client.expect("connack")
        assert code.value == 0x8C


def test_request_information(port, topic):
    """Response information comes only to those who ask, and only where the server has some."""
    # proves: v5 MQTT-3.1.2-28
    with connected(port, topic, properties={"RequestResponseInformation": 0}) as client:
        assert not hasattr(client.connack[2], "ResponseInformation")
