"""Who may come in, and what the others are told (checks 1 to 17)."""

import json
import re
import time

import pytest
import target
from clients import Python, Raw, Refused, Wscat, management
from commands import run

ID = r"[A-Za-z0-9_-]{15}="
# Both languages that the applications are written in.
BOTH = pytest.mark.parametrize("gateway", ["serverless.yml", "python.yml"], indirect=True)


def refusal(gateway, client=Python, token="allow", options=None, **query):
    """How an upgrade is refused, and the value by which records of it are found."""
    case = target.case()
    with pytest.raises(Refused) as refused:
        with client(gateway.url(token, case=case, **query), **(options or {})):
            pass
    return refused.value, case


@pytest.mark.parametrize("path", ["/dev", "/dev?token=allow"])
def test_c01_not_an_upgrade(gateway, path):
    """C1: whoever does not ask for an upgrade gets 426."""
    with Raw(gateway.host) as raw:
        raw.request(path)
        assert raw.head()[0] == 426
    status = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{gateway.host}{path}")
    assert status == b"426"


def test_c02_no_identity(gateway, client):
    """C2: without the identity source the answer is 401, and the authorizer is not called."""
    refused, case = refusal(gateway, client, token=None)
    assert refused.status == 401
    assert gateway.records(case=case) == []
    if client is Wscat:
        assert refused.text == "error: Unexpected server response: 401"


def test_c03_empty_identity(gateway, client):
    """C3: nor is the authorizer called when the identity source is empty."""
    refused, case = refusal(gateway, client, token="")
    assert refused.status == 401
    assert gateway.records(case=case) == []


@BOTH
def test_c04_unauthorized(gateway, client):
    """C4: an authorizer that throws `Unauthorized` refuses with 401."""
    refused, case = refusal(gateway, client, token="unauthorized")
    assert refused.status == 401
    assert [record["function"] for record in gateway.records(case=case)] == ["authorize"]


@BOTH
def test_c05_denied(gateway, client):
    """C5: a policy that denies refuses with 403, and `$connect` is not called."""
    refused, case = refusal(gateway, client, token="deny")
    assert refused.status == 403
    assert [record["function"] for record in gateway.records(case=case)] == ["authorize"]


def test_c06_narrow(gateway, client):
    """C6: a policy for `dev/*/*` does not let in: `dev/$connect` has one slash."""
    refused, _ = refusal(gateway, client, token="narrow")
    assert refused.status == 403


@pytest.mark.parametrize("token", ["allow", "method"])
def test_c07_allowed(gateway, client, token):
    """C7: a policy for `dev/*`, or for the ARN of the method, lets in."""
    with client(gateway.url(token)) as connected:
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'


def test_origins(gateway):
    """More: pages of any origin are let in: who may come in is the authorizer's to say."""
    for origin in ("https://app.example.test", "http://localhost:3000", "null"):
        with Python(gateway.url(), headers={"Origin": origin}) as connected:
            connected.send('{"action":"echo"}')
            assert connected.receive() == 'echo {"action":"echo"}'


@pytest.mark.parametrize("token", ["throw", "null", "object-context"])
@BOTH
def test_c08_broken_authorizer(gateway, client, token):
    """C8: an authorizer that throws, returns nothing, or an object in its context, is 500."""
    refused, case = refusal(gateway, client, token=token)
    assert refused.status == 500
    assert [record["function"] for record in gateway.records(case=case)] == ["authorize"]


def test_c09_body_of_a_refusal(gateway):
    """C9: the body of a refusal has a message, the connection and the request."""
    refused, case = refusal(gateway, token="deny")
    body = json.loads(refused.text)
    assert set(body) == {"message", "connectionId", "requestId"}
    context = gateway.event("authorize", case=case)["requestContext"]
    assert body["message"] == "Forbidden"
    assert body["connectionId"] == context["connectionId"]
    assert re.fullmatch(ID, body["requestId"])
    assert refused.response.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("status", [301, 401, 501])
@BOTH
def test_c10_status_of_connect(gateway, status):
    """C10: `$connect` chooses the status of a refusal."""
    refused, _ = refusal(gateway, Wscat, connect=status)
    assert refused.text == f"error: Unexpected server response: {status}"


def test_c10_body_of_connect(gateway):
    """C10: `$connect` chooses the body of a refusal."""
    refused, _ = refusal(gateway, connect=401)
    assert (refused.status, refused.text) == (401, "$connect says 401")


@BOTH
def test_c11_connect_throws(gateway, client):
    """C11: `$connect` that throws is 502."""
    refused, _ = refusal(gateway, client, connect="throw")
    assert refused.status == 502


def test_c12_no_connect_route(gateways, client):
    """C12: an API without `$connect` takes everybody."""
    gateway = gateways("bare.yml")
    with client(gateway.url(None)) as connected:
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'


def test_c13_waits_for_connect(gateway):
    """C13: the upgrade waits for `$connect`."""
    with Raw(gateway.host) as raw:
        begin = time.monotonic()
        raw.ask_for_upgrade(gateway.url(wait=3000))
        status, _ = raw.head()
        assert (status, raw.rest) == (101, b"")
        assert 2.9 < time.monotonic() - begin < 6


def test_c13_python_waits(gateway):
    """C13: a client that waits for a slow `$connect` gets in."""
    begin = time.monotonic()
    with Python(gateway.url(wait=3000)) as connected:
        assert time.monotonic() - begin > 2.9
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'


def test_c14_no_subprotocol(gateway):
    """C14: the gateway chooses no subprotocol by itself."""
    refused, _ = refusal(gateway, Wscat, options={"subprotocols": ["chat1"]})
    assert refused.text == "error: Server sent no subprotocol"
    with Python(gateway.url(), subprotocols=["chat1"]) as connected:
        assert connected.subprotocol is None


def test_c15_subprotocol(gateway):
    """C15: `$connect` chooses the subprotocol, and the authorizer has seen all that were offered."""
    case = target.case()
    offered = {"subprotocols": ["chat1", "mine"]}
    with Wscat(gateway.url(case=case, protocol="mine"), **offered) as connected:
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'
    for function in ("authorize", "connect"):
        assert gateway.event(function, case=case)["headers"]["Sec-WebSocket-Protocol"] == "chat1,mine"
    with Python(gateway.url(protocol="mine"), **offered) as connected:
        assert connected.subprotocol == "mine"


@BOTH
def test_c16_post_within_connect(gateway):
    """C16: within `$connect` the connection does not exist yet: posting to it is `GoneException`."""
    case = target.case()
    with Python(gateway.url(case=case, connect="post")) as connected:
        outcome = gateway.record("connect-post", case=case)["outcome"]
        assert outcome.startswith("GoneException"), outcome
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'


@pytest.mark.parametrize("data", [b"first", "grüße €".encode(), b'{"a": [1, 2]}\n'], ids=["text", "utf-8", "json"])
def test_c17_post_at_once(gateway, data):
    """C17: a connection can be posted to as soon as its client is in."""
    boto = management(gateway.endpoint)
    for _ in range(5):
        case = target.case()
        with Python(gateway.url(case=case)) as connected:
            found = gateway.event("connect", case=case)["requestContext"]["connectionId"]
            boto.post_to_connection(ConnectionId=found, Data=data)
            assert connected.receive() == data.decode()


def test_c17_status(connect, boto):
    """C17: a post is answered with 200 and an empty body."""
    with connect() as (_, found):
        answer = boto.post_to_connection(ConnectionId=found, Data=b"x")["ResponseMetadata"]
        assert (answer["HTTPStatusCode"], answer["HTTPHeaders"].get("content-length", "0")) == (200, "0")
