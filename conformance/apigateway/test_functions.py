"""Handlers as processes: many at once, none without work, and whatever they do wrong (checks 51 and 52)."""

import json
import time
from pathlib import Path

import boto3
import pytest
import target
from botocore.config import Config
from clients import Python, Refused
from conftest import connecting
from fanfare import wait_until
from test_messages import error_of, is_alone

BOTH = pytest.mark.parametrize("gateway", ["serverless.yml", "python.yml"], indirect=True)


def descendants(pid):
    """All processes below one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents.setdefault(int(parent), []).append(int(stat.parent.name))
    found, waiting = set(), [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found.update(children)
        waiting += children
    return found


def burst(gateway, connections=10, messages=20, ms=100):
    """So many messages at once; what was answered, and in which time."""
    clients = [Python(gateway.url(None)) for _ in range(connections)]
    try:
        begin = time.monotonic()
        for number in range(messages):
            for client in clients:
                client.send(json.dumps({"action": "slow", "ms": ms, "text": str(number)}))
        answers = [sorted(client.receive(60) for _ in range(messages)) for client in clients]
        return answers, time.monotonic() - begin
    finally:
        for client in clients:
            client.close()


@pytest.mark.slow
def test_c51_burst(gateways):
    """C51: two hundred messages at once to a handler of 100 ms are all answered, by no more processes than allowed."""
    gateway = gateways("burst.yml")
    seen = len(gateway.records("slow"))
    answers, _ = burst(gateway)
    assert answers == [sorted(f"slow {number}" for number in range(20))] * 10
    records = gateway.records("slow")[seen:]
    assert len(records) == 200
    assert 1 < len({record["pid"] for record in records}) <= 20


@pytest.mark.slow
def test_c51_to_zero(gateways):
    """C51: functions without work have no process, while connections stay."""
    gateway = gateways("burst.yml")
    with Python(gateway.url(None)) as connected:
        connected.send('{"action":"slow","ms":1,"text":"x"}')
        assert connected.receive(30) == "slow x"
        if target.target() == "fanfare":
            assert descendants(gateway.pid)
        worker = gateway.records("slow")[-1]["pid"]
        # The connection stays; what costs is gone.
        is_gone = lambda: worker not in descendants(gateway.pid) and not Path(f"/proc/{worker}").exists()  # noqa: E731
        wait_until(is_gone, "the end of the worker", 20)
        if target.target() == "fanfare":
            wait_until(lambda: not descendants(gateway.pid), "the end of all processes", 20)
        connected.send('{"action":"slow","ms":1,"text":"again"}')
        assert connected.receive(30) == "slow again"


@BOTH
def test_c52_exit(gateway, client):
    """C52: a handler that ends its process is told to the client in an error frame."""
    with connecting(gateway)(client) as (connected, found):
        connected.send('{"action":"exit"}')
        assert error_of(connected.receive()) == ("Internal server error", found)
        is_alone(connected)


@BOTH
def test_c52_new_process(gateway):
    """C52: after that the next message is served by another process."""
    with connecting(gateway)() as (connected, found):
        for _ in range(2):
            connected.send('{"action":"exit"}')
            connected.receive()
        pids = [record["pid"] for record in gateway.records("exit", connection=found)]
        assert len(set(pids)) == 2


def test_c52_exit_of_connect(gateway):
    """C52: a process that ends within `$connect` or an authorizer refuses that client only."""
    for query, status in (({"connect": "exit"}, 502), ({"token": "exit"}, 500)):
        with pytest.raises(Refused) as refused:
            with Python(gateway.url(**query)):
                pass
        assert refused.value.status == status
    with Python(gateway.url()) as connected:
        is_alone(connected)


@pytest.mark.parametrize("action", ["hang", "flood"])
def test_timeouts(gateway, connect, action):
    """More: a handler that hangs, or prints without end, is ended at its timeout, and others are served meanwhile."""
    with connect() as (connected, found), connect() as (other, _):
        connected.send(json.dumps({"action": action}))
        record = gateway.record(action, connection=found)
        is_alone(other)
        assert error_of(connected.receive(20))[0] in ("Internal server error", "Endpoint request timed out")
        wait_until(lambda: not Path(f"/proc/{record['pid']}").exists(), "the end of its process")
        is_alone(connected)


@pytest.mark.parametrize("value", [None, "text", 7, True, [1]], ids=json.dumps)
def test_nonsense(connect, value):
    """More: results that are no responses are told in an error frame."""
    with connect() as (connected, _):
        connected.send(json.dumps({"action": "say", "value": value}))
        assert error_of(connected.receive())[0] == "Internal server error"
        is_alone(connected)


@pytest.mark.parametrize(
    "value, frame",
    [
        ({"statusCode": 200, "body": ""}, None),
        ({"statusCode": 200}, None),
        ({"statusCode": 500, "body": "told all the same"}, "told all the same"),
        ({"statusCode": 200, "body": {"a": [1]}}, '{"a":[1]}'),
        ({"body": "without a status"}, "without a status"),
        ({"statusCode": "200", "body": "status as text"}, "status as text"),
    ],
)
def test_results(connect, value, frame):
    """More: what a two-way route sends is the result's body, and nothing where there is none."""
    with connect() as (connected, _):
        connected.send(json.dumps({"action": "say", "value": value}))
        if frame is not None:
            assert connected.receive() == frame
        is_alone(connected)


@pytest.mark.parametrize("value", [None, "text", [], {"statusCode": "no"}, {"body": "no status"}], ids=json.dumps)
def test_nonsense_of_connect(gateway, value):
    """More: `$connect` that returns no response is 502."""
    with pytest.raises(Refused) as refused:
        with Python(gateway.url(connect=f"json:{json.dumps(value)}")):
            pass
    assert refused.value.status == 502


def test_large_results(connect):
    """More: results of up to 128 KB are sent, in frames that clients put together."""
    with connect() as (connected, _):
        connected.send('{"action":"large","bytes":131072}')
        assert connected.receive() == "x" * 131_072
        is_alone(connected)


def test_throwing_two_way(connect):
    """More: a two-way route whose handler throws sends the same error frame."""
    with connect() as (connected, found):
        connected.send('{"action":"boom-two-way"}')
        assert error_of(connected.receive()) == ("Internal server error", found)
        is_alone(connected)


@pytest.mark.slow
@pytest.mark.parametrize("app, file", [("serverless.yml", "handlers.mjs"), ("python.yml", "handlers.py")])
def test_hot_reload(app, file):
    """More: code that changes on disk is used without a restart, and connections stay."""
    with target.start(app, is_copied=True) as gateway, connecting(gateway)() as (connected, _):

        def answer():
            connected.send('{"action":"echo"}')
            return connected.receive(20)

        assert answer() == 'echo {"action":"echo"}'
        path = gateway.folder / file
        before = path.read_text()
        after = before.replace("echo ${event.body}", "new ${event.body}").replace("echo {event['body']}", "new {event['body']}")
        assert after != before
        path.write_text(after)
        wait_until(lambda: answer() == 'new {"action":"echo"}', "the new code", 20)


def lambdas(gateway):
    options = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("lambda", endpoint_url=gateway.lambda_url, config=config, **options)


EVENT = json.dumps({"requestContext": {}, "body": "{}"})


@pytest.mark.parametrize("name", ["conformance-dev-echo", "arn:aws:lambda:us-east-1:000000000000:function:conformance-dev-echo"])
def test_invoke(gateway, name):
    """More: functions are called by name or ARN through the interface of Lambda too."""
    answer = lambdas(gateway).invoke(FunctionName=name, Payload=EVENT)
    assert json.loads(answer["Payload"].read())["body"] == "echo {}"


def test_invoke_errors(gateway):
    """More: the interface of Lambda tells errors of functions, and functions that are not there."""
    client = lambdas(gateway)
    failed = client.invoke(FunctionName="conformance-dev-boom", Payload=EVENT)
    assert failed["FunctionError"] == "Unhandled"
    assert json.loads(failed["Payload"].read())["errorMessage"] == "as asked"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="nobody", Payload=b"{}")


@pytest.mark.slow
def test_invocations_survive():
    """More: calls that nobody waits for are made even if the server is killed after it took them."""
    if target.target() != "fanfare":
        raise target.NotOffered("it keeps nothing")
    with target.start("serverless.yml") as gateway:
        client = lambdas(gateway)
        texts = [f"later {number}" for number in range(10)]
        for text in texts:
            body = json.dumps({"ms": 300, "text": text})
            event = {"requestContext": {}, "body": body}
            taken = client.invoke(FunctionName="conformance-dev-slow", InvocationType="Event", Payload=json.dumps(event))
            assert taken["StatusCode"] == 202
        gateway.server.restart()

        def seen():
            return {json.loads(record["event"]["body"])["text"] for record in gateway.records("slow")}

        wait_until(lambda: seen() == set(texts), "all of them", 30)
