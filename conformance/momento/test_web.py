"""The Web SDK, in a page whose origin is not that of the server."""

import time

import pytest
from fanfare import Server
from gateway import CACHE, CONFIG, Curl
from link import Link

EMOJI = "Grüße, 世界 👩‍🚒"


def test_publish_and_subscribe(web, server, topic):
    """C14: text and bytes arrive as what they are; signs beyond ASCII are intact."""
    app = web.at(server)
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, EMOJI).must()
    app.publish(CACHE, topic, bytes([0, 1, 2, 250])).must()
    items = subscription.wait(count=2)
    assert [item.value for item in items] == [EMOJI, bytes([0, 1, 2, 250])]
    assert items[1].number == items[0].number + 1
    assert subscription.all("error") == []


def test_errors(web, server, topic):
    """More: the Web SDK hears of the same errors as the one for Node."""
    app = web.at(server)
    assert app.publish("nope", topic, "x").code == "NOT_FOUND_ERROR"
    assert app.refusal("nope", topic) == "NOT_FOUND_ERROR"


@pytest.mark.parametrize("has_item", [True, False])
def test_a_drain(web, topic, has_item):
    """C15: a server that stops in good order and starts again is not seen, whether there was an item before or not."""
    with Server(config=CONFIG) as server:
        subscription = web.at(server).subscribe(CACHE, topic)
        if has_item:
            assert Curl(server).publish(CACHE, topic, "before") == 204
            subscription.wait()
        server.terminate()
        server.start()
        goes_on(subscription, server, topic)
        assert subscription.all("error") == []


def test_a_connection_that_ends(web, server, topic):
    """C16: after a reset of the connection an item that is published a second later arrives."""
    with Link(server) as link:
        subscription = web.at(link).subscribe(CACHE, topic)
        link.reset()
        time.sleep(1)
        assert Curl(server).publish(CACHE, topic, "later") == 204
        assert subscription.value() == "later"
        assert subscription.all("error") == []


def goes_on(subscription, server, topic, seconds=10):
    """Publishes until something new arrives, which nobody who is subscribed has to wait for."""
    curl, seen, deadline = Curl(server), len(subscription.all()), time.monotonic() + seconds
    number = 0
    while len(subscription.all()) == seen:
        assert time.monotonic() < deadline, subscription.kinds
        assert curl.publish(CACHE, topic, f"later {number}") == 204
        number += 1
        time.sleep(0.2)
