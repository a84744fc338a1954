"""A message is the same through every door."""

import base64

from commands import mosquitto_pub, mosquitto_sub, subscribers
from gateway import CACHE
from wire import Client

BYTES = bytes([0, 1, 2, 250])
# The cache that is the space `default`, which other doors use where none is named.
DEFAULT = "default"


def test_native(node, server, topic):
    """C30: text stays text and bytes stay bytes between Momento and the native protocol."""
    app = node.at(server)
    subscription = app.subscribe(CACHE, topic)
    with Client(server) as native:
        native.subscribe(topic, space=CACHE)
        app.publish(CACHE, topic, "text").must()
        app.publish(CACHE, topic, BYTES).must()
        text, binary = native.take(2)
        assert text["text"] == "text" and base64.b64decode(binary["base64"]) == BYTES
        native.publish(topic, "back", space=CACHE)
        native.publish(topic, base64=base64.b64encode(BYTES).decode(), space=CACHE)
        native.take(2)
    assert [item.value for item in subscription.wait(count=4)] == ["text", BYTES, "back", BYTES]


def test_mqtt(node, server, topic):
    """C30: a cache and MQTT share topics."""
    app = node.at(server)
    subscription = app.subscribe(DEFAULT, topic)
    with subscribers(server, lambda: mosquitto_sub(server, topic, 2)) as [listener]:
        app.publish(DEFAULT, topic, "from momento").must()
        mosquitto_pub(server, topic, b"from mqtt")
        assert listener.communicate(timeout=20)[0].splitlines() == [b"from momento", b"from mqtt"]
    first, second = subscription.wait(count=2)
    assert first.value == "from momento"
    # Without a payload format indicator MQTT has bytes only.
    assert second.value in ("from mqtt", b"from mqtt")


def test_spaces_are_apart(node, server, topic):
    """C30: what is published to one cache is not heard in another."""
    app = node.at(server)
    here, there = app.subscribe(CACHE, topic), app.subscribe(DEFAULT, topic)
    app.publish(CACHE, topic, "here").must()
    app.publish(DEFAULT, topic, "there").must()
    assert (here.value(), there.value()) == ("here", "there")


def test_signs_that_are_wildcards_elsewhere(node, server, topic):
    """C30: what other doors cannot have in a topic stands there in percent-encoding."""
    name, elsewhere = f"#{topic}+", f"%23{topic}%2B"
    app = node.at(server)
    subscription = app.subscribe(CACHE, name)
    with Client(server) as native:
        native.subscribe(elsewhere, space=CACHE)
        app.publish(CACHE, name, "there").must()
        assert native.texts(1) == ["there"]
        native.publish(elsewhere, "back", space=CACHE)
    assert [item.value for item in subscription.wait(count=2)] == ["there", "back"]
