"""Those who send to connections from outside: boto3, AWS's SDK for JavaScript, and requests that are signed by hand."""

import base64
import http.client
import json
import os
import subprocess
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from clients import management

REGION = "us-east-1"
SDK = Path(__file__).parent / "sdk.mjs"


@dataclass
class Keys:
    """An access key. In development mode any is taken."""

    key: str = "AKIDEXAMPLE"
    secret: str = "a secret"
    token: str | None = None

    @property
    def for_botocore(self):
        return Credentials(self.key, self.secret, self.token)

    @property
    def for_javascript(self):
        token = {"sessionToken": self.token} if self.token else {}
        return {"accessKeyId": self.key, "secretAccessKey": self.secret, **token}


@dataclass
class Outcome:
    """What an operation came to, in the words of the SDK that asked."""

    status: int
    error: str | None = None
    message: str = ""
    attempts: int = 1
    answer: dict = field(default_factory=dict)


class Boto:
    """boto3."""

    name = "boto3"

    def __init__(self, endpoint, keys=None, attempts=1, ca=None):
        keys, options = keys or Keys(), {"verify": str(ca)} if ca else {}
        self.client = management(endpoint, keys.key, keys.secret, keys.token, attempts, **options)

    def _ask(self, operation, **asked):
        try:
            answer = operation(**asked)
        except ClientError as error:
            told, more = error.response["Error"], error.response["ResponseMetadata"]
            # The class is the SDK's own, or the general one.
            is_known = type(error) is not ClientError
            name = type(error).__name__ if is_known else told["Code"]
            return Outcome(more["HTTPStatusCode"], name, told["Message"], more["RetryAttempts"] + 1)
        more = answer.pop("ResponseMetadata")
        return Outcome(more["HTTPStatusCode"], attempts=more["RetryAttempts"] + 1, answer=answer)

    def post(self, connection, data):
        return self._ask(self.client.post_to_connection, ConnectionId=connection, Data=data)

    def get(self, connection):
        outcome = self._ask(self.client.get_connection, ConnectionId=connection)
        for name, value in outcome.answer.items():
            if isinstance(value, datetime):
                outcome.answer[name] = value.timestamp()
        return outcome

    def delete(self, connection):
        return self._ask(self.client.delete_connection, ConnectionId=connection)

    def close(self):
        self.client.close()


class JavaScript:
    """AWS's SDK for JavaScript, version 3."""

    name = "javascript"

    def __init__(self, endpoint, keys=None, attempts=1, offset_ms=0, ca=None):
        self.asked = {"endpoint": endpoint, "credentials": (keys or Keys()).for_javascript, "attempts": attempts}
        self.asked["offset"] = offset_ms
        self.process = NodeProcess(ca)

    def _ask(self, operation, **asked):
        told = self.process.ask(operation=operation, **self.asked, **asked)
        told.pop("dates", None)
        return Outcome(told.pop("status", 0), **told)

    def post(self, connection, data):
        return self._ask("post", id=connection, data=base64.b64encode(data).decode())

    def get(self, connection):
        return self._ask("get", id=connection)

    def delete(self, connection):
        return self._ask("delete", id=connection)

    def close(self):
        self.process.close()


class NodeProcess:
    """A running `sdk.mjs`."""

    def __init__(self, ca=None):
        env = {"env": {**os.environ, "NODE_EXTRA_CA_CERTS": str(ca)}} if ca else {}
        self.process = subprocess.Popen(
            ["node", str(SDK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **env
        )

    def ask(self, **asked):
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


SENDERS = {sender.name: sender for sender in (Boto, JavaScript)}


def signed_headers(method, url, body=b"", keys=None):
    """The headers by which botocore signs. The path is signed as it stands in the URL."""
    request = AWSRequest(method, url, data=body or None, headers={"Host": urlsplit(url).netloc})
    SigV4Auth((keys or Keys()).for_botocore, "execute-api", REGION).add_auth(request)
    return dict(request.headers.items())


def signed_url(url, keys=None, seconds=60):
    """A URL that is signed in its query, as browsers need it. `ws://` is signed like `http://`."""
    scheme, rest = url.split("://", 1)
    request = AWSRequest("GET", f"{scheme.replace('ws', 'http')}://{rest}")
    SigV4QueryAuth((keys or Keys()).for_botocore, "execute-api", REGION, seconds).add_auth(request)
    return f"{scheme}://{request.url.split('://', 1)[1]}"


def plain(url, method="POST", body=b"", headers=None):
    """A request whose path goes out as it is given: status, headers in lower case, body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def signed(url, method="POST", body=b"", keys=None, headers=None):
    """The same, signed by botocore."""
    return plain(url, method, body, {**signed_headers(method, url, body, keys), **(headers or {})})
