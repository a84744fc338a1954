"""Caches, made and removed by the SDK for Node."""

from fanfare import Server
from gateway import CACHE, CONFIG, Curl, make_key

# The SDK's MomentoErrorCode.CACHE_NOT_FOUND_ERROR is this text.
CACHE_NOT_FOUND_ERROR = "NOT_FOUND_ERROR"


def test_the_life_of_a_cache(node, server):
    """C13: made, made again, listed with its limits, removed; subscriptions to it end with CACHE_NOT_FOUND_ERROR."""
    app = node.at(server)
    assert app.ask("createCache", cache="c1").type == "Success"
    assert app.ask("createCache", cache="c1").type == "AlreadyExists"
    listed = {cache["name"]: cache for cache in app.ask("listCaches").must().more["caches"]}
    assert {"c1", CACHE} <= set(listed)
    assert set(listed["c1"]["topicLimits"]) == {"maxPublishRate", "maxSubscriptionCount", "maxPublishMessageSizeKb"}
    assert listed["c1"]["topicLimits"]["maxPublishMessageSizeKb"] > 0
    subscription = app.subscribe("c1", "a")
    assert app.ask("deleteCache", cache="c1").type == "Success"
    [error] = subscription.wait("error")
    assert error.code == CACHE_NOT_FOUND_ERROR
    assert app.publish("c1", "a", "x").code == CACHE_NOT_FOUND_ERROR
    assert app.ask("deleteCache", cache="c1").code == CACHE_NOT_FOUND_ERROR


def test_a_cache_outlives_a_crash(node):
    """More: a cache that was made is there after a crash, and one that was removed is not."""
    with Server(config=CONFIG) as server:
        app = node.at(server)
        for name in ("kept", "gone"):
            app.ask("createCache", cache=name).must()
        app.ask("deleteCache", cache="gone").must()
        server.restart()
        node.ask("reset")
        assert app.publish("kept", "a", "x").is_ok
        assert app.publish("gone", "a", "x").code == CACHE_NOT_FOUND_ERROR


def test_who_may_make_caches(node, server):
    """More: a key with permissions on topics makes and removes no caches."""
    app = node.at(server, make_key(server, "publishsubscribe", CACHE, "a"))
    assert app.ask("createCache", cache="c2").code == "PERMISSION_ERROR"
    assert app.ask("deleteCache", cache=CACHE).code == "PERMISSION_ERROR"


def test_a_cache_is_emptied(node, server, topic):
    """More: after `flushCache` nothing of before is replayed, and subscriptions go on."""
    app, curl = node.at(server), Curl(server)
    app.ask("createCache", cache=topic).must()
    subscription = app.subscribe(topic, "a")
    app.publish(topic, "a", "before").must()
    [before] = subscription.wait()
    assert app.ask("flushCache", cache=topic).type == "Success"
    app.publish(topic, "a", "after").must()
    assert [item.value for item in subscription.wait(count=2)] == ["before", "after"]
    replayed = [one["item"]["value"] for one in curl.poll(topic, "a", before.number) if "item" in one]
    assert replayed == [{"text": "after"}]


def test_caches_that_make_themselves(node):
    """More: with `auto_create_caches` a cache need not be made."""
    with Server(config=f"{CONFIG}auto_create_caches = true\n") as server:
        app = node.at(server)
        subscription = app.subscribe("new", "a")
        app.publish("new", "a", "x").must()
        assert subscription.value() == "x"
        assert "new" in {cache["name"] for cache in app.ask("listCaches").must().more["caches"]}
