"""`subscribe` in a function's result subscribes the connection. There is no table of connections, and nothing to clean up."""

import json


def connect(event, context):
    artists = event.get("multiValueQueryStringParameters", {}).get("artist", [])
    return {"statusCode": 200, "subscribe": [f"tickets/{artist}" for artist in artists]}


def follow(event, context):
    return {"statusCode": 200, "subscribe": [f"tickets/{json.loads(event['body'])['artist']}"]}
