"""paho-mqtt 2.x for tests: what its callbacks hear becomes a queue."""

import queue
import socket
import time
from contextlib import contextmanager

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

WAIT = 20

__all__ = ["Paho", "SubscribeOptions", "connected", "kill", "make", "props", "reason"]


def props(kind, **fields):
    """Properties of a packet kind such as "CONNECT", by paho's names. A list gives one property several times."""
    found = Properties(getattr(PacketTypes, kind))
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            setattr(found, name, one)
    return found


def reason(kind, code):
    return ReasonCode(getattr(PacketTypes, kind), identifier=code)


def make(client_id="", version=5, clean=True, transport="tcp", **options):
    """A paho client that never reconnects by itself."""
    protocol = paho.MQTTv5 if version == 5 else paho.MQTTv311
    options = options if version == 5 else {"clean_session": clean, **options}
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=protocol,
        transport=transport,
        reconnect_on_failure=False,
        **options,
    )
    if transport == "websockets":
        client.ws_set_options(path="/mqtt")
    return client


def kill(client):
    """Ends the connection without a DISCONNECT."""
    client.socket().shutdown(socket.SHUT_RDWR)


class Paho:
    """A client with its thread. `connack` is (session present, code, properties)."""

    def __init__(self, port, client_id="", version=5, clean=True, will=None, expiry=None, keepalive=60, transport="tcp",
                 properties=None, **options):
        self.version = version
        self.events = queue.Queue()
        self.client = client = make(client_id, version, clean, transport, **options)
        put = self.events.put
        client.on_connect = lambda c, d, flags, code, p: put(("connack", flags.session_present, code, p))
        client.on_connect_fail = lambda c, d: put(("failed",))
        client.on_disconnect = lambda c, d, flags, code, p: put(("disconnect", flags.is_disconnect_packet_from_server, code.value))
        client.on_message = lambda c, d, message: put(("message", message))
        client.on_subscribe = lambda c, d, mid, codes, p: put(("suback", [code.value for code in codes]))
        client.on_unsubscribe = lambda c, d, mid, codes, p: put(("unsuback", [code.value for code in codes]))
        client.on_publish = lambda c, d, mid, code, p: put(("published", mid, code.value))
        if will:
            client.will_set(**will)
        extra = {}
        if version == 5:
            fields = {**({} if expiry is None else {"SessionExpiryInterval": expiry}), **(properties or {})}
            extra = {"clean_start": clean, "properties": props("CONNECT", **fields)}
        client.connect("127.0.0.1", port, keepalive=keepalive, **extra)
        client.loop_start()

    def next(self, seconds=WAIT):
        return self.events.get(timeout=seconds)

    def expect(self, kind, seconds=WAIT):
        event = self.next(seconds)
        assert event[0] == kind, (kind, event)
        return event[1] if len(event) == 2 else event[1:]

    def subscribe(self, *filters, properties=None):
        """Pairs of filter and quality of service or SubscribeOptions; the codes."""
        self.client.subscribe([(text, how) for text, how in filters], properties=properties)
        return self.expect("suback")

    def unsubscribe(self, *filters):
        self.client.unsubscribe(list(filters))
        return self.expect("unsuback")

    def publish(self, topic, payload=b"", qos=0, retain=False, **fields):
        """Publishes and waits for the handshake's end; the reason code. Other events are not to come before it."""
        properties = props("PUBLISH", **fields) if fields else None
        self.client.publish(topic, payload, qos, retain, properties)
        return self.expect("published")[1]

    def messages(self, count, seconds=WAIT):
        return [self.expect("message", seconds) for _ in range(count)]

    def silent(self, seconds):
        """That nothing is heard for so long."""
        try:
            event = self.next(seconds)
        except queue.Empty:
            return
        raise AssertionError(f"nothing was expected: {event}")

    def kill(self):
        kill(self.client)

    def close(self):
        try:
            self.client.disconnect()
        finally:
            self.client.loop_stop()


@contextmanager
def opened(port, *args, **options):
    client = Paho(port, *args, **options)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def connected(port, *args, **options):
    """A client whose CONNACK said success; it is in `connack`."""
    with opened(port, *args, **options) as client:
        client.connack = client.expect("connack")
        assert client.connack[1].value == 0, client.connack
        yield client


def pump(client, until, what, seconds=WAIT):
    """Runs the loop of a client without a thread until a condition holds."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        client.loop(timeout=0.05)
