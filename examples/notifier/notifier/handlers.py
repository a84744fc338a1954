"""The functions of serverless.yml. All they know of the gateway is in their events."""

import json

import jwt

from notifier import connections, tokens


def authorizer(event, context):
    """Decides who may connect. The gateway never calls it without a token: see identitySource in serverless.yml."""
    try:
        user_id = tokens.user_of(event["queryStringParameters"]["token"])
    except jwt.InvalidTokenError as error:
        print(f"refused: {error}")
        raise Exception("Unauthorized") from None  # the one message that the gateway turns into a 401
    allow = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": event["methodArn"]}
    return {"principalId": user_id, "policyDocument": {"Version": "2012-10-17", "Statement": [allow]}}


def connect(event, context):
    """Notes who is connected, and where to reach them."""
    request = event["requestContext"]
    connections.save(
        connections.Connection(
            connection_id=request["connectionId"],
            user_id=request["authorizer"]["principalId"],
            domain_name=request["domainName"],
            stage=request["stage"],
            connected_at=request["connectedAt"] / 1000,
        )
    )
    return {"statusCode": 200}


def disconnect(event, context):
    connections.delete(event["requestContext"]["connectionId"])
    return {"statusCode": 200}


def whoami(event, context):
    request = event["requestContext"]
    return answer({"user": request["authorizer"]["principalId"], "connection": request["connectionId"]})


def unknown(event, context):
    return answer({"error": 'send {"action": "whoami"}; nothing else is understood'})


def answer(message):
    """What a two-way route sends back to the client."""
    return {"statusCode": 200, "body": json.dumps(message)}
