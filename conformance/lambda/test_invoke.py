"""The Lambda door, called by boto3; web servers stand for the functions."""

import json
import threading
from contextlib import suppress

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from commands import lines_of, mosquitto_sub, subscribers
from fanfare import Server, wait_until
from hook import Hook
from hooks import Hooks


def lambda_of(server):
    return boto3.client(
        "lambda",
        endpoint_url=server.url,
        region_name="local",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="a secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


def function(name, url, **more):
    lines = [f"[functions.{name}]", f'url = "{url}"', *(f"{key} = {json.dumps(value)}" for key, value in more.items())]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def world():
    """A server with `double`, which works, `broken`, which fails, and `slow`, which takes one call at once."""
    with Hook(lambda event: {"n": event.get("n", 0) * 2}) as hook, Hooks(answers=[500]) as broken:
        with Hook(lambda event: {}, delay=1) as slow:
            config = function("double", hook.url) + function("broken", broken.url)
            with Server(config=config + function("slow", slow.url, concurrency=1)) as server:
                yield server, lambda_of(server)


@pytest.fixture
def client(world):
    return world[1]


def test_whoever_waits_hears_the_answer(client):
    answer = client.invoke(FunctionName="double", Payload=json.dumps({"n": 21}))
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer and "LogResult" not in answer
    assert json.load(answer["Payload"]) == {"n": 42}
    # Without a payload the event is an empty object.
    assert json.load(client.invoke(FunctionName="double")["Payload"]) == {"n": 0}


@pytest.mark.parametrize(
    "name",
    ["double:live", "000000000000:function:double", "arn:aws:lambda:local:000000000000:function:double", "double:1"],
)
def test_every_form_of_a_name(client, name):
    assert client.invoke(FunctionName=name, Payload="{}")["StatusCode"] == 200


def test_a_qualifier(client):
    assert client.invoke(FunctionName="double", Qualifier="7", Payload="{}")["StatusCode"] == 200
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.invoke(FunctionName="double:6", Qualifier="7", Payload="{}")


def test_a_log_and_a_client_context_do_no_harm(client):
    answer = client.invoke(FunctionName="double", LogType="Tail", ClientContext="eyJhIjoxfQ==", Payload="{}")
    assert answer["StatusCode"] == 200 and "LogResult" in answer
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="double", ClientContext="no base64", Payload="{}")


def test_a_function_that_fails_is_an_answer(client):
    answer = client.invoke(FunctionName="broken", Payload="{}")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert "500" in json.load(answer["Payload"])["errorMessage"]


def test_a_dry_run(client):
    assert client.invoke(FunctionName="double", InvocationType="DryRun")["StatusCode"] == 204


def test_errors_have_their_types(client):
    with pytest.raises(client.exceptions.ResourceNotFoundException) as failure:
        client.invoke(FunctionName="nobody", Payload="{}")
    assert "function:nobody" in failure.value.response["Error"]["Message"]
    assert failure.value.response["Type"] == "User"
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="double", Payload="{")
    with pytest.raises(client.exceptions.RequestTooLargeException):
        client.invoke(FunctionName="double", Payload=json.dumps("x" * (6 << 20)))
    with pytest.raises(client.exceptions.RequestTooLargeException):
        client.invoke(FunctionName="double", InvocationType="Event", Payload=json.dumps("x" * (1 << 20)))


def test_too_many_calls(client):
    is_over = threading.Event()

    def call_on():
        # It is the one that is refused if the other comes first.
        while not is_over.is_set():
            with suppress(client.exceptions.TooManyRequestsException):
                client.invoke(FunctionName="slow", Payload="{}")

    first = threading.Thread(target=call_on)
    first.start()

    def is_refused():
        try:
            client.invoke(FunctionName="slow", Payload="{}")
        except client.exceptions.TooManyRequestsException as failure:
            return failure.response
        return None

    try:
        refused = wait_until(is_refused, "a refusal")
    finally:
        is_over.set()
        first.join()
    assert (refused["ResponseMetadata"]["HTTPStatusCode"], refused["retryAfterSeconds"]) == (429, "1")


def test_functions_are_listed(client):
    pages = client.get_paginator("list_functions").paginate()
    listed = [one["FunctionName"] for page in pages for one in page["Functions"]]
    assert listed == ["broken", "double", "slow"]
    arn = "arn:aws:lambda:local:000000000000:function:slow"
    assert client.get_function(FunctionName="slow")["Configuration"]["FunctionArn"] == arn
    assert client.get_function_configuration(FunctionName=arn)["Timeout"] == 29


def test_one_server_calls_the_functions_of_another(world):
    """What a handler fails with comes through a chain of two."""
    server, _ = world
    config = "".join(f'[functions.{name}]\nendpoint = "{server.url}"\n' for name in ("double", "broken"))
    with Server(config=config) as second:
        client = lambda_of(second)
        assert json.load(client.invoke(FunctionName="double", Payload='{"n": 2}')["Payload"]) == {"n": 4}
        assert client.invoke(FunctionName="broken", Payload="{}")["FunctionError"] == "Unhandled"


def test_calls_nobody_waits_for_outlive_a_kill():
    """Nothing acknowledged is lost, and a repetition has the same request id."""
    count = 20
    with Hooks(answers=[503] * count + [200]) as hooks, Server(config=function("f", hooks.url)) as server:
        client = lambda_of(server)
        ids = {}
        for n in range(count):
            answer = client.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps({"n": n}))
            assert answer["StatusCode"] == 202 and answer["Payload"].read() == b""
            ids[n] = answer["ResponseMetadata"]["RequestId"]
        hooks.wait(count)
        server.restart()
        seen = hooks.wait(2 * count)[count:]
        assert {json.loads(body)["n"]: headers["x-request-id"] for _, headers, body in seen} == ids
        # An orderly end waits for what is under way, and what is done does not come back.
        server.terminate()
        server.start()
        assert client.invoke(FunctionName="f", Payload='"last"')["StatusCode"] == 200
        assert len(hooks.seen) == 2 * count + 1


def test_what_is_given_up_is_a_dead_letter():
    with Hooks(answers=[400]) as hooks:
        config = function("f", hooks.url, dead_letter_topic="dead/letters")
        with Server(config=config) as server:
            client = lambda_of(server)
            with subscribers(server, lambda: mosquitto_sub(server, "dead/letters", 1)) as [reader]:
                answer = client.invoke(FunctionName="f", InvocationType="Event", Payload='{"n": 1}')
                letter = json.loads(lines_of(reader)[0])
            assert letter["requestContext"] == {
                "requestId": answer["ResponseMetadata"]["RequestId"],
                "functionArn": "arn:aws:lambda:local:000000000000:function:f:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 1,
            }
            assert (letter["requestPayload"], letter["responseContext"]["statusCode"]) == ({"n": 1}, 400)


def test_with_keys_a_signature_is_needed():
    with Server(config="[auth]\nkeys = [{id = 'main', secret = 'a secret of thirty-two bytes or more'}]\n") as server:
        with pytest.raises(ClientError) as failure:
            lambda_of(server).invoke(FunctionName="double", Payload="{}")
        assert failure.value.response["Error"]["Code"] == "UnrecognizedClientException"
        assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
