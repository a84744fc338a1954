"""Disposable tokens."""

import base64
import json
import time

import pytest
from fanfare import Server
from gateway import CACHE, CONFIG, make_key, revoke

SUBSCRIBE = {"role": "subscribeonly", "cache": CACHE, "topic": "mychannel"}


def test_a_token_with_an_id(node, server, topic):
    """C10: a token tells its endpoint and end, and its id is seen by those who hear its messages."""
    app = node.at(server)
    made = app.token({"role": "publishsubscribe", "cache": CACHE, "topic": topic}, lifetime=300, id="u1").must().more
    assert abs(made["expires"] - time.time() - 300) < 5
    inner = json.loads(base64.b64decode(made["key"], validate=True))
    assert set(inner) == {"endpoint", "api_key"} and inner["endpoint"] == made["endpoint"] != ""
    subscription = app.subscribe(CACHE, topic)
    node.at(server, made["key"]).publish(CACHE, topic, "x").must()
    [item] = subscription.wait()
    assert (item.value, item.token) == ("x", "u1")


def test_the_endpoint_is_that_of_the_configuration(node, topic):
    """C10: `momento.endpoint` is what tokens tell."""
    with Server(config=f'{CONFIG}endpoint = "gw.example.com:8443"\n') as server:
        assert node.at(server).token(SUBSCRIBE).must().more["endpoint"] == "gw.example.com:8443"


def test_a_token_for_too_long(node, server):
    """C11: more than 25 hours are INVALID_ARGUMENT_ERROR."""
    app = node.at(server)
    app.token(SUBSCRIBE, lifetime=25 * 3_600).must()
    assert app.token(SUBSCRIBE, lifetime=26 * 3_600).code == "INVALID_ARGUMENT_ERROR"


@pytest.mark.slow
def test_a_token_that_expires(node, server, topic):
    """C12: after its end publishing is AUTHENTICATION_ERROR, and so is the end of its subscription, within 2 s."""
    made = node.at(server).token({"role": "publishsubscribe", "cache": CACHE, "topic": topic}, lifetime=3).must().more
    app = node.at(server, made["key"])
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, "x").must()
    [error] = subscription.wait("error")
    assert error.code == "AUTHENTICATION_ERROR"
    assert made["expires"] - 0.1 <= error.at <= made["expires"] + 2
    assert app.publish(CACHE, topic, "y").code == "AUTHENTICATION_ERROR"
    assert subscription.values == ["x"]


def test_a_key_that_is_revoked(node, server, topic):
    """More: within two seconds its subscription ends with AUTHENTICATION_ERROR, and it publishes nothing more."""
    app = node.at(server, make_key(server, "publishsubscribe", CACHE, topic, name="revoked"))
    subscription = app.subscribe(CACHE, topic)
    revoke(server, "revoked")
    [error] = subscription.wait("error", seconds=2)
    assert error.code == "AUTHENTICATION_ERROR"
    assert app.publish(CACHE, topic, "x").code == "AUTHENTICATION_ERROR"


def test_a_token_made_by_rust(rust, node, server, topic):
    """C21: a token that the SDK for Rust asked for counts in the SDK for Node."""
    made = rust.at(server).token_to_subscribe(CACHE, topic).must().more
    app = node.at(server, made["key"])
    subscription = app.subscribe(CACHE, topic)
    assert app.publish(CACHE, topic, "x").code == "PERMISSION_ERROR"
    node.at(server).publish(CACHE, topic, "y").must()
    assert subscription.value() == "y"


def test_a_token_made_by_python(python, node, server, topic):
    """More: a token that the SDK for Python asked for counts in the SDK for Node."""
    made = python.at(server).token_to_subscribe(CACHE, topic).must().more
    app = node.at(server, made["key"])
    app.subscribe(CACHE, topic)
    assert app.refusal(CACHE, "other") == "PERMISSION_ERROR"


def test_who_may_make_tokens(node, server, topic):
    """More: a key with permissions on topics makes no tokens."""
    app = node.at(server, make_key(server, "publishsubscribe", CACHE, topic))
    assert app.token(SUBSCRIBE).code == "PERMISSION_ERROR"


def test_a_token_in_a_page(web, server, topic):
    """More: a page asks for a token and lives on it."""
    anyone = web.at(server)
    made = anyone.token({"role": "publishsubscribe", "cache": CACHE, "topic": topic}, id="page").must().more
    app = web.at(server, made["key"])
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, "x").must()
    [item] = subscription.wait()
    assert (item.value, item.token) == ("x", "page")
    assert app.publish(CACHE, "other", "x").code == "PERMISSION_ERROR"
    assert app.refusal(CACHE, "other") == "PERMISSION_ERROR"


@pytest.mark.parametrize("permissions", [None, [SUBSCRIBE]], ids=["everything", "one topic"])
def test_keys_made_and_refreshed(node, server, permissions):
    """More: `generateApiKey` makes keys that `refreshApiKey` exchanges for others."""
    made = node.at(server).ask("generateApiKey", permissions=permissions, lifetime=600).must().more
    assert abs(made["expires"] - time.time() - 600) < 5
    fresh = node.at(server, made["key"]).ask("refreshApiKey", refresh=made["refresh"]).must().more
    assert fresh["key"] != made["key"] and fresh["refresh"] != ""
    app = node.at(server, fresh["key"])
    app.subscribe(CACHE, "mychannel")
    assert app.publish(CACHE, "mychannel", "x").code == (None if permissions is None else "PERMISSION_ERROR")
    assert node.at(server, made["key"]).ask("refreshApiKey", refresh="nothing").code is not None


def test_a_key_for_topics_that_begin_so(node, server, topic):
    """More: `fanfare key create --topic-prefix` is honoured."""
    app = node.at(server, make_key(server, "publishsubscribe", CACHE, None, None, "--topic-prefix", f"{topic}/"))
    subscription = app.subscribe(CACHE, f"{topic}/a")
    app.publish(CACHE, f"{topic}/a", "x").must()
    assert subscription.value() == "x"
    assert app.publish(CACHE, topic, "x").code == "PERMISSION_ERROR"
    assert app.refusal(CACHE, topic[:-1]) == "PERMISSION_ERROR"


def test_too_many_permissions(node, server):
    """More: a token has at most 20 permissions."""
    app = node.at(server)
    some = [{**SUBSCRIBE, "topic": f"t{number}"} for number in range(21)]
    made = app.token(*some[:20]).must().more["key"]
    node.at(server, made).subscribe(CACHE, "t19")
    assert app.token(*some).code == "INVALID_ARGUMENT_ERROR"


@pytest.mark.parametrize(
    "other",
    [
        {"role": "readwrite", "cache": CACHE},
        {"role": "readonly", "cache": {"name": CACHE}, "item": {"keyPrefix": "a"}},
        {"role": "functioninvoke", "cache": CACHE, "func": "f"},
    ],
    ids=["cache", "items", "function"],
)
def test_permissions_on_other_things(node, server, topic, other):
    """More: permissions on items of caches and on functions are taken and give nothing on topics."""
    app = node.at(server)
    made = app.token(other, {"role": "subscribeonly", "cache": {"name": CACHE}, "topic": {"name": topic}}).must().more["key"]
    holder = node.at(server, made)
    holder.subscribe(CACHE, topic)
    assert holder.publish(CACHE, topic, "x").code == "PERMISSION_ERROR"


def test_a_token_that_has_expired_gives_no_subscription(node, server):
    """More: a subscription with it is AUTHENTICATION_ERROR."""
    made = node.at(server).token(SUBSCRIBE, lifetime=1).must().more
    time.sleep(max(0, made["expires"] - time.time()) + 0.1)
    assert node.at(server, made["key"]).refusal(CACHE, "mychannel") == "AUTHENTICATION_ERROR"
