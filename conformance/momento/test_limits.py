"""Bounds that are configured, and how SDKs tell of them."""

import time

import pytest
from clients import wrapped
from fanfare import Server
from gateway import CACHE, CONFIG, Curl

LIMITS = {
    "subscriptions": ("subscriptions = 1", "Topic subscriptions limit exceeded"),
    "operations": ("operations_per_second = 2", "Request rate limit exceeded"),
    "throughput": ("throughput_per_second = 1000", "Bandwidth limit exceeded"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit(node, rust, topic, limit):
    """More: what is over a limit is LIMIT_EXCEEDED_ERROR, and the SDKs say which limit it is."""
    key, words = LIMITS[limit]
    with Server(config=f"{CONFIG}{key}\n") as server:
        for sdk, code in ((node, "LIMIT_EXCEEDED_ERROR"), (rust, "LimitExceededError")):
            app = sdk.at(server)
            if limit == "subscriptions":
                refused = [app.try_subscribe(CACHE, topic)[0] for _ in range(2)][-1]
            else:
                refused = first_refusal(app, topic)
            assert refused.code == code and refused.message.startswith(words), refused
            # Another window, for the other SDK.
            time.sleep(1.1)


def first_refusal(app, topic):
    for _ in range(20):
        outcome = app.publish(CACHE, topic, "x" * 400)
        if not outcome.is_ok:
            return outcome
    raise AssertionError("nothing was refused")


def test_http_is_limited_too(topic):
    """More: over HTTP the same is 429."""
    with Server(config=f"{CONFIG}operations_per_second = 2\n") as server:
        assert 429 in [Curl(server).publish(CACHE, topic, "x") for _ in range(20)]


def test_how_many_caches(node):
    """More: over the number of caches, making one is LIMIT_EXCEEDED_ERROR."""
    with Server(config=f"{CONFIG}caches_max = 3\n") as server:
        app = node.at(server)
        codes = [app.ask("createCache", cache=f"c{number}").code for number in range(3)]
        assert codes[0] is None and codes[-1] == "LIMIT_EXCEEDED_ERROR", codes


def test_heartbeats(node, topic):
    """More: a silent subscription gets a heartbeat after so long."""
    with Server(config=f"{CONFIG}heartbeat_ms = 300\n") as server:
        subscription = node.at(server).subscribe(CACHE, topic)
        first, second, third = [event.at for event in subscription.wait("heartbeat", 3)][:3]
        assert 0.25 < third - second < 1


def test_a_poll_ends(topic):
    """More: a poll with nothing to say is answered after `poll_hold_ms`, with no items."""
    with Server(config=f"{CONFIG}poll_hold_ms = 500\n") as server:
        begin = time.monotonic()
        items = Curl(server).poll(CACHE, topic)
        assert [one for one in items if "item" in one] == [] and time.monotonic() - begin > 0.4


def test_a_fresh_subscription_may_be_told_nothing(rust, topic):
    """More: without `initial_discontinuity` there is none."""
    with Server(config=f"{CONFIG}initial_discontinuity = false\n") as server:
        app = rust.at(server, wrapped(""))
        subscription = app.subscribe(CACHE, topic)
        app.publish(CACHE, topic, "x").must()
        assert subscription.value() == "x" and rust.counts() == {}
