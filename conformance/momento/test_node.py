"""Publish and subscribe with the SDK for Node."""

import base64
import json
import time
from urllib.parse import quote

import pytest
from clients import wrapped
from fanfare import Server, wait_until
from gateway import CACHE, CONFIG, Curl, make_key

# The SDK's MomentoErrorCode.CACHE_NOT_FOUND_ERROR is this text.
CACHE_NOT_FOUND_ERROR = "NOT_FOUND_ERROR"
MESSAGE_BYTES_MAX = 1 << 20


def test_subscribe_resolves_at_once(node, server, topic):
    """C1: `subscribe` resolves within 200 ms and `onHeartbeat` is called once."""
    app = node.at(server)
    app.subscribe(CACHE, f"{topic}/before")
    begin = time.monotonic()
    subscription = app.subscribe(CACHE, topic)
    assert time.monotonic() - begin < 0.2
    subscription.wait("heartbeat")
    assert subscription.kinds.count("heartbeat") == 1


def test_text_and_bytes(node, server, topic):
    """C2, C3: text and bytes arrive as what they are, numbered from 1."""
    app = node.at(server)
    app.ask("createCache", cache=topic).must()
    subscription = app.subscribe(topic, "a")
    assert app.publish(topic, "a", "x").type == "Success"
    [first] = subscription.wait()
    assert (first.value, first.number) == ("x", 1)
    app.publish(topic, "a", bytes([1, 2, 250])).must()
    second = subscription.wait(count=2)[1]
    assert (second.value, second.number) == (bytes([1, 2, 250]), 2)


def test_numbers_are_those_of_the_cache(node, server, topic):
    """More: numbers rise; where others publish to the cache there are holes, which are no loss to those who resume."""
    app = node.at(server)
    subscription = app.subscribe(CACHE, topic)
    for name in (topic, f"{topic}/other", topic):
        app.publish(CACHE, name, "x").must()
    first, second = subscription.wait(count=2)
    assert second.number > first.number
    [following] = Curl(server).poll(CACHE, topic, first.number + 1, subscription.wait("discontinuity")[0].more["page"])
    assert following["item"]["topic_sequence_number"] == second.number
    assert len(subscription.all("discontinuity")) == 1


def test_nobody_listens(node, server, topic):
    """C4: a publish that nobody hears is a success."""
    assert node.at(server).publish(CACHE, topic, "x").type == "Success"


@pytest.mark.slow
def test_nothing_is_lost_when_the_sdk_reconnects(node, link, topic):
    """C5: the SDK ends its first stream after five seconds and is away for half a second; all messages come once."""
    app = node.at(link)
    subscription = app.subscribe(CACHE, topic)
    begin = time.monotonic()
    for second in (3, 5.2, 8):
        time.sleep(begin + second - time.monotonic())
        app.publish(CACHE, topic, str(second)).must()
    time.sleep(begin + 12 - time.monotonic())
    assert subscription.values == ["3", "5.2", "8"]
    assert subscription.all("error") == []
    first, second = [asked for asked in link.subscribes() if asked.topic == topic]
    assert first.resume == 0 and second.resume == subscription.all()[0].number + 1 and second.page > 0


def test_a_cache_that_is_not_there(node, server, topic):
    """C6: publishing to it and subscribing to it are CACHE_NOT_FOUND_ERROR."""
    app = node.at(server)
    assert app.publish("nope", topic, "x").code == CACHE_NOT_FOUND_ERROR
    assert app.refusal("nope", topic) == CACHE_NOT_FOUND_ERROR


def test_a_key_that_may_only_subscribe(node, server, topic):
    """C7: it subscribes to its topic, and anything else is PERMISSION_ERROR."""
    app = node.at(server, make_key(server, "subscribeonly", CACHE, topic))
    subscription = app.subscribe(CACHE, topic)
    assert app.publish(CACHE, topic, "x").code == "PERMISSION_ERROR"
    assert app.refusal(CACHE, "other") == "PERMISSION_ERROR"
    node.at(server).publish(CACHE, topic, "y").must()
    assert subscription.value() == "y"


@pytest.mark.parametrize("inner", ["garbage", "not.a.key", "eyJhbGciOiJIUzI1NiJ9.eyJ0IjoiZyJ9.c2lnbmF0dXJl"])
def test_a_key_that_is_none(node, server, topic, inner):
    """C8: it is AUTHENTICATION_ERROR to publish and to subscribe."""
    key = base64.b64encode(json.dumps({"endpoint": "gateway.test", "api_key": inner}).encode()).decode()
    app = node.at(server, key)
    assert app.publish(CACHE, topic, "x").code == "AUTHENTICATION_ERROR"
    assert app.refusal(CACHE, topic) == "AUTHENTICATION_ERROR"


def test_a_key_that_may_only_publish(node, server, topic):
    """C9: it publishes, and its subscription is PERMISSION_ERROR."""
    app = node.at(server, make_key(server, "publishonly", CACHE, topic))
    app.publish(CACHE, topic, "x").must()
    assert app.refusal(CACHE, topic) == "PERMISSION_ERROR"


def test_a_token_for_all_caches_and_topics(node, server, topic):
    """C9: `publishsubscribe` with `AllCaches` and `AllTopics` does both everywhere."""
    anyone = node.at(server)
    anyone.ask("createCache", cache=topic).must()
    app = node.at(server, anyone.token({"role": "publishsubscribe", "all": True}).must().more["key"])
    for cache in (CACHE, topic):
        subscription = app.subscribe(cache, topic)
        app.publish(cache, topic, "x").must()
        assert subscription.value() == "x"


def test_many_subscriptions_of_one_client(node, topic):
    """C22: 300 subscriptions of one client all deliver, and unsubscribing leaves none behind."""
    with Server(config=CONFIG) as server:
        app = node.at(server)
        subscriptions = [app.subscribe(CACHE, f"{topic}/{number % 10}") for number in range(300)]
        assert server.metric("fanfare_connections") == 300
        for number in range(10):
            app.publish(CACHE, f"{topic}/{number}", str(number)).must()
        for number, subscription in enumerate(subscriptions):
            assert [event.value for event in subscription.wait()] == [str(number % 10)]
        for subscription in subscriptions:
            subscription.unsubscribe()
        wait_until(lambda: server.metric("fanfare_connections") == 0, "the end of the subscriptions")


def test_a_message_that_is_too_large(node, server, topic):
    """C24: one byte more than allowed is LIMIT_EXCEEDED_ERROR, and the SDK says that it is about the size."""
    app = node.at(server)
    app.publish(CACHE, topic, "x" * MESSAGE_BYTES_MAX).must()
    refused = app.publish(CACHE, topic, "x" * (MESSAGE_BYTES_MAX + 1))
    assert refused.code == "LIMIT_EXCEEDED_ERROR" and refused.message.startswith("Request size limit exceeded"), refused


def test_a_call_that_is_not_served(node, server, topic):
    """C29: `CacheClient.get` is BAD_REQUEST_ERROR, and subscriptions beside it stay."""
    app = node.at(server)
    subscription = app.subscribe(CACHE, topic)
    assert app.ask("get", cache=CACHE).code == "BAD_REQUEST_ERROR"
    app.publish(CACHE, topic, "x").must()
    assert subscription.value() == "x" and "lost" not in subscription.kinds


@pytest.mark.parametrize("name", ["Straße 🚦", "?&=%2F", "a//b/", " lead", "$sys", "#general", "+41 44 000 00 00", "a+b/#"])
def test_names_of_topics(node, server, topic, name):
    """More: a name is any text, nothing of it has a meaning, and it is itself on every way."""
    app = node.at(server)
    subscription, other = app.subscribe(CACHE, name), app.subscribe(CACHE, topic)
    app.publish(CACHE, name, "x").must()
    assert Curl(server).publish(CACHE, quote(name, safe=""), "y") == 204
    assert [item.value for item in subscription.wait(count=2)] == ["x", "y"]
    app.publish(CACHE, topic, "z").must()
    assert other.value() == "z" and subscription.values == ["x", "y"]


def test_an_empty_text(node, server, topic):
    """More: an empty text arrives."""
    app = node.at(server)
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, "").must()
    [item] = subscription.wait()
    assert item.value in ("", b"")


def test_keys_are_taken_in_every_shape(server, topic):
    """More: curl may send a key as it was printed, wrapped or not."""
    key = make_key(server, "publishonly", CACHE, topic)
    bare = Curl(server, key)
    assert bare.publish(CACHE, topic, "x") == 204
    bare.key = wrapped(key)
    assert bare.publish(CACHE, topic, "x") == 204
