"""The application under test, in Python. handlers.mjs says the same in JavaScript."""

import json
import os
import re
import time

CONTEXT = {"tenant": "acme", "level": 3, "beta": True}


def record(name, event, **more):
    line = json.dumps({"function": name, "event": event, "pid": os.getpid(), "at": int(time.time() * 1000), **more})
    with open(os.environ["CONFORMANCE_RECORDS"], "a") as file:
        file.write(line + "\n")


def endpoint_of(event, is_strict):
    """Where an application posts to: `https://{domainName}/{stage}`, unless its developer names another place."""
    place = "https://{domainName}/{stage}".format(**event["requestContext"])
    return place if is_strict else os.environ.get("CONFORMANCE_ENDPOINT") or place


def post(event, connection_id, data, is_strict=False):
    """What became of a post: `200`, or the error's name."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"max_attempts": 0})
    client = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint_of(event, is_strict), config=config)
    try:
        answer = client.post_to_connection(ConnectionId=connection_id, Data=data.encode())
        return str(answer["ResponseMetadata"]["HTTPStatusCode"])
    except client.exceptions.GoneException as error:
        return f"GoneException: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def statement(resource, effect="Allow", **more):
    return {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource, **more}


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def policy(*statements):
    return {"principalId": "user-17", "policyDocument": document(*statements)}


def fail(text):
    raise Exception(text)


AUTHORIZERS = {
    "allow": lambda arn, wide: {**policy(statement(wide)), "context": CONTEXT},
    "method": lambda arn, wide: policy(statement(arn)),
    "deny": lambda arn, wide: policy(statement(arn, "Deny")),
    "narrow": lambda arn, wide: policy(statement(f"{wide}/*")),
    "unauthorized": lambda arn, wide: fail("Unauthorized"),
    "throw": lambda arn, wide: fail("the database is away"),
    "null": lambda arn, wide: None,
    "object-context": lambda arn, wide: {**policy(statement(arn)), "context": {"who": {"is": "there"}}},
    "exit": lambda arn, wide: os._exit(3),
}


def authorize(event, context):
    record("authorize", event)
    token = (event.get("queryStringParameters") or {}).get("token", "")
    wide = re.sub("/[^/]*$", "/*", event["methodArn"])
    return AUTHORIZERS.get(token, AUTHORIZERS["deny"])(event["methodArn"], wide)


def connect(event, context):
    record("connect", event)
    asked = (event.get("queryStringParameters") or {}).get("connect", "200")
    if asked == "throw":
        raise Exception("as asked")
    if asked == "post":
        outcome = post(event, event["requestContext"]["connectionId"], "too early")
        record("connect-post", event, outcome=outcome)
        return {"statusCode": 200}
    return {"statusCode": int(asked), "body": f"$connect says {asked}"}


def disconnect(event, context):
    record("disconnect", event)
    return {"statusCode": 200}


def fallback(event, context):
    record("default", event)
    return {"statusCode": 200, "body": "$default is one-way"}


def echo(event, context):
    record("echo", event)
    return {"statusCode": 200, "headers": {"X-Not-Shown": "1"}, "body": f"echo {event['body']}"}


def show(event, context):
    """Two-way: the whole event."""
    return {"statusCode": 200, "body": json.dumps(event)}


def quiet(event, context):
    record("quiet", event)
    return {"statusCode": json.loads(event["body"]).get("status", 200), "body": "x"}


def boom(event, context):
    record("boom", event)
    raise Exception("as asked")


def slow(event, context):
    record("slow", event)
    asked = json.loads(event["body"])
    time.sleep(asked["ms"] / 1000)
    return {"statusCode": 200, "body": f"slow {asked['text']}"}


def exit(event, context):
    record("exit", event)
    os._exit(3)


def send(event, context):
    """Two-way: posts to a connection, at the address that the event names."""
    record("send", event)
    asked = json.loads(event["body"])
    own = event["requestContext"]["connectionId"]
    return {"statusCode": 200, "body": post(event, asked.get("to", own), asked["text"], is_strict=True)}


def variables(event, context):
    """Two-way: which variables there are."""
    return {"statusCode": 200, "body": json.dumps(dict(os.environ))}
