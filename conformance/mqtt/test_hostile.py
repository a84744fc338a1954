"""Clients that mean harm, or are broken: the server stays up, bounded, and serves the others.

Each test ends with a stranger who is served as ever, and with a bound on what the server's memory has grown.
"""

import random
import re
import socket
import struct
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import raw
from raw import CONNACK, PUBACK, PUBLISH, PUBREC, Closed, Raw

SERVED_SECONDS = 2
MEGABYTE = 1 << 20


def resident(server):
    """Bytes of memory the server has."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def serves(server):
    """That a stranger is served at once."""
    begin = time.monotonic()
    with Raw(server.mqtt_port) as client:
        client.connect("stranger", seconds=SERVED_SECONDS)
        client.subscribe(("served", 1))
        client.publish("served", b"x", 1)
        assert client.take(1, SERVED_SECONDS)[0].payload == b"x"
    assert time.monotonic() - begin < SERVED_SECONDS


@contextmanager
def bounded(server, megabytes):
    """That the server lives, serves, and has not grown by more."""
    serves(server)
    before = resident(server)
    yield
    assert server.process.poll() is None, "the server is gone"
    serves(server)
    grown = (resident(server) - before) / MEGABYTE
    assert grown < megabytes, f"grown by {grown:.0f} MB"


def gone(client, seconds=2):
    """That the server ends the connection; what it said before. A reset is an end, too."""
    try:
        return client.ending(seconds)
    except ConnectionError:
        return []


def no_more(client):
    """Ends what the client says: what is not whole by now never will be."""
    try:
        client.socket.shutdown(socket.SHUT_WR)
    except OSError:
        # The server has ended the connection already.
        pass


def test_qos_2_without_an_end(server):
    """Twenty clients that begin QoS 2 messages of 20 kB and release none are stopped at the receive maximum."""
    # proves: v5 MQTT-4.9.0-1 MQTT-4.13.1-1
    with bounded(server, 200):
        for _ in range(20):
            with Raw(server.mqtt_port) as client:
                maximum = client.connect().get("receive_maximum", 65_535)
                assert maximum <= 1_000
                try:
                    for number in range(1, maximum + 2):
                        client.send(raw.publish("flood", b"x" * 20_000, 2, number))
                except ConnectionError:
                    pass
                found = gone(client, 5)
                assert [packet.reason for packet in found if packet.kind != PUBREC] in ([0x93], []), found[-1]


def test_qos_2_dup_flood(server):
    """The same QoS 2 message a thousand times is one message."""
    # proves: v5 MQTT-4.3.3-10
    with bounded(server, 50), Raw(server.mqtt_port) as reader, Raw(server.mqtt_port) as client:
        reader.connect()
        reader.subscribe("again")
        client.connect()
        heard = 1
        try:
            client.send(*[raw.publish("again", b"x" * 1_000, 2, 1, dup=True) for _ in range(1_000)])
            for _ in range(1_000):
                client.expect(PUBREC)
            client.send(raw.acknowledge(raw.PUBREL, 1))
            client.expect(raw.PUBCOMP)
        except (Closed, ConnectionError):
            # The server may lose its patience, before or after it has passed the message on.
            heard = 0
        reader.publish("again", b"end")
        found = [reader.expect(PUBLISH).payload]
        while found[-1] != b"end":
            found.append(reader.expect(PUBLISH).payload)
        assert heard <= len(found) - 1 <= 1


def test_half_a_packet(server):
    """A packet that never becomes whole does not keep its connection alive, however busily its bytes come."""
    # proves: v5 MQTT-3.1.2-22
    with bounded(server, 50), Raw(server.mqtt_port) as client:
        client.connect(keepalive=1)
        begin = time.monotonic()
        client.send(raw.publish("slow", b"x" * 1_000)[:10])
        try:
            while time.monotonic() - begin < 5:
                client.send(b"x")
                client.silent(0.2)
        except (AssertionError, Closed, ConnectionError):
            pass
        assert 1.2 < time.monotonic() - begin < 3.5


def test_many_halves(started):
    """Two hundred connections that have said half a CONNECT, or none, keep nobody out and end in time."""
    # proves: v5 MQTT-3.1.0-1
    server = started(limits="handshake_timeout_ms = 3000")
    with bounded(server, 60), ExitStack() as stack:
        begun = raw.connect("half", will={"topic": "t", "payload": b"x" * 500})
        clients = [stack.enter_context(Raw(server.mqtt_port)) for _ in range(200)]
        for number, client in enumerate(clients):
            client.send(begun[: number % 40])
        serves(server)
        deadline = time.monotonic() + 8
        for client in clients:
            assert gone(client, max(0.1, deadline - time.monotonic())) == []


@pytest.mark.parametrize("is_connected", [False, True])
def test_oversize_header(server, is_connected):
    """A header that announces a quarter of a gigabyte ends the connection within two seconds, body or not."""
    # proves: v5 MQTT-3.2.2-15 MQTT-4.13.1-1
    with bounded(server, 30):
        for kind in (raw.CONNECT, PUBLISH, raw.SUBSCRIBE):
            with Raw(server.mqtt_port) as client:
                if is_connected:
                    client.connect()
                flags = 2 if kind == raw.SUBSCRIBE else 0
                client.send(bytes([kind << 4 | flags]) + b"\xff\xff\xff\x7f")
                found = gone(client)
                if is_connected:
                    wanted = (0x95,) if kind != raw.CONNECT else (0x95, 0x82)
                    assert [packet.reason in wanted for packet in found] == [True], found
                else:
                    assert all(packet.kind == CONNACK and packet.reason >= 0x80 for packet in found), found


def test_announced_and_not_sent(server):
    """A hundred connections that announce a megabyte and send ten bytes of it cost no megabyte each."""
    # proves: v5 MQTT-3.2.2-15
    with bounded(server, 50), ExitStack() as stack:
        for _ in range(100):
            client = stack.enter_context(Raw(server.mqtt_port))
            client.connect()
            client.send(raw.publish("t", b"x" * MEGABYTE)[:10])
        serves(server)


def test_reader_that_does_not_read(server):
    """A hundred megabytes for a reader that reads nothing are not kept in memory, and its publisher goes on."""
    # proves: v5 MQTT-4.9.0-3
    # History holds 64 MiB in memory, the outbox 1, and the store what it is about to write.
    with bounded(server, 150), Raw(server.mqtt_port) as deaf, Raw(server.mqtt_port) as writer:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        deaf.connect()
        deaf.subscribe("deaf")
        writer.connect()
        for _ in range(1_000):
            writer.send(raw.publish("deaf", b"x" * 100_000))
        writer.quiet()


def test_pings_that_nobody_reads(server):
    """A client that sends a million pings and reads no answer is held back or let go."""
    # proves: v5 MQTT-3.12.4-1
    with bounded(server, 60), Raw(server.mqtt_port) as client:
        client.connect()
        client.socket.settimeout(1)
        try:
            for _ in range(100):
                client.socket.sendall(raw.PINGREQ_BYTES * 10_000)
        except (TimeoutError, ConnectionError):
            pass
        serves(server)


# A level more is a slash and a sign.
DEEP = 30_000


def test_deep_filters_and_topics(server):
    """Filters and topics of thirty thousand levels are refused or matched, at once."""
    # proves: v5 MQTT-4.7.3-3 MQTT-4.7.1-2
    with bounded(server, 60):
        for filter in ("+/" * DEEP + "#", "/" * 65_535, "a/" * DEEP + "a", "$share/g/" + "+/" * DEEP + "+"):
            with Raw(server.mqtt_port) as client:
                client.connect()
                try:
                    client.send(raw.subscribe(1, filter))
                    for topic in ("a/" * DEEP + "a", "/" * 65_535):
                        client.send(raw.publish(topic, b"x", 1, 1))
                    while client.read(3).kind != PUBACK:
                        pass
                except (Closed, ConnectionError):
                    pass
            serves(server)


def test_a_bomb_of_filters(server):
    """Seventy thousand filters in one packet are refused, or granted and given back."""
    # proves: v5 MQTT-3.8.4-6
    with bounded(server, 120), Raw(server.mqtt_port) as client:
        client.connect()
        filters = [f"+/{number}/#" for number in range(70_000)]
        try:
            client.send(raw.subscribe(1, *filters))
            found = client.read(10)
        except (Closed, ConnectionError):
            return
        if found.kind == raw.SUBACK:
            assert len(found.codes) == len(filters)
        else:
            assert found.kind == raw.DISCONNECT and found.reason >= 0x80, found


def test_reconnect_storm(server):
    """Three hundred connections with one id, each cut at another step, leave a session that works."""
    # proves: v5 MQTT-3.1.4-3 MQTT-3.1.2-5
    steps = [raw.connect("storm", clean=False, props={"session_expiry": 60}, will={"topic": "storm/will"})]
    steps += [raw.subscribe(1, ("storm", 2)), raw.publish("storm", b"x", 2, 1), raw.acknowledge(raw.PUBREL, 1)]
    whole = b"".join(steps)
    chance = random.Random(5)
    with bounded(server, 60):
        for _ in range(300):
            with Raw(server.mqtt_port) as client:
                client.send(whole[: chance.randrange(len(whole) + 1)])
                if chance.random() < 0.5:
                    # Ends with a reset.
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        deadline = time.monotonic() + 10
        while not is_calm(server):
            assert time.monotonic() < deadline


def is_calm(server):
    """Whether a client has the session to itself: what the storm has sent before may still be read after it."""
    with Raw(server.mqtt_port) as client:
        try:
            client.connect("storm", clean=True)
            client.subscribe(("storm", 1))
            client.publish("storm", b"calm", 1)
            return client.take(1)[0].payload == b"calm"
        except Closed:
            return False


def valid_packets(level):
    """One of every packet a client may send, with everything in it that it may carry."""
    five = level == 5
    user = [("user", ("name", "value"))] if five else []
    will_props = [("will_delay", 1), ("content_type", "x"), ("response_topic", "r"), ("correlation_data", b"12"), *user]
    will = {"topic": "fuzz/will", "payload": b"gone", "qos": 1, "retain": False, "props": will_props if five else ()}
    props = [("session_expiry", 1), ("receive_maximum", 9), ("maximum_packet_size", 10_000), ("topic_alias_maximum", 2), *user]
    publish = [("payload_format", 1), ("message_expiry", 9), ("topic_alias", 1), ("correlation_data", b"12"), *user]
    acks = [raw.acknowledge(kind, 1, 0, user) if five else raw.acknowledge(kind, 1) for kind in (4, 5, 6, 7)]
    return [
        raw.connect("fuzz", level, True, 30, props, will, "user", "secret"),
        raw.subscribe(1, ("fuzz/+", 1), ("fuzz/#", 2), props=[("subscription_id", 300), *user] if five else (), level=level),
        raw.publish("fuzz/a", b"payload", 1, 5, props=publish, level=level),
        raw.publish("fuzz/b", b"payload" * 30, 2, 6, True, props=user, level=level),
        *acks,
        raw.unsubscribe(2, "fuzz/+", "other", props=user, level=level),
        raw.PINGREQ_BYTES,
        raw.disconnect(4, [("session_expiry", 2), *user]) if five else raw.disconnect(),
        *([raw.packet(raw.AUTH, b"\x18" + raw.properties([("auth_method", "m"), *user]))] if five else []),
    ]


def mutated(chance, packet):
    """The packet with a few bytes changed, cut out, doubled or put in."""
    out = bytearray(packet)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(out)) if out else 0
        how = chance.randrange(6)
        if how == 0 and out:
            out[at] ^= 1 << chance.randrange(8)
        elif how == 1 and out:
            out[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif how == 2:
            del out[at : at + chance.randrange(1, 5)]
        elif how == 3:
            out[at:at] = chance.randbytes(chance.randrange(1, 5))
        elif how == 4:
            out[at:at] = out[at : at + chance.randrange(1, 9)]
        else:
            del out[at:]
    return bytes(out)


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize("seed", range(4))
def test_mutations(server, level, seed):
    """A conversation with one broken packet is answered with whole packets, and ends within two seconds."""
    # proves: v5 MQTT-4.13.1-1 MQTT-4.13.2-1; v3.1.1 MQTT-4.8.0-1
    chance = random.Random(f"{seed} {level}")
    packets = valid_packets(level)
    with bounded(server, 60):
        for count in range(150):
            broken = chance.randrange(len(packets))
            sent = [packets[0], chance.choice(packets[1:]), packets[broken], raw.PINGREQ_BYTES]
            sent[0 if broken == 0 else 2] = mutated(chance, packets[broken])
            with Raw(server.mqtt_port, level) as client:
                client.send(*sent)
                try:
                    no_more(client)
                    found = gone(client)
                except (AssertionError, KeyError, UnicodeDecodeError, struct.error) as error:
                    # A mutated level makes the server speak the other version: its answer is then not taken apart.
                    assert broken == 0, (seed, count, sent, error)
                    continue
                except TimeoutError:
                    raise AssertionError(("not ended", seed, count, sent)) from None
            assert not [packet for packet in found[1:] if packet.kind == CONNACK], (seed, count, sent, found)
            ends = [at for at, packet in enumerate(found) if packet.kind == raw.DISCONNECT]
            assert ends in ([], [len(found) - 1]), (seed, count, sent, found)


def test_noise(server):
    """Bytes of chance, and of other protocols, end quickly."""
    # proves: v5 MQTT-3.1.0-1
    chance = random.Random(7)
    noise = [chance.randbytes(chance.randrange(1, 2_000)) for _ in range(100)]
    noise += [b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-x\r\n", b"AMQP\x00\x00\x09\x01", b"\x00" * 5_000, b"\xff" * 5_000]
    with bounded(server, 30):
        for text in noise:
            with Raw(server.mqtt_port) as client:
                try:
                    client.send(text)
                    no_more(client)
                    client.socket.settimeout(2)
                    while client.socket.recv(1_000):
                        pass
                except ConnectionError:
                    pass
