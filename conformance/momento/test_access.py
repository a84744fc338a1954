"""A server that is not open to everybody, as one is deployed."""

import pytest
from clients import Node, Python
from fanfare import Server
from gateway import CACHE, CONFIG, Curl, make_key

SECRET = "a-secret-of-the-tests-with-32-bytes-or-more"
CLOSED = f'{CONFIG}[[auth.keys]]\nid = "main"\nsecret = "{SECRET}"\n'


@pytest.fixture(scope="module")
def closed():
    with Server(config=CLOSED) as server:
        yield server


def test_without_a_key(node, closed, topic):
    """More: without a key nothing is allowed, in the SDK's own words."""
    app = node.at(closed)
    assert app.publish(CACHE, topic, "x").code == "AUTHENTICATION_ERROR"
    assert app.refusal(CACHE, topic) == "AUTHENTICATION_ERROR"
    assert app.ask("createCache", cache="c").code == "AUTHENTICATION_ERROR"
    assert app.token({"role": "subscribeonly", "cache": CACHE, "topic": topic}).code == "AUTHENTICATION_ERROR"
    assert Curl(closed).publish(CACHE, topic, "x") == 401


def test_the_key_of_a_superuser(node, closed, topic):
    """More: it makes caches and tokens, publishes and subscribes."""
    app = node.at(closed, make_key(closed, "superuser", None))
    app.ask("createCache", cache=topic).must()
    made = app.token({"role": "subscribeonly", "cache": topic, "topic": "a"}).must().more["key"]
    subscription = node.at(closed, made).subscribe(topic, "a")
    app.publish(topic, "a", "x").must()
    assert subscription.value() == "x"


def test_a_page(web, node, closed, topic):
    """More: a page of another origin lives on a token; its origin need not be configured."""
    maker = node.at(closed, make_key(closed, "superuser", None))
    made = maker.token({"role": "publishsubscribe", "cache": CACHE, "topic": topic}).must().more["key"]
    app = web.at(closed, made)
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, "x").must()
    assert subscription.value() == "x"


@pytest.mark.parametrize("kind", [Node, Python], ids=["node", "python"])
def test_tls(kind, closed, topic):
    """More: the same over TLS, with the authority that the server made."""
    key = make_key(closed, "publishsubscribe", CACHE, topic)
    with kind(roots=closed.data / "ca/ca.pem") as sdk:
        app = sdk.at(closed, key, tls=True)
        subscription = app.subscribe(CACHE, topic)
        app.publish(CACHE, topic, "x").must()
        assert subscription.value() == "x"


def test_a_key_of_the_second_version(rust, closed, topic):
    """More: `--form v2` makes keys as consoles do now; the SDK for Rust and curl take them."""
    key = make_key(closed, "publishsubscribe", CACHE, topic, None, "--form", "v2")
    app = rust.at(closed, key)
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, "x").must()
    assert Curl(closed, key).publish(CACHE, topic, "y") == 204
    assert [item.value for item in subscription.wait(count=2)] == ["x", "y"]
    assert app.publish(CACHE, "other", "x").code == "PermissionError"


def test_a_key_of_the_old_kind(node, closed, topic):
    """More: `--form legacy` makes keys with the endpoints in their claims; the SDK for Node takes them."""
    app = node.at(closed, make_key(closed, "publishsubscribe", CACHE, topic, None, "--form", "legacy"))
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, "x").must()
    assert subscription.value() == "x"
    assert app.refusal(CACHE, "other") == "PERMISSION_ERROR"
