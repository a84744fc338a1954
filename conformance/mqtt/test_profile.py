"""`profile = "aws-iot"`: the limits and departures of AWS IoT Core."""

import pytest
import raw
from raw import PUBACK, Raw


@pytest.fixture
def aws(started):
    return started(profile="aws-iot").mqtt_port


def test_what_is_announced(aws):
    """CONNACK says what there is less of: quality 2, subscription identifiers, aliases, room."""
    with Raw(aws) as client:
        ack = client.connect(keepalive=5_000, props={"session_expiry": 0xFFFFFFFF}, clean=False)
        assert ack.get("maximum_qos") == 1 and ack.get("subscription_ids_available") == 0
        assert ack.get("receive_maximum") == 100 and ack.get("topic_alias_maximum") == 8
        assert ack.get("maximum_packet_size") == 128 * 1024
        assert ack.get("server_keep_alive") == 1_200
        assert ack.get("session_expiry") <= 7 * 86_400


def test_short_keep_alives_are_made_longer(aws):
    """A keep alive below 30 seconds counts as 30."""
    with Raw(aws) as client:
        assert client.connect(keepalive=2).get("server_keep_alive") == 30


@pytest.mark.parametrize(
    "packets, reason",
    [
        ([raw.publish("t", b"x", 2, 1)], 0x9B),
        ([raw.publish("1/2/3/4/5/6/7/8/9", b"x")], 0x90),
        ([raw.publish("t" * 257, b"x")], 0x90),
        ([raw.subscribe(1, *[f"t/{number}" for number in range(9)])], 0x97),
        ([raw.subscribe(1, "t", props={"subscription_id": 1})], 0xA1),
    ],
)
def test_what_ends_the_connection(aws, packets, reason):
    """What AWS has no room for ends the connection with the code that names it."""
    with Raw(aws) as client:
        client.connect()
        client.send(*packets)
        client.refused(reason)


def test_subscriptions(aws, topic):
    """Quality 2 is granted as 1; filters that are too long or deep, and the 51st, are refused by code."""
    with Raw(aws) as client:
        client.connect()
        assert client.subscribe((topic, 2)) == [1]
        assert client.subscribe("1/2/3/4/5/6/7/8/#") == [0x8F]
        assert client.subscribe("$share/g/1/2/3/4/5/6/7/#") == [0]
        for start in range(0, 48, 8):
            assert client.subscribe(*[f"{topic}/{start + number}" for number in range(8)]) == [0] * 8
        assert client.subscribe(f"{topic}/last") == [0x97]


def test_a_forbidden_publish_of_mqtt_3_ends_the_connection(started):
    """The standard profile takes and drops what 3.1.1 must not publish; AWS closes."""
    auth = 'anonymous_allow = ["subscribe:default/*"]'
    for profile, is_closed in (("standard", False), ("aws-iot", True)):
        with Raw(started(profile=profile, auth=auth).mqtt_port, 4) as client:
            client.connect()
            client.send(raw.publish("t", b"x", 1, 1, level=4))
            try:
                assert client.expect(PUBACK).number == 1 and not is_closed
            except raw.Closed:
                assert is_closed


def test_disconnect_with_will(aws, topic):
    """A DISCONNECT that asks for the will gets it."""
    with Raw(aws) as reader, Raw(aws) as client:
        reader.connect()
        reader.subscribe(topic)
        client.connect(will={"topic": topic})
        client.leave(4)
        assert reader.take(1)[0].payload == b"will"
