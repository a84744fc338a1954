"""Sends to users from anywhere: a web server, a script, another function."""

import json
import time
from functools import cache

import boto3

from notifier import connections

# While its $connect function runs, a connection has a row and cannot be sent to: the gateway says that it is gone.
# It waits 29 seconds for that function at most.
CONNECTING_SECONDS = 30


def send_ws(user_id, message):
    """Sends `message`, anything that JSON can hold, to every connection of a user; returns how many took it."""
    data = json.dumps(message).encode()
    return sum(_send(connection, data) for connection in connections.of_user(user_id))


def _send(connection, data):
    gateway = _gateway(f"https://{connection.domain_name}/{connection.stage}")
    try:
        gateway.post_to_connection(ConnectionId=connection.connection_id, Data=data)
    except gateway.exceptions.GoneException:
        # $disconnect is called once at best, so rows may outlive their connections. Here is where that shows.
        if time.time() - connection.connected_at > CONNECTING_SECONDS:
            connections.delete(connection.connection_id)
        return False
    return True


@cache
def _gateway(endpoint_url):
    """Region, keys and authorities are taken from the environment, as by every client of boto3."""
    return boto3.Session().client("apigatewaymanagementapi", endpoint_url=endpoint_url)
