"""MQTT over WebSocket: frames of any shape, subprotocols, and ends."""

import pytest
import raw
from pm import connected
from raw import BINARY, CONNACK, PING, PINGRESP, PUBLISH, SUBACK, TEXT, Raw, RawWebSocket


@pytest.fixture
def web(server):
    """The port of WebSocket."""
    return server.port


@pytest.mark.parametrize("level", [4, 5])
def test_frames_are_not_packets(web, topic, level):
    """C38: packets may come in frames of one byte, and several in one frame."""
    # proves: v5 MQTT-6.0.0-2; v3.1.1 MQTT-6.0.0-2
    with RawWebSocket(web, level) as client:
        assert client.status == 101
        for byte in raw.connect(topic, level=level):
            client.frame(BINARY, bytes([byte]))
        assert client.expect(CONNACK).reason == 0
        client.send(raw.subscribe(1, topic, level=level), raw.publish(topic, b"one", level=level), raw.PINGREQ_BYTES)
        assert client.expect(SUBACK).codes == [0]
        found = {packet.kind: packet for packet in (client.read(), client.read())}
        assert found.keys() == {PUBLISH, PINGRESP} and found[PUBLISH].payload == b"one"


def test_packets_across_frames(web, topic):
    """A frame may end in the middle of a packet, and hold the end of one and the beginning of the next."""
    # proves: v5 MQTT-6.0.0-2
    with RawWebSocket(web) as client:
        stream = raw.connect(topic) + raw.subscribe(1, topic)
        stream += b"".join(raw.publish(topic, f"{number} " + "x" * 150) for number in range(20))
        for begin in range(0, len(stream), 37):
            client.frame(BINARY, stream[begin : begin + 37])
        client.expect(CONNACK)
        client.expect(SUBACK)
        assert [int(message.payload.split()[0]) for message in client.take(20)] == list(range(20))


def test_fragments_and_pings(web, topic):
    """Messages of WebSocket may be fragmented, with pings between the fragments."""
    # proves: v5 MQTT-6.0.0-2
    with RawWebSocket(web) as client:
        whole = raw.connect(topic) + raw.subscribe(1, topic) + raw.publish(topic, b"x" * 300)
        client.frame(BINARY, whole[:5], fin=False)
        client.frame(PING, b"between")
        client.frame(0, whole[5:40], fin=False)
        client.frame(0, b"", fin=False)
        client.frame(PING, b"again")
        client.frame(0, whole[40:], fin=True)
        client.frame(BINARY, b"")
        client.expect(CONNACK)
        client.expect(SUBACK)
        assert len(client.take(1)[0].payload) == 300
        client.quiet()
        # RFC 6455, 5.5.3: of pings that come together the last may be answered alone.
        assert client.pongs and set(client.pongs) <= {b"between", b"again"}


def test_frames_in_one_write(web, topic):
    """Frames that arrive together, the upgrade's answer not awaited, are read one after the other."""
    # proves: v5 MQTT-6.0.0-2
    with RawWebSocket(web) as client:
        packets = [raw.connect(topic), raw.subscribe(1, topic), raw.publish(topic, b"x"), raw.PINGREQ_BYTES]
        client.socket.sendall(b"".join(client.framed(BINARY, packet) for packet in packets))
        client.expect(CONNACK)
        client.expect(SUBACK)
        assert {client.read().kind for _ in range(2)} == {PUBLISH, PINGRESP}


@pytest.mark.parametrize("when", ["first", "connected"])
def test_text_frame(web, topic, when):
    """C39: a text frame ends the connection with close code 1003."""
    # proves: v5 MQTT-6.0.0-1; v3.1.1 MQTT-6.0.0-1
    with RawWebSocket(web) as client:
        if when == "connected":
            client.connect(topic)
        client.frame(TEXT, b"text")
        found = client.ending(2)
        assert client.close_code == 1003, found


def test_text_frame_sends_the_will(web, port, topic):
    """A connection that ends for a text frame has not ended in order: its will goes out."""
    # proves: v5 MQTT-6.0.0-1 MQTT-3.1.2-8
    with Raw(port) as reader, RawWebSocket(web) as client:
        reader.connect()
        reader.subscribe(topic)
        client.connect(will={"topic": topic})
        client.frame(TEXT, b"text")
        assert reader.take(1, seconds=3)[0].payload == b"will"


@pytest.mark.parametrize("how", ["close frame", "cut"])
def test_end_without_disconnect(web, port, topic, how):
    """An end of the WebSocket without a DISCONNECT of MQTT sends the will."""
    # proves: v5 MQTT-3.1.2-8; v3.1.1 MQTT-3.1.2-8
    with Raw(port) as reader, RawWebSocket(web) as client:
        reader.connect()
        reader.subscribe(topic)
        client.connect(will={"topic": topic})
        if how == "close frame":
            client.frame(raw.CLOSE, b"\x03\xe8")
            client.ending(3)
        else:
            client.drop()
        assert reader.take(1, seconds=3)[0].payload == b"will"


def test_disconnect(web, port, topic):
    """An orderly DISCONNECT closes the WebSocket and sends no will."""
    # proves: v5 MQTT-3.14.4-3 MQTT-3.14.4-1
    with Raw(port) as reader, RawWebSocket(web) as client:
        reader.connect()
        reader.subscribe(topic)
        client.connect(will={"topic": topic})
        client.send(raw.disconnect())
        assert client.ending(3) == []
        reader.publish(topic, b"mark")
        assert reader.expect(PUBLISH).payload == b"mark"


def test_reasons_arrive(web):
    """The DISCONNECT of an error is read before the close."""
    # proves: v5 MQTT-4.13.1-1 MQTT-3.14.4-1
    with RawWebSocket(web) as client:
        client.connect()
        client.send(raw.subscribe(1))
        client.refused((0x81, 0x82))
        assert client.close_code is not None


OFFERS = {"mqtt": "mqtt", "mqttv3.1": "mqttv3.1", "mqtt, mqttv3.1": "mqtt", "mqttv3.1, mqtt": "mqtt", "other, mqtt": "mqtt"}


@pytest.mark.parametrize("offer", OFFERS)
def test_subprotocols(web, offer):
    """The server takes a subprotocol that was offered, `mqtt` before `mqttv3.1`."""
    # proves: v5 MQTT-6.0.0-3 MQTT-6.0.0-4; v3.1.1 MQTT-6.0.0-3 MQTT-6.0.0-4
    for level in (4, 5):
        with RawWebSocket(web, level, protocols=offer) as client:
            assert (client.status, client.headers["sec-websocket-protocol"]) == (101, OFFERS[offer])
            client.connect()
            client.quiet()


def test_no_subprotocol(web):
    """Without an offer the server takes none, and MQTT is spoken all the same."""
    # proves: v5 MQTT-6.0.0-4
    with RawWebSocket(web, protocols=None) as client:
        assert client.status == 101 and "sec-websocket-protocol" not in client.headers
        client.connect()
        client.quiet()


def test_compression_is_not_taken(web):
    """Frames are not compressed."""
    # proves: v5 MQTT-6.0.0-1
    with RawWebSocket(web, protocols="mqtt\r\nSec-WebSocket-Extensions: permessage-deflate") as client:
        assert "permessage-deflate" not in client.headers.get("sec-websocket-extensions", "")
        client.connect()
        client.quiet()


def test_large_messages(web, port, topic):
    """A message of a hundred kilobytes passes, in frames of the server's choice."""
    # proves: v5 MQTT-6.0.0-2
    with connected(web, transport="websockets") as client:
        client.subscribe((topic, 1))
        payload = bytes(range(256)) * 400
        client.client.publish(topic, payload, 1)
        heard = dict(event[:2] for event in (client.next(), client.next()))
        assert heard["message"].payload == payload


@pytest.mark.parametrize("version", [4, 5])
def test_sessions_do_not_mind_the_way(web, port, topic, version):
    """A session begun over TCP goes on over WebSocket, and each way takes over from the other."""
    # proves: v5 MQTT-3.1.2-5 MQTT-3.1.4-3; v3.1.1 MQTT-3.1.2-5 MQTT-3.1.4-2
    options = {"clean": False, "expiry": 60 if version == 5 else None}
    with connected(port, topic, version, **options) as tcp:
        tcp.subscribe((topic, 1))
        with connected(web, topic, version, transport="websockets", **options) as client:
            assert client.connack[0] is True
            tcp.expect("disconnect")
            client.client.publish(topic, b"x", 1)
            assert {client.next()[0], client.next()[0]} == {"message", "published"}
