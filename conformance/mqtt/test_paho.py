"""paho-mqtt, over TCP and over WebSocket, and bytes that no good client sends."""

import json
import queue
import socket
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
import requests
from commands import fanfare_pub, fanfare_sub, lines_of
from fanfare import Server

WAIT = 20


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


class Client:
    """A paho client whose callbacks become a queue."""

    def __init__(self, port, transport, protocol=paho.MQTTv311, password=None, **options):
        self.events = queue.Queue()
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2, transport=transport, protocol=protocol, reconnect_on_failure=False, **options
        )
        if transport == "websockets":
            self.paho.ws_set_options(path="/mqtt")
        if password:
            self.paho.username_pw_set("anybody", password)
        put = self.events.put
        self.paho.on_connect = lambda client, data, flags, code, properties: put(("connected", code, flags))
        self.paho.on_disconnect = lambda client, data, flags, code, properties: put(("disconnected", code))
        self.paho.on_subscribe = lambda client, data, mid, codes, properties: put(("subscribed", [c.value for c in codes]))
        self.paho.on_unsubscribe = lambda client, data, mid, codes, properties: put(("unsubscribed",))
        self.paho.on_message = lambda client, data, m: put(("message", m.topic, m.payload, m.qos, m.retain))
        self.paho.connect("127.0.0.1", port, keepalive=30)
        self.paho.loop_start()

    def next(self):
        return self.events.get(timeout=WAIT)

    def expect(self, kind):
        event = self.next()
        assert event[0] == kind, event
        return event

    def subscribe(self, *filters):
        self.paho.subscribe([(text, qos) for text, qos in filters])
        return self.expect("subscribed")[1]

    def publish(self, topic, payload, **options):
        self.paho.publish(topic, payload, **options).wait_for_publish(WAIT)


@contextmanager
def raw(port, transport, **options):
    client = Client(port, transport, **options)
    try:
        yield client
    finally:
        client.paho.disconnect()
        client.paho.loop_stop()


@contextmanager
def connected(port, transport, **options):
    with raw(port, transport, **options) as client:
        _, code, _ = client.expect("connected")
        assert code.value == 0, code
        yield client


@pytest.fixture(params=["tcp-mqtt", "tcp-http", "websockets-http"])
def way(server, request):
    """A port and a transport."""
    transport, port = request.param.split("-")
    return (server.port if port == "http" else server.mqtt_port), transport


def test_subscribe_publish_unsubscribe(way):
    with connected(*way) as client:
        assert client.subscribe(("paho/+", 0)) == [0]
        client.publish("paho/a", b"1")
        assert client.expect("message") == ("message", "paho/a", b"1", 0, False)
        client.paho.unsubscribe("paho/+")
        client.expect("unsubscribed")
        assert client.subscribe(("paho/end", 0)) == [0]
        client.publish("paho/a", b"2")
        client.publish("paho/end", b"3")
        assert client.expect("message")[1:3] == ("paho/end", b"3")


@pytest.mark.parametrize("protocol", [paho.MQTTv31, paho.MQTTv311, paho.MQTTv5])
def test_quality_of_service_is_granted_as_asked(way, protocol):
    with connected(*way, protocol=protocol, client_id=f"qos-{protocol}") as client:
        assert client.subscribe(("qos/0", 0), ("qos/1", 1), ("qos/2", 2)) == [0, 1, 2]
        for granted in range(3):
            for published in range(3):
                client.publish(f"qos/{granted}", b"x", qos=published)
                assert client.expect("message") == ("message", f"qos/{granted}", b"x", min(granted, published), False)


def test_overlapping_filters_deliver_once(way):
    with connected(*way) as client:
        assert client.subscribe(("lap/#", 0), ("lap/+", 0), ("lap/a", 0)) == [0, 0, 0]
        client.publish("lap/a", b"1")
        client.publish("lap/b", b"2")
        assert [client.expect("message")[2] for _ in range(2)] == [b"1", b"2"]


def test_binary_and_text(way, server):
    payloads = [b"", b"\x00", bytes(range(256)), "\N{SNOWMAN}".encode(), b"\xff" * 100_000]
    with connected(*way) as client:
        assert client.subscribe(("bytes", 0)) == [0]
        for payload in payloads:
            client.publish("bytes", payload)
            assert client.expect("message")[2] == payload


def test_order_of_a_thousand(way):
    with connected(*way) as client:
        assert client.subscribe(("order", 0)) == [0]
        for number in range(1000):
            client.publish("order", str(number))
        assert [int(client.expect("message")[2]) for _ in range(1000)] == list(range(1000))


def test_native_to_mqtt_and_back(way, server):
    with connected(*way) as client:
        assert client.subscribe(("cross/#", 0)) == [0]
        fanfare_pub(server, "cross/text", "hello")
        assert client.expect("message")[1:3] == ("cross/text", b"hello")
        body = {"topic": "cross/json", "data": {"a": [1, 2]}}
        requests.post(f"{server.url}/v1/publish", json=body, timeout=10).raise_for_status()
        topic, payload = client.expect("message")[1:3]
        assert (topic, json.loads(payload)) == ("cross/json", {"a": [1, 2]})
        body = {"topic": "cross/bytes", "base64": "/wAB"}
        requests.post(f"{server.url}/v1/publish", json=body, timeout=10).raise_for_status()
        assert client.expect("message")[1:3] == ("cross/bytes", b"\xff\x00\x01")
        client.publish("cross/back", b"from paho")
        client.expect("message")
        with fanfare_sub(server, "cross/back", 1, "--since", "all") as reader:
            assert lines_of(reader)[-1] == "from paho"


def test_between_transports(server):
    with connected(server.mqtt_port, "tcp") as tcp, connected(server.port, "websockets") as web:
        assert tcp.subscribe(("between", 0)) == web.subscribe(("between", 0)) == [0]
        tcp.publish("between", b"from tcp")
        assert [client.expect("message")[2] for client in (tcp, web)] == [b"from tcp"] * 2
        web.publish("between", b"from web")
        assert [client.expect("message")[2] for client in (tcp, web)] == [b"from web"] * 2


def test_retained(way):
    topic = f"paho/kept/{way[1]}/{way[0]}"
    with connected(*way) as client:
        client.publish(topic, b"kept", retain=True)
        assert client.subscribe((topic, 0)) == [0]
        assert client.expect("message") == ("message", topic, b"kept", 0, True)
        client.publish(topic, b"", retain=True)
        assert client.expect("message")[2:] == (b"", 0, False)
    with connected(*way) as client:
        assert client.subscribe((topic, 0)) == [0]
        client.publish(topic, b"live")
        assert client.expect("message")[2:] == (b"live", 0, False)


def test_refused_filters(way):
    with connected(*way) as client:
        assert client.subscribe(("fine", 0), ("$share/group/x", 0), ("a" * 2000, 0)) == [0, 0, 128]
        client.publish("fine", b"still here")
        assert client.expect("message")[2] == b"still here"


@pytest.mark.parametrize("quality", [1, 2])
def test_publishes_are_acknowledged_in_order(way, quality):
    with connected(*way) as client:
        assert client.subscribe(("acked", quality)) == [quality]
        for number in range(200):
            client.paho.publish("acked", str(number), qos=quality)
        assert [int(client.expect("message")[2]) for _ in range(200)] == list(range(200))


def test_wrong_token():
    config = "[auth]\nkeys = [{id = 'main', secret = 'a secret of thirty-two bytes or more'}]\n"
    with Server(config=config) as server:
        for port, transport in [(server.mqtt_port, "tcp"), (server.port, "tcp"), (server.port, "websockets")]:
            with raw(port, transport, password="wrong") as client:
                _, code, _ = client.expect("connected")
                assert code.is_failure and code.getName() == "Bad user name or password", code


@pytest.mark.parametrize("protocol", [paho.MQTTv31, paho.MQTTv311, paho.MQTTv5])
def test_all_versions(way, protocol):
    with connected(*way, protocol=protocol, client_id=f"version-{protocol}") as client:
        topic = f"version/{protocol}/{way}"
        assert client.subscribe((topic, 1)) == [1]
        client.publish(topic, b"hello", qos=1)
        assert client.expect("message")[1:4] == (topic, b"hello", 1)


# MQTT 3.1.1, 3.1.2.2, and MQTT 5, 3.1.2.2: code 1 in the words of 3.1.1.
def test_other_versions_on_the_wire(server):
    for port in (server.port, server.mqtt_port):
        for name, level in [(b"MQTT", 6), (b"MQTT", 2), (b"MQIsdp", 9)]:
            body = len(name).to_bytes(2, "big") + name + bytes([level, 2, 0, 60]) + b"\x00\x01a"
            with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as client:
                client.sendall(bytes([0x10, len(body)]) + body)
                answer = b""
                while part := client.recv(100):
                    answer += part
                assert answer == b"\x20\x02\x00\x01", (name, level)


def test_a_client_that_speaks_something_else_harms_nobody(server):
    with connected(server.mqtt_port, "tcp") as client:
        assert client.subscribe(("calm", 0)) == [0]
        for junk in [b"\x10\xff\xff\xff\xff\xff", b"\x10\x00", b"\x00" * 50, b"GET / HTTP/1.0\r\n\r\n", b"\xc0\x00"]:
            with socket.create_connection(("127.0.0.1", server.mqtt_port), timeout=WAIT) as stranger:
                stranger.sendall(junk)
                try:
                    while stranger.recv(1000):
                        pass
                except ConnectionResetError:
                    pass
        client.publish("calm", b"still here")
        assert client.expect("message")[2] == b"still here"


def test_a_lasting_session_outlasts_a_crash():
    with Server() as server:
        client = Client(server.mqtt_port, "tcp", client_id="lasting", clean_session=False)
        try:
            client.expect("connected")
            assert client.subscribe(("again", 1)) == [1]
            server.kill()
            client.expect("disconnected")
            client.paho.loop_stop()
            server.start()
            with connected(server.port, "tcp") as other:
                other.publish("again", b"missed", qos=1)
            client.paho.connect("127.0.0.1", server.mqtt_port, keepalive=30)
            client.paho.loop_start()
            _, code, flags = client.expect("connected")
            assert code.value == 0 and flags.session_present
            assert client.expect("message")[1:4] == ("again", b"missed", 1)
        finally:
            client.paho.disconnect()
            client.paho.loop_stop()
