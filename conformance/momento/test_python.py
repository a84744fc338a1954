"""The SDK for Python, with the long deadline that its streams need."""

import time

import pytest
from gateway import CACHE


@pytest.mark.slow
def test_publish_and_subscribe(python, server, topic):
    """C17: text and bytes arrive with their numbers, and the subscription lives after 10 s."""
    app = python.at(server)
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, "x").must()
    app.publish(CACHE, topic, b"\x01\x02\xfa").must()
    items = subscription.wait(count=2)
    assert [item.value for item in items] == ["x", b"\x01\x02\xfa"]
    assert items[1].number == items[0].number + 1 > 1
    assert all(item.more["page"] > 0 for item in items)
    time.sleep(10)
    app.publish(CACHE, topic, "y").must()
    assert subscription.wait(count=3)[2].value == "y"


def test_a_cache_that_is_not_there(python, server, topic):
    """C18: publishing to it and subscribing to it are NOT_FOUND_ERROR."""
    app = python.at(server)
    assert app.publish("nope", topic, "x").code == "NOT_FOUND_ERROR"
    assert app.refusal("nope", topic) == "NOT_FOUND_ERROR"
