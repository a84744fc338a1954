"""The functions of examples/notifier alone, called with events as API Gateway sends them."""

import json
import sys
import time

import jwt
import pytest
from examples import EXAMPLES

sys.path.insert(0, str(EXAMPLES / "notifier"))

from notifier import connections, handlers, push, tokens  # noqa: E402

SECRET = "a secret of thirty-two bytes or more"
METHOD = "arn:aws:execute-api:us-east-1:000000000000:wsapi12345/dev/$connect"


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("CONNECTIONS_DB", str(tmp_path / "connections.db"))


def event(route, kind, connection="Qx1aadEfGhIcJkI=", user="ada", **more):
    context = {
        "routeKey": route, "eventType": kind, "extendedRequestId": "Qx1aaBcDeFgHiJk=", "messageDirection": "IN",
        "requestTime": "07/Feb/2025:09:05:03 +0000", "stage": "dev", "connectedAt": 1738919103001,
        "requestTimeEpoch": 1738919103002, "identity": {"userAgent": "demo/1", "sourceIp": "203.0.113.9"},
        "requestId": "Qx1aaBcDeFgHiJk=", "domainName": "ws.example.test", "connectionId": connection,
        "apiId": "wsapi12345", "authorizer": {"principalId": user},
    }
    return {"requestContext": context, "isBase64Encoded": False, **more}


def request(token):
    query = {"queryStringParameters": {"token": token}, "multiValueQueryStringParameters": {"token": [token]}}
    asked = {"type": "REQUEST", "methodArn": METHOD, "headers": {}, "stageVariables": {}, **query}
    asked["requestContext"] = event("$connect", "CONNECT")["requestContext"]
    del asked["requestContext"]["authorizer"]
    return asked


def signed(claims, secret=SECRET, algorithm="HS256"):
    return jwt.encode(claims, secret, algorithm=algorithm)


def test_the_authorizer_lets_in_whom_a_token_names():
    result = handlers.authorizer(request(tokens.mint("ada")), None)
    assert result["principalId"] == "ada"
    [statement] = result["policyDocument"]["Statement"]
    assert statement == {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": METHOD}


LATER = time.time() + 600
BAD = {
    "no token": "x",
    "expired": signed({"sub": "ada", "exp": 1}),
    "never expires": signed({"sub": "ada"}),
    "names nobody": signed({"exp": LATER}),
    "forged": signed({"sub": "ada", "exp": LATER}, "another secret of thirty-two bytes"),
    "unsigned": signed({"sub": "ada", "exp": LATER}, None, "none"),
    "another algorithm": signed({"sub": "ada", "exp": LATER}, SECRET * 2, "HS512"),
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD)
def test_the_authorizer_refuses(token):
    with pytest.raises(Exception, match="^Unauthorized$"):
        handlers.authorizer(request(token), None)


def test_connections_come_and_go():
    assert handlers.connect(event("$connect", "CONNECT", headers={}), None) == {"statusCode": 200}
    handlers.connect(event("$connect", "CONNECT", "Qx1aadEfGhIcJkM=", headers={}), None)
    handlers.connect(event("$connect", "CONNECT", "Qx1aadEfGhIcJkN=", user="bob", headers={}), None)
    first, second = connections.of_user("ada")
    expected = connections.Connection("Qx1aadEfGhIcJkI=", "ada", "ws.example.test", "dev", 1738919103.001)
    assert (first, second.connection_id) == (expected, "Qx1aadEfGhIcJkM=")
    for _ in range(2):
        assert handlers.disconnect(event("$disconnect", "DISCONNECT", headers={}), None)["statusCode"] == 200
    assert connections.of_user("ada") == [second]


def test_two_way_routes_answer():
    body = json.loads(handlers.whoami(event("whoami", "MESSAGE", body='{"action": "whoami"}'), None)["body"])
    assert body == {"user": "ada", "connection": "Qx1aadEfGhIcJkI="}
    assert "error" in json.loads(handlers.unknown(event("$default", "MESSAGE", body="?"), None)["body"])


class Gateway:
    """Stands for boto3's client: knows some connections, and says of all others that they are gone."""

    class exceptions:
        class GoneException(Exception):
            pass

    def __init__(self, *known):
        self.known, self.sent = known, []

    def post_to_connection(self, ConnectionId, Data):
        if ConnectionId not in self.known:
            raise self.exceptions.GoneException
        self.sent.append((ConnectionId, json.loads(Data)))


def test_rows_of_connections_that_are_gone_are_deleted(monkeypatch):
    gateway = Gateway("here")
    endpoints = []
    monkeypatch.setattr(push, "_gateway", lambda endpoint: endpoints.append(endpoint) or gateway)
    now = time.time()
    for name, connected_at in [("here", now), ("gone", now - 60), ("about to be accepted", now)]:
        connections.save(connections.Connection(name, "ada", "localhost:8080", "dev", connected_at))
    assert push.send_ws("ada", {"text": "hello"}) == 1
    assert gateway.sent == [("here", {"text": "hello"})]
    assert set(endpoints) == {"https://localhost:8080/dev"}
    assert {row.connection_id for row in connections.of_user("ada")} == {"here", "about to be accepted"}
    assert push.send_ws("nobody", {}) == 0
