"""Authorizers: what they are told, which policies let in, and what is wrong with an answer (more of checks 5 to 8, 36)."""

import json
import time

import pytest
import target
from clients import Python
from conftest import connecting
from test_upgrade import refusal


@pytest.mark.parametrize("token", ["everything", "list", "question", "not-action", "address"])
def test_c07_policies(gateway, token):
    """C7: wildcards, lists, `NotAction`, conditions and letters of either case in policies let in whom they mean."""
    with Python(gateway.url(token)) as connected:
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'


@pytest.mark.parametrize("token", ["other", "deny-wins", "other-address", "unknown-condition", "nobody-denied"])
def test_c05_policies(gateway, token):
    """C5: a policy that matches nothing, denies as well as allows, or has a condition that nobody knows, refuses."""
    refused, case = refusal(gateway, token=token)
    assert refused.status == 403
    assert [record["function"] for record in gateway.records(case=case)] == ["authorize"]


BROKEN = ["text", "number", "no-policy", "no-statement", "array-context", "null-context", "large-context", "nobody-allowed", "exit"]


@pytest.mark.parametrize("token", BROKEN)
def test_c08_answers(gateway, token):
    """C8: an authorizer that names nobody, has no policy, ends its process or says too much is 500."""
    refused, case = refusal(gateway, token=token)
    assert refused.status == 500
    assert gateway.records("connect", case=case) == []


def test_c08_timeout(gateways):
    """C8: an authorizer that hangs is 500 after its time, and others are let in meanwhile."""
    gateway = gateways("short.yml")
    begin = time.monotonic()
    refused, _ = refusal(gateway, token="hang")
    assert refused.status == 500
    assert 0.9 < time.monotonic() - begin < 8
    with Python(gateway.url()) as connected:
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'


def test_event(gateway):
    """More: an authorizer is told all of the upgrade, in the form of REQUEST authorizers."""
    case = target.case()
    with Python(gateway.url(case=case), headers={"X-Own": "1"}):
        event = gateway.event("authorize", case=case)
    keys = {"type", "methodArn", "headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters"}
    assert set(event) == keys | {"stageVariables", "requestContext"}
    assert (event["type"], event["stageVariables"]) == ("REQUEST", {})
    assert event["queryStringParameters"] == {"token": "allow", "case": case}
    assert event["multiValueQueryStringParameters"] == {"token": ["allow"], "case": [case]}
    assert {"Connection", "Upgrade", "Host", "X-Own", "X-Forwarded-For"} <= set(event["headers"])
    assert event["headers"]["Upgrade"].lower() == "websocket"


def test_method_arn(gateway):
    """More: an authorizer is told the ARN that policies are about."""
    case = target.case()
    with Python(gateway.url(case=case)):
        event = gateway.event("authorize", case=case)
    api = event["requestContext"]["apiId"]
    region, account = event["methodArn"].split(":")[3:5]
    assert event["methodArn"] == f"arn:aws:execute-api:{region}:{account}:{api}/{target.STAGE}/$connect"
    assert region == "us-east-1" and account.isdigit() and len(account) == 12


def test_one_id(gateway):
    """More: authorizer, `$connect` and later events have one connection id, and a time that does not change."""
    with connecting(gateway)() as (connected, found):
        connected.send("hello")
        events = [gateway.event(name, connection=found) for name in ("authorize", "connect", "default")]
    contexts = [event["requestContext"] for event in events]
    assert {context["connectionId"] for context in contexts} == {found}
    assert len({context["connectedAt"] for context in contexts}) == 1


def test_called_each_time(gateway):
    """More: an authorizer is called for every connection: nothing is remembered."""
    case = target.case()
    for _ in range(3):
        with Python(gateway.url(case=case)):
            pass
    assert len(gateway.records("authorize", case=case)) == 3


def test_context_to_handler(gateway):
    """More: the handler of a message sees the context that the authorizer gave."""
    with Python(gateway.url()) as connected:
        connected.send('{"action":"show"}')
        told = json.loads(connected.receive())["requestContext"]["authorizer"]
    assert (told["principalId"], told["tenant"]) == ("user-17", "acme")
