"""How connections end, and what events look like (checks 32 to 36)."""

import re

import pytest
import target
from clients import Python, Wscat
from fanfare import wait_until

ID = re.compile(r"[A-Za-z0-9_-]{15}=")
TIME = re.compile(r"^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000$")
ENDINGS = {"Host", "x-api-key", "X-Forwarded-For", "x-restapi"}


def ending(gateway, found):
    """The only `$disconnect` event of a connection."""
    event = gateway.event("disconnect", connection=found)
    assert len(gateway.records("disconnect", connection=found)) == 1
    return event


def how(event):
    context = event["requestContext"]
    return context["disconnectStatusCode"], context["disconnectReason"]


def test_c32_plain_close(gateway, connect):
    """C32: a close frame without a status is told to `$disconnect` as 1005, with the reason in words."""
    with connect(Wscat) as (connected, found):
        connected.close()
        assert how(ending(gateway, found)) == (1005, "Client-side close frame status not set")


def test_c32_headers(gateway, connect):
    """C32: a DISCONNECT event has its four headers and no more."""
    with connect(Wscat) as (connected, found):
        host = gateway.event("connect", connection=found)["headers"]["Host"]
        connected.close()
        event = ending(gateway, found)
        empty = dict.fromkeys(ENDINGS - {"Host"}, "")
        assert event["headers"] == {"Host": host, **empty}
        assert event["multiValueHeaders"] == {name: [value] for name, value in event["headers"].items()}
        assert event["isBase64Encoded"] is False


@pytest.mark.parametrize("code, reason", [(4001, "bye"), (1000, ""), (1001, ""), (3000, "später")])
def test_c33_close_with_a_reason(gateway, connect, code, reason):
    """C33: code and reason of the client are told to `$disconnect`."""
    with connect() as (connected, found):
        connected.close(code, reason)
        assert how(ending(gateway, found)) == (code, reason)


def test_c34_killed_client(gateway, connect):
    """C34: a client that is killed is told to `$disconnect` as 1006."""
    with connect(Wscat) as (connected, found), connect() as (_, other):
        connected.kill()
        assert how(ending(gateway, found))[0] == 1006
    gateway.event("disconnect", connection=other)
    assert len(gateway.records("disconnect", connection=found)) == 1


def test_c34_disconnect_runs(gateway, connect):
    """C34: `$disconnect` runs once for a client that is killed."""
    with connect(Wscat) as (connected, found), connect() as (_, other):
        connected.kill()
        ending(gateway, found)
    gateway.event("disconnect", connection=other)
    assert len(gateway.records("disconnect", connection=found)) == 1


CONTEXT = {
    "routeKey", "eventType", "extendedRequestId", "requestTime", "messageDirection", "stage", "connectedAt",
    "requestTimeEpoch", "identity", "requestId", "domainName", "connectionId", "apiId",
}


def is_context(context, kind, route, more=()):
    """What all events share."""
    assert set(context) == CONTEXT | set(more)
    assert (context["eventType"], context["routeKey"]) == (kind, route)
    assert context["messageDirection"] == "IN"
    assert context["requestId"] == context["extendedRequestId"]
    assert ID.fullmatch(context["requestId"]) and ID.fullmatch(context["connectionId"])
    assert TIME.match(context["requestTime"])
    assert isinstance(context["requestTimeEpoch"], int) and isinstance(context["connectedAt"], int)
    assert 0 <= context["requestTimeEpoch"] - context["connectedAt"] < 60_000
    assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "conformance/1"}
    assert context["stage"] == target.STAGE


def test_c35_connect_event(gateways):
    """C35: a CONNECT event without a query has exactly the keys of the original."""
    gateway = gateways("strict.yml")
    seen = len(gateway.records("connect"))
    with Python(gateway.url(None)):
        event = wait_until(lambda: gateway.records("connect")[seen:], "the event")[0]["event"]
    assert set(event) == {"headers", "multiValueHeaders", "requestContext", "isBase64Encoded"}
    is_context(event["requestContext"], "CONNECT", "$connect")
    assert event["requestContext"]["domainName"] == gateway.host
    assert event["isBase64Encoded"] is False


def test_c35_query(gateway, connect):
    """C35: a CONNECT event has both kinds of queries; the last of several values counts."""
    with connect(a="ü b", c="") as (_, found):
        event = gateway.event("connect", connection=found)
    query = event["queryStringParameters"]
    assert (query["token"], query["a"], query["c"]) == ("allow", "ü b", "")
    assert event["multiValueQueryStringParameters"] == {name: [value] for name, value in query.items()}
    case = target.case()
    with Python(gateway.url(case=case) + "&a=1&a=2"):
        event = gateway.event("connect", case=case)
    assert event["queryStringParameters"]["a"] == "2"
    assert event["multiValueQueryStringParameters"]["a"] == ["1", "2"]


def test_c35_headers(gateway, connect):
    """C35: headers keep their case; those of a gateway are added."""
    more = {"Origin": "https://app.example.test", "X-Own-Thing": "1", "Cookie": "a=b"}
    with connect(options={"headers": more}) as (_, found):
        event = gateway.event("connect", connection=found)
    headers = event["headers"]
    names = {"Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "User-Agent", *more}
    names |= {"X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"}
    assert set(headers) == names
    assert {name: headers[name] for name in more} == more
    assert (headers["Host"], headers["Sec-WebSocket-Version"]) == (gateway.host, "13")
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("127.0.0.1", "http")
    assert headers["X-Forwarded-Port"] == str(gateway.port)
    assert re.fullmatch("Root=1-[0-9a-f]{8}-[0-9a-f]{24}", headers["X-Amzn-Trace-Id"])
    assert event["multiValueHeaders"] == {name: [value] for name, value in headers.items()}


def test_c35_key_names(gateway, connect):
    """C35: a CONNECT event has no `Connection` and `Upgrade`, one request id under two names, and a time in its form."""
    with connect() as (_, found):
        event = gateway.event("connect", connection=found)
    assert not {"Connection", "Upgrade", "connection", "upgrade"} & set(event["headers"])
    context = event["requestContext"]
    assert context["requestId"] == context["extendedRequestId"]
    assert TIME.match(context["requestTime"])


def test_c36_authorizer_travels(gateway, connect):
    """C36: principal and context of the authorizer are in CONNECT, MESSAGE and DISCONNECT events."""
    with connect() as (connected, found):
        connected.send("hello")
        message = gateway.event("default", connection=found)
        connected.close()
        events = [gateway.event("connect", connection=found), message, ending(gateway, found)]
    contexts = [event["requestContext"] for event in events]
    for context in contexts:
        told = {name: context["authorizer"][name] for name in ("principalId", "tenant", "level", "beta")}
        assert told == {"principalId": "user-17", "tenant": "acme", "level": "3", "beta": "true"}
    assert len({context["connectedAt"] for context in contexts}) == 1
    assert len({context["requestId"] for context in contexts}) == 3


def test_c36_message_event(gateway, connect):
    """C36: a MESSAGE event has exactly the keys of the original, with a message id and without headers."""
    with connect() as (connected, found):
        connected.send("hello")
        event = gateway.event("default", connection=found)
    assert set(event) == {"requestContext", "body", "isBase64Encoded"}
    assert (event["body"], event["isBase64Encoded"]) == ("hello", False)
    is_context(event["requestContext"], "MESSAGE", "$default", {"messageId", "authorizer"})
    assert ID.fullmatch(event["requestContext"]["messageId"])
    assert event["requestContext"]["messageId"] != event["requestContext"]["requestId"]


def test_c36_disconnect_event(gateway, connect):
    """C36: a DISCONNECT event has exactly the keys of the original, with code and reason."""
    with connect() as (connected, found):
        connected.close(4000, "over")
        event = ending(gateway, found)
    assert set(event) == {"headers", "multiValueHeaders", "requestContext", "isBase64Encoded"}
    more = {"authorizer", "disconnectStatusCode", "disconnectReason"}
    is_context(event["requestContext"], "DISCONNECT", "$disconnect", more)
