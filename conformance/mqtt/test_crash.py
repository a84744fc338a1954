"""Sessions and messages outlive the server: stopped in order, and killed in the middle of traffic."""

import time

import pytest
import raw
from conftest import config
from fanfare import Server
from raw import CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Raw, acknowledge

KEPT = {"session_expiry": 600}
LASTING = {4: {"clean": False}, 5: {"clean": False, "props": KEPT}}


@pytest.fixture
def own():
    """A server of the test's own, to be ended."""
    with Server(config=config(receive_maximum=256)) as server:
        yield server


@pytest.fixture(params=["stopped", "killed"])
def end(request):
    """Ends a server and starts it again."""
    def act(server):
        if request.param == "stopped":
            server.terminate()
        server.restart()

    return act


@pytest.mark.parametrize("level", [4, 5])
def test_session_is_there_again(own, end, level):
    """A session, its subscriptions and its queue are there after a restart."""
    # proves: v5 MQTT-4.1.0-1 MQTT-3.2.2-3 MQTT-3.1.2-5; v3.1.1 MQTT-3.1.2-5 MQTT-3.2.2-2
    with Raw(own.mqtt_port, level) as client, Raw(own.mqtt_port) as writer:
        client.connect("lasting", **LASTING[level])
        client.subscribe(("t", 2), ("u/#", 1))
        client.leave()
        writer.connect()
        for number in range(10):
            writer.publish("t", f"before {number}", 1 + number % 2)
    end(own)
    with Raw(own.mqtt_port, level) as client, Raw(own.mqtt_port) as writer:
        writer.connect()
        writer.publish("u/x", b"after", 1)
        assert client.connect("lasting", **LASTING[level]).present == 1
        assert [message.payload for message in client.take(11)] == [*(f"before {number}".encode() for number in range(10)), b"after"]
        client.quiet()


def test_what_does_not_last_is_gone(own, end):
    """A session without an expiry is not there after a restart, and one that was ended stays ended."""
    # proves: v5 MQTT-3.1.2-23
    with Raw(own.mqtt_port) as short, Raw(own.mqtt_port) as ended:
        short.connect("short", clean=False)
        ended.connect("ended", clean=False, props=KEPT)
        ended.leave(0, {"session_expiry": 0})
        with Raw(own.mqtt_port) as later:
            # A DISCONNECT is not answered; what is acknowledged after it is on disk after it.
            later.connect()
            later.publish("later", b"x", 1)
        end(own)
    for name in ("short", "ended"):
        with Raw(own.mqtt_port) as client:
            assert client.connect(name, clean=False).present == 0


def test_expiry_goes_on(own, end):
    """A session's time runs on while the server is away."""
    # proves: v5 MQTT-3.1.2-23 MQTT-4.1.0-2
    with Raw(own.mqtt_port) as client:
        client.connect("short", clean=False, props={"session_expiry": 1})
    with Raw(own.mqtt_port) as client:
        client.connect("long", clean=False, props={"session_expiry": 600})
    end(own)
    time.sleep(1.5)
    for name, present in (("short", 0), ("long", 1)):
        with Raw(own.mqtt_port) as client:
            assert client.connect(name, clean=False).present == present


def test_in_flight_goes_on(own, end):
    """What was in flight in either direction is finished after a restart."""
    # proves: v5 MQTT-4.4.0-1 MQTT-4.3.3-6 MQTT-4.3.3-10
    with Raw(own.mqtt_port) as client, Raw(own.mqtt_port) as writer:
        writer.connect("writer", clean=False, props=KEPT)
        client.connect("reader", clean=False, props=KEPT)
        client.subscribe(("t", 2))
        writer.publish("t", b"received", 2)
        begun = client.expect(PUBLISH)
        client.send(acknowledge(PUBREC, begun.number))
        assert client.expect(PUBREL).number == begun.number
        writer.publish("t", b"unacknowledged", 1)
        open_one = client.expect(PUBLISH)
        writer.send(raw.publish("t", b"unreleased", 2, 7))
        assert writer.expect(PUBREC).number == 7
    end(own)
    with Raw(own.mqtt_port) as client, Raw(own.mqtt_port) as writer:
        assert writer.connect("writer", clean=False, props=KEPT).present == 1
        writer.send(raw.publish("t", b"unreleased", 2, 7, dup=True))
        assert writer.expect(PUBREC).number == 7
        writer.send(acknowledge(PUBREL, 7))
        assert writer.expect(PUBCOMP).reason == 0
        assert client.connect("reader", clean=False, props=KEPT).present == 1
        packets = [client.read(), client.read()]
        assert [(packet.kind, packet.number) for packet in packets] == [(PUBREL, begun.number), (PUBLISH, open_one.number)]
        assert packets[1].dup
        client.send(acknowledge(PUBCOMP, begun.number), acknowledge(PUBACK, open_one.number))
        assert client.take(1)[0].payload == b"unreleased"
        client.quiet()


def test_retained_is_there_again(own, end):
    """Retained messages keep quality, properties and what is left of their time."""
    # proves: v5 MQTT-3.3.1-5 MQTT-3.3.2-6 MQTT-3.3.2-18
    pairs = [("user", ("b", "1")), ("user", ("a", "2"))]
    with Raw(own.mqtt_port) as writer:
        writer.connect()
        writer.publish("t", b"kept", 1, retain=True, props=[*pairs, ("message_expiry", 600)])
        writer.publish("gone", b"x", 1, retain=True)
        writer.publish("gone", b"", 1, retain=True)
    end(own)
    with Raw(own.mqtt_port) as client:
        client.connect()
        client.subscribe(("#", 2))
        [message] = client.take(1)
        assert (message.topic, message.payload, message.qos, message.retain) == ("t", b"kept", 1, True)
        assert message.all("user") == [value for _, value in pairs] and 500 < message.get("message_expiry") <= 600
        client.quiet()


def test_without_history_a_session_keeps_what_it_is_owed():
    """Where history is off, what a lasting session is owed outlives restarts, and is gone when it has it."""
    # proves: v5 MQTT-4.1.0-1
    text = "[spaces.default.history]\ncount = 0\n"
    with Server(config=f"{text}{config()}") as server:
        with Raw(server.mqtt_port) as client, Raw(server.mqtt_port) as writer:
            client.connect("lasting", clean=False, props=KEPT)
            client.subscribe(("owed", 1))
            client.leave(0, {"session_expiry": 600})
            writer.connect()
            for number in range(20):
                writer.publish("owed", str(number), 1)
        for end in (server.terminate, server.kill):
            end()
            server.start()
            # Twice as long as it takes until what is too old is looked for.
            time.sleep(1)
        with Raw(server.mqtt_port) as client:
            assert client.connect("lasting", clean=False, props=KEPT).present == 1
            assert [message.payload for message in client.take(20)] == [str(number).encode() for number in range(20)]
            client.quiet()


@pytest.mark.parametrize("published", [1, 2])
def test_killed_in_the_middle_of_traffic(own, published):
    """Killed three times in the middle of traffic, the server loses nothing it has acknowledged; QoS 2 comes exactly once."""
    # proves: v5 MQTT-4.3.2-4 MQTT-4.3.3-10 MQTT-4.4.0-1; v3.1.1 MQTT-4.3.2-2 MQTT-4.3.3-2 MQTT-4.4.0-1
    writer, reader = Writer(published), Reader(published)
    reader.run(own.mqtt_port, seconds=0.3)
    for _ in range(3):
        writer.run(own.mqtt_port, own, kill_after=150)
        own.start()
        reader.run(own.mqtt_port, seconds=0.2)
    writer.run(own.mqtt_port, own, kill_after=None)
    reader.run(own.mqtt_port, seconds=10, until=lambda: set(reader.heard) >= set(writer.done))
    lost = sorted(set(writer.done) - set(reader.heard))
    assert not lost, (lost[:5], len(lost), len(writer.done))
    if published == 2:
        assert len(reader.heard) == len(set(reader.heard)), "twice"
        assert reader.heard == sorted(reader.heard)
    assert len(writer.done) >= 450


class Writer:
    """Publishes numbers in a lasting session, several in flight, and goes on after a crash as the protocol says."""

    def __init__(self, qos):
        self.qos = qos
        self.next = 1
        # By packet id: the number and what has been heard of it.
        self.flight = {}
        self.done = []

    def run(self, port, server, kill_after):
        """Until so many more are done; then the server is killed with some in flight. All are finished without it."""
        with Raw(port) as client:
            client.connect("writer", clean=False, props=KEPT)
            # In the order in which they were begun.
            for number, is_received in self.flight.items():
                if is_received:
                    client.send(acknowledge(PUBREL, number))
                else:
                    client.send(raw.publish("crash", str(number), self.qos, number, dup=True))
            wanted = len(self.done) + (kill_after or 50)
            while len(self.done) < wanted or (kill_after is None and self.flight):
                while len(self.flight) < 40 and (kill_after or len(self.done) + len(self.flight) < wanted):
                    self.flight[self.next] = False
                    client.send(raw.publish("crash", str(self.next), self.qos, self.next))
                    self.next += 1
                self.hear(client, client.read())
            if kill_after:
                server.kill()

    def hear(self, client, packet):
        if packet.kind == PUBREC:
            assert packet.reason < 0x80, packet
            if packet.number in self.flight:
                self.flight[packet.number] = True
            client.send(acknowledge(PUBREL, packet.number))
        elif packet.kind in (PUBACK, PUBCOMP) and packet.number in self.flight:
            assert packet.reason in (0, 0x10) or packet.kind == PUBCOMP, packet
            del self.flight[packet.number]
            self.done.append(packet.number)


class Reader:
    """Hears numbers in a lasting session, and counts a QoS 2 message once per handshake."""

    def __init__(self, qos):
        self.qos = qos
        self.heard = []
        self.begun = set()
        self.is_new = True

    def run(self, port, seconds, until=lambda: False):
        deadline = time.monotonic() + seconds
        with Raw(port) as client:
            client.send(raw.connect("reader", clean=False, props=KEPT))
            ack = client.expect(CONNACK)
            assert ack.present == (not self.is_new), "the session is gone"
            if self.is_new:
                client.subscribe(("crash", 2))
                self.is_new = False
            while not until() and (left := deadline - time.monotonic()) > 0:
                try:
                    self.hear(client, client.read(left))
                except TimeoutError:
                    break

    def hear(self, client, packet):
        if packet.kind == PUBREL:
            self.begun.discard(packet.number)
            client.send(acknowledge(PUBCOMP, packet.number))
            return
        assert packet.kind == PUBLISH and packet.qos == self.qos, packet
        value = int(packet.payload)
        if self.qos == 1:
            self.heard.append(value)
            client.send(acknowledge(PUBACK, packet.number))
        else:
            if packet.number not in self.begun:
                self.heard.append(value)
                self.begun.add(packet.number)
            client.send(acknowledge(PUBREC, packet.number))
