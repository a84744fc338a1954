"""Many messages: in order, none lost, none twice, between clients of different makers and versions."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import raw
from pm import connected
from raw import Raw
from rc import Rumqttc

SUBSCRIBERS = 50
MESSAGES = 10_000
SECONDS = 100


def test_interrupted_subscribers(server, topic):
    """C61: fifty mqtt.js subscribers with lasting sessions and random reconnects each hear all 10,000 messages of paho in order."""
    # proves: v5 MQTT-4.6.0-5 MQTT-4.6.0-1 MQTT-4.4.0-1; v3.1.1 MQTT-4.6.0-6
    script = Path(__file__).parent / "subscribers.mjs"
    given = {"port": server.mqtt_port, "topic": topic, "subscribers": SUBSCRIBERS, "messages": MESSAGES}
    command = ["node", str(script), json.dumps(given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        try:
            assert node.stdout.readline() == "subscribed\n"
            with connected(server.mqtt_port, f"{topic}-paho", version=4) as writer:
                for number in range(MESSAGES):
                    writer.client.publish(topic, str(number), 1)
                for _ in range(MESSAGES):
                    writer.expect("published", SECONDS)
            results = json.loads(node.communicate(timeout=SECONDS)[0])
        finally:
            node.kill()
    for result in results:
        assert result["heard"] == MESSAGES and result["isIncreasing"], result
    assert sum(result["reconnects"] for result in results) > SUBSCRIBERS / 2


@pytest.mark.parametrize("versions", [(4, 5), (5, 4)])
@pytest.mark.parametrize("published, granted", [(0, 2), (1, 0), (1, 1), (2, 1), (2, 2)])
def test_versions_together(port, topic, versions, published, granted):
    """C62: rumqttc publishes in one version and hears in the other: same payload, no properties, the lower quality."""
    # proves: v5 MQTT-3.8.4-8; v3.1.1 MQTT-3.8.4-6
    with Rumqttc(port, f"{topic}-w", versions[0]) as writer, Rumqttc(port, f"{topic}-r", versions[1]) as reader:
        writer.connect(clean=True)
        reader.connect(clean=True)
        reader.subscribe(topic, granted)
        for payload in ("", "x", "\N{SNOWMAN}" * 1_000):
            writer.publish(topic, payload, published)
            message = reader.expect("publish")
            assert (message["payload"], message["topic"]) == (payload, topic)
            assert (message["qos"], message["dup"], message["retain"]) == (min(published, granted), False, False)
            assert "Some(" not in (message.get("properties") or ""), message


def test_all_qualities_keep_their_order(port, topic):
    """Messages of one publisher on one topic come in order, each quality for itself, to subscribers of each quality."""
    # proves: v5 MQTT-4.6.0-5 MQTT-4.6.0-6; v3.1.1 MQTT-4.6.0-5 MQTT-4.6.0-6
    with Raw(port) as writer:
        writer.connect()
        readers = [Raw(port) for _ in range(3)]
        try:
            for granted, reader in enumerate(readers):
                reader.connect()
                reader.subscribe((topic, granted))
            for number in range(150):
                writer.publish(topic, str(number), number % 3)
            for reader in readers:
                values = [int(message.payload) for message in reader.take(150)]
                for quality in range(3):
                    mine = [value for value in values if value % 3 == quality]
                    assert mine == list(range(quality, 150, 3))
        finally:
            for reader in readers:
                reader.drop()


def test_publishers_at_once(port, topic):
    """Four publishers at once: each keeps its own order at every subscriber."""
    # proves: v5 MQTT-4.6.0-5; v3.1.1 MQTT-4.6.0-6
    count = 500

    def publish(name):
        with Raw(port) as writer:
            writer.connect()
            for begin in range(0, count, 50):
                numbers = range(begin, begin + 50)
                writer.send(*[raw.publish(topic, f"{name} {number}", 1, number + 1) for number in numbers])
                for _ in numbers:
                    writer.expect(raw.PUBACK)

    with Raw(port) as one, Raw(port) as two:
        for reader in (one, two):
            reader.connect()
            reader.subscribe((topic, 1))
        threads = [threading.Thread(target=publish, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for reader in (one, two):
            heard = {name: [] for name in "abcd"}
            for message in reader.take(4 * count):
                name, number = message.payload.decode().split()
                heard[name].append(int(number))
            assert all(numbers == list(range(count)) for numbers in heard.values())
        for thread in threads:
            thread.join(10)


def test_slow_reader_holds_nobody(port, topic):
    """A reader that reads nothing neither stops its publisher nor the other readers."""
    # proves: v5 MQTT-4.9.0-3
    with Raw(port) as slow, Raw(port) as quick, Raw(port) as writer:
        for client in (slow, quick, writer):
            client.connect()
        slow.subscribe((topic, 0))
        quick.subscribe((topic, 0))
        begin = time.monotonic()
        for _ in range(40):
            writer.publish(topic, b"x" * 100_000)
            quick.take(1)
        writer.quiet()
        assert time.monotonic() - begin < 10, sys.version
