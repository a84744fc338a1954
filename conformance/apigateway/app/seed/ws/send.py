"""Run by the web server, outside of any function."""

import json
import os

import boto3
from botocore.exceptions import ClientError
from seed.ws import rows


def send_ws(user_id, message):
    for connection_id, endpoint in rows.of(user_id):
        client = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ.get("WS_ENDPOINT") or endpoint)
        try:
            client.post_to_connection(ConnectionId=connection_id, Data=json.dumps(message))
        except ClientError as error:
            if int(error.response["Error"]["Code"]) == 410:
                rows.delete(connection_id)
