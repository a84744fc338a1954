"""What is not of the original: topics, users and many connections at once, and everything else that reaches clients."""

import json
from contextlib import ExitStack, contextmanager

import boto3
import pytest
from clients import Python
from commands import fanfare_pub, fanfare_sub, lines_of, mosquitto_pub, mosquitto_sub, subscribers
from conftest import connecting
from fanfare import wait_until
from senders import Boto, signed

CONFIG = """
[[events.rules]]
name = "to-topic"
pattern = { source = ["shop"], detail-type = ["Tickets"] }
targets = [{ topic = "tickets/${$.detail.artist}", input_path = "$.detail" }]

[[events.rules]]
name = "to-user"
pattern = { source = ["shop"], detail-type = ["Receipt"] }
targets = [{ users = "${$.detail.user}", input_path = "$.detail" }]

[[events.rules]]
name = "to-function"
pattern = { source = ["shop"], detail-type = ["Audit"] }
targets = [{ function = "heard", input_path = "$.detail" }]
"""


@pytest.fixture(scope="module")
def gateway(gateways):
    return gateways("topics.yml", config=CONFIG)


def ask(connected, **asked):
    """Sends to the handler whose results subscribe."""
    connected.send(json.dumps({"action": "topics", **asked}))
    assert connected.receive() == "done"


def is_alone(connected):
    """Nothing else is on its way: the next frame is the answer to what is sent now."""
    connected.send('{"action":"show"}')
    assert "requestContext" in connected.receive()


@contextmanager
def subscribed(gateway, *topics, token="allow"):
    with connecting(gateway)(token=token) as (connected, found):
        ask(connected, subscribe=list(topics))
        yield connected, found


def publish(gateway, topic, text):
    """By signed request."""
    status, _, body = signed(f"{gateway.endpoint}/@topics/{topic}", body=text.encode())
    assert 200 <= status < 300, body


def put(gateway, kind, detail):
    events = boto3.client(
        "events", endpoint_url=gateway.server.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    entry = {"Source": "shop", "DetailType": kind, "Detail": json.dumps(detail)}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_broadcast_to_topic(gateway):
    """More: one request reaches all connections that handlers have subscribed to a topic."""
    with subscribed(gateway, "room/1") as (one, _), subscribed(gateway, "room/1", "room/2") as (both, _):
        with connecting(gateway)() as (none, _):
            publish(gateway, "room/1", "first")
            publish(gateway, "room%2F2", "second")
            assert one.receive() == "first"
            assert [both.receive(), both.receive()] == ["first", "second"]
            for connected in (one, both, none):
                is_alone(connected)


def test_subscribe_at_connect(gateway):
    """More: `$connect` can subscribe its connection, so that nothing is missed."""
    result = json.dumps({"statusCode": 200, "subscribe": ["room/at-once"]})
    with connecting(gateway)(connect=f"json:{result}") as (connected, _):
        publish(gateway, "room/at-once", "hello")
        assert connected.receive() == "hello"


def test_unsubscribe(gateway):
    """More: results end subscriptions too."""
    with subscribed(gateway, "room/3", "room/4") as (connected, _):
        ask(connected, unsubscribe=["room/3"])
        publish(gateway, "room/3", "not this")
        publish(gateway, "room/4", "this")
        assert connected.receive() == "this"
        is_alone(connected)


def test_patterns(gateway):
    """More: a subscription may be a pattern."""
    with subscribed(gateway, "house/+/light") as (connected, _):
        publish(gateway, "house/kitchen/heat", "no")
        publish(gateway, "house/kitchen/light", "on")
        assert connected.receive() == "on"


def test_many_topics(gateway):
    """More: a connection cannot be subscribed to more topics than are allowed, and goes on."""
    with connecting(gateway)() as (connected, _):
        ask(connected, subscribe=[f"many/{number}" for number in range(5)])
        connected.send(json.dumps({"action": "topics", "subscribe": ["many/6"]}))
        connected.receive()
        publish(gateway, "many/6", "too many")
        publish(gateway, "many/4", "within")
        assert connected.receive() == "within"


def send_to(gateway, path, text):
    """How many connections a request reached."""
    status, _, body = signed(f"{gateway.endpoint}/{path}", body=text.encode())
    assert status == 200, body
    return json.loads(body)["connections"]


def test_broadcast_to_user(gateway):
    """More: one request reaches all connections of a user, by the name that the authorizer gave."""
    with ExitStack() as stack:
        connect = connecting(gateway)
        ada = [stack.enter_context(connect(token="user:ada lovelace"))[0] for _ in range(3)]
        bob, _ = stack.enter_context(connect(token="user:bob"))
        assert send_to(gateway, "@users/ada%20lovelace", "for ada") == 3
        assert [connected.receive() for connected in ada] == ["for ada"] * 3
        is_alone(bob)
        assert send_to(gateway, "@users/nobody", "x") == 0


def test_broadcast_to_all(gateway):
    """More: one request reaches all connections of a stage."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connecting(gateway)())[0] for _ in range(5)]
        assert send_to(gateway, "@connections", "for all") >= 5
        for connected in clients:
            assert connected.receive() == "for all"
            is_alone(connected)


def test_topic_integration(gateway):
    """More: a route publishes to a topic without any function."""
    with subscribed(gateway, "room/blue") as (listener, _), connecting(gateway)() as (speaker, _):
        speaker.send(json.dumps({"action": "publish", "room": "blue", "data": {"text": "hi"}}))
        assert json.loads(listener.receive()) == {"text": "hi"}
        with subscribers(gateway.server, lambda: fanfare_sub(gateway.server, "whole/user-17", 1)) as [reader]:
            speaker.send('{"action":"publish-whole","n":1}')
            assert lines_of(reader) == ['{"action":"publish-whole","n":1}']


def test_other_doors(gateway):
    """More: what is published natively and over MQTT reaches clients of API Gateway."""
    with subscribed(gateway, "doors/a") as (connected, _):
        fanfare_pub(gateway.server, "doors/a", "native")
        assert connected.receive() == "native"
        mosquitto_pub(gateway.server, "doors/a", b"mqtt")
        assert connected.receive() == "mqtt"


def test_to_other_doors(gateway):
    """More: what is published by `@topics` reaches native and MQTT subscribers."""
    server = gateway.server
    makers = [lambda: mosquitto_sub(server, "doors/b", 1), lambda: fanfare_sub(server, "doors/b", 1)]
    with subscribers(server, *makers) as readers:
        publish(gateway, "doors/b", "for all")
        assert [lines_of(reader) for reader in readers] == [["for all"], ["for all"]]


def test_events_to_topic(gateway):
    """More: an event of EventBridge reaches subscribed connections by one rule."""
    with subscribed(gateway, "tickets/ada") as (connected, _):
        put(gateway, "Tickets", {"artist": "bob", "seats": 1})
        put(gateway, "Tickets", {"artist": "ada", "seats": 2})
        assert json.loads(connected.receive()) == {"artist": "ada", "seats": 2}


def test_events_to_user(gateway):
    """More: an event of EventBridge reaches all connections of a user."""
    with connecting(gateway)(token="user:eve") as (connected, _), connecting(gateway)(token="user:bob") as (other, _):
        put(gateway, "Receipt", {"user": "eve", "sum": 3})
        assert json.loads(connected.receive()) == {"user": "eve", "sum": 3}
        is_alone(other)


def test_events_to_function(gateway):
    """More: an event of EventBridge reaches a function."""
    put(gateway, "Audit", {"n": 7})
    assert gateway.event("heard")["given"] == {"n": 7}


def test_resume(gateway):
    """More: a client that comes back with its last position gets what it missed, once."""
    result = json.dumps({"statusCode": 200, "subscribe": ["resume/a"]})

    def connect(position):
        return Python(gateway.url(connect=f"json:{result}", fanfare_resume=position))

    def bodies(connected, number):
        frames = [json.loads(connected.receive()) for _ in range(number)]
        assert {frame["topic"] for frame in frames} == {"resume/a"}
        return [frame["body"] for frame in frames], frames[-1]["position"]

    with connect("") as connected:
        assert json.loads(connected.receive())["position"]
        publish(gateway, "resume/a", "one")
        told, position = bodies(connected, 1)
        assert told == ["one"]
    for body in ('"two"', '{"n": 3}'):
        publish(gateway, "resume/a", body)
    with connect(position) as connected:
        assert json.loads(connected.receive())["recovered"] is True
        assert bodies(connected, 2)[0] == ["two", {"n": 3}]
        publish(gateway, "resume/a", "four")
        assert bodies(connected, 1)[0] == ["four"]


def test_resume_too_late(gateway):
    """More: a client that comes back with a position that is no more is told so."""
    result = json.dumps({"statusCode": 200, "subscribe": ["resume/b"]})
    with Python(gateway.url(connect=f"json:{result}", fanfare_resume="no position")) as connected:
        assert json.loads(connected.receive())["recovered"] is False


def test_subscriptions_end(gateway):
    """More: subscriptions end with their connection."""
    with subscribed(gateway, "ends/a") as (connected, found):
        connected.close()
        wait_until(lambda: Boto(gateway.endpoint).get(found).error == "GoneException", "the end")
    with connecting(gateway)() as (other, _):
        publish(gateway, "ends/a", "x")
        is_alone(other)
