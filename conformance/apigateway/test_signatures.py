"""Who may send: signatures, session tokens and policies of `@connections`; TLS (checks 42 to 47)."""

import json
import re
import ssl
import subprocess
from contextlib import ExitStack, contextmanager

import pytest
import target
from awsgateway import ACCOUNT, allow, create_credentials, credential
from clients import Python, Wscat
from commands import run
from conftest import connecting
from fanfare import binary, wait_until
from senders import JavaScript, Keys, NodeProcess, plain, signed, signed_headers

MANAGE = "execute-api:ManageConnections"
GOOD = Keys("AKIDGOOD", "the secret of good")
SESSION = Keys("AKIDSESSION", "the secret of session", "a token/with+signs=")
POSTER = Keys("AKIDPOSTER", "the secret of poster")
STRANGER = Keys("AKIDSTRANGER", "the secret of stranger")
CONFIG = "".join(
    [
        credential(GOOD.key, GOOD.secret, allow(MANAGE)),
        credential(SESSION.key, SESSION.secret, allow(MANAGE), session_token=SESSION.token),
        credential(POSTER.key, POSTER.secret, allow(MANAGE, "arn:aws:execute-api:*:*:*/dev/POST/@connections/*")),
        credential(STRANGER.key, STRANGER.secret, allow("events:PutEvents")),
    ]
)
BOTH = pytest.mark.parametrize("app", ["serverless.yml", "python.yml"])


@pytest.fixture(scope="module")
def strict(gateways):
    """The main application on a server that checks signatures."""
    return gateways("serverless.yml", config=CONFIG)


@contextmanager
def client_of(gateway):
    with connecting(gateway)() as (connected, found):
        yield connected, found


def is_refused(outcome, error):
    assert (outcome.status, outcome.error) == (403, error), outcome


def test_c42_good_key(strict, sending):
    """C42: senders with a good signature are let through, where signatures are checked."""
    with client_of(strict) as (connected, found):
        assert sending(strict.endpoint, GOOD).post(found, b"signed").error is None
        assert connected.receive() == "signed"


@pytest.mark.parametrize(
    "keys, error",
    [
        (Keys(GOOD.key, "another secret"), "InvalidSignatureException"),
        (Keys("AKIDNOBODY", "a secret"), "UnrecognizedClientException"),
    ],
    ids=["secret", "key"],
)
def test_c42_bad_key(strict, sending, keys, error):
    """C42: a wrong secret is `InvalidSignatureException`, an unknown key `UnrecognizedClientException`."""
    with client_of(strict) as (connected, found):
        stranger = sending(strict.endpoint, keys)
        for outcome in (stranger.post(found, b"x"), stranger.get(found), stranger.delete(found)):
            is_refused(outcome, error)
        sending(strict.endpoint, GOOD).post(found, b"still here")
        assert connected.receive() == "still here"


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_c42_unsigned(strict, method):
    """C42: without a signature it is `MissingAuthenticationTokenException`."""
    with client_of(strict) as (_, found):
        status, headers, body = plain(f"{strict.endpoint}/@connections/{found}", method)
    assert (status, headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")
    assert json.loads(body) == {"message": "Missing Authentication Token"}


@pytest.mark.parametrize("offset_ms", [-600_000, 600_000])
def test_c42_clock(strict, offset_ms):
    """C42: a signature of ten minutes ago, or to come, is none."""
    late = JavaScript(strict.endpoint, GOOD, offset_ms=offset_ms)
    try:
        outcome = late.post("AbCdEfGhIjKlMnM=", b"x")
    finally:
        late.close()
    is_refused(outcome, "InvalidSignatureException")


def test_c42_altered_body(strict):
    """C42: a body that was changed on its way breaks the signature."""
    with client_of(strict) as (connected, found):
        url = f"{strict.endpoint}/@connections/{found}"
        status, headers, _ = plain(url, "POST", b"altered", signed_headers("POST", url, b"original", GOOD))
        assert (status, headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
        assert signed(url, "POST", b"original", GOOD)[0] == 200
        assert connected.receive() == "original"


@contextmanager
def telling_ids(gateway):
    """Connections whose ids hold every sign that signatures may stumble over."""
    kept, missing = [], {"-", "_"}
    with ExitStack() as stack:
        # One id in five has any one of them.
        while missing and len(kept) < 300:
            kept.append(stack.enter_context(connecting(gateway)()))
            missing -= set(kept[-1][1])
        assert not missing
        yield kept


def test_c43_ids(strict, sending):
    """C43: signatures hold for ids with `-`, `_` and `=`."""
    sender = sending(strict.endpoint, GOOD)
    with telling_ids(strict) as pairs:
        for connected, found in pairs:
            assert found.endswith("=")
            assert sender.post(found, found.encode()).error is None
            assert connected.receive() == found
            assert sender.get(found).status == 200
        for _, found in pairs:
            assert sender.delete(found).status == 204


PATHS = ["@connections/{}=", "%40connections/{}=", "@connections/{}%3D", "%40connections/{}%3D", "%40connections/{}%3d"]


@pytest.mark.parametrize("path", PATHS)
def test_c43_paths(strict, path):
    """C43: signatures of botocore hold for paths with `@` or `%40`, with `=` or `%3D`."""
    with client_of(strict) as (connected, found):
        url = f"{strict.endpoint}/{path.format(found.removesuffix('='))}"
        assert signed(url, "POST", b"found", GOOD)[0] == 200
        assert connected.receive() == "found"


@pytest.mark.parametrize("path", PATHS)
def test_c43_aws4(strict, path):
    """C43: so do signatures of npm's aws4."""
    process = NodeProcess()
    try:
        with client_of(strict) as (connected, found):
            path = f"/{target.STAGE}/{path.format(found.removesuffix('='))}"
            asked = {"host": strict.host, "path": path, "method": "POST", "body": "found"}
            headers = process.ask(operation="sign", credentials=GOOD.for_javascript, **asked)["headers"]
            assert plain(f"http://{strict.host}{path}", "POST", b"found", headers)[0] == 200
            assert connected.receive() == "found"
    finally:
        process.close()


def test_c44_session(strict, sending):
    """C44: keys of a session are good with their token."""
    with client_of(strict) as (connected, found):
        assert sending(strict.endpoint, SESSION).post(found, b"session").error is None
        assert connected.receive() == "session"


@pytest.mark.parametrize("token", [None, "another token"])
def test_c44_wrong_session(strict, sending, token):
    """C44: keys of a session are not good without their token, or with another."""
    with client_of(strict) as (_, found):
        outcome = sending(strict.endpoint, Keys(SESSION.key, SESSION.secret, token)).post(found, b"x")
        is_refused(outcome, "UnrecognizedClientException")


def test_c45_policy(strict, sending):
    """C45: a policy for POST alone allows no DELETE, and the refusal names the resource."""
    poster = sending(strict.endpoint, POSTER)
    with client_of(strict) as (connected, found):
        assert poster.post(found, b"allowed").error is None
        assert connected.receive() == "allowed"
        api = strict.event("connect", connection=found)["requestContext"]["apiId"]
        for method, outcome in (("DELETE", poster.delete(found)), ("GET", poster.get(found))):
            is_refused(outcome, "AccessDeniedException")
            resource = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api}/dev/{method}/@connections/{found}"
            text = f"is not authorized to perform: {MANAGE} on resource: {resource}"
            assert outcome.message.startswith("User: arn:") and text in outcome.message
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'


def test_c45_other_rights(strict, sending):
    """C45: a policy about something else allows nothing here."""
    is_refused(sending(strict.endpoint, STRANGER).post("AbCdEfGhIjKlMnM=", b"x"), "AccessDeniedException")


def test_made_key(strict, sending):
    """More: keys for senders are made at the command line while the server runs, and are revoked there."""
    made = create_credentials("sender", strict.server.data, "--policy", "manage-connections")
    keys = Keys(made["AWS_ACCESS_KEY_ID"], made["AWS_SECRET_ACCESS_KEY"])
    sender = sending(strict.endpoint, keys)
    with client_of(strict) as (connected, found):
        wait_until(lambda: sender.post(found, b"made").error is None, "the new key to be known")
        assert connected.receive() == "made"
        run(binary(), "credentials", "revoke", "sender", "--data", strict.server.data)
        wait_until(lambda: sender.get(found).status == 403, "the key to be forgotten")


@BOTH
def test_c47_handler_posts_back(gateways, app):
    """C47: a handler posts to `https://{domainName}/{stage}` with nothing but its own environment."""
    with connecting(gateways(app))() as (connected, found):
        connected.send(json.dumps({"action": "send", "text": "from the handler"}))
        assert {connected.receive(), connected.receive()} == {"from the handler", "200"}


@BOTH
def test_c47_keys_are_its_own(gateways, app):
    """C47: it can do so where signatures are checked: each function has keys of its own."""
    with connecting(gateways(app, config=CONFIG))() as (connected, found):
        connected.send(json.dumps({"action": "send", "text": "signed by the handler"}))
        assert {connected.receive(), connected.receive()} == {"signed by the handler", "200"}


def test_c47_environment(gateways):
    """C47: region, keys and authority are in a function's environment under the names that SDKs look for."""
    with Python(gateways("python.yml").url()) as connected:
        connected.send('{"action":"variables"}')
        told = json.loads(connected.receive())
    assert told["AWS_REGION"] == told["AWS_DEFAULT_REGION"] == "us-east-1"
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"} <= set(told)
    assert told["AWS_EXECUTION_ENV"].startswith("AWS_Lambda_python3")
    assert told["AWS_LAMBDA_FUNCTION_NAME"] == "conformance-python-dev-variables"
    assert told["_HANDLER"] == "handlers.variables"
    assert not [name for name in told if name.startswith("FANFARE")]


def test_tls(gateway, connect, sending):
    """More: TLS and plain text are served on one port, with an authority that clients can be told to trust."""
    secure = gateway.url(base=f"wss://localhost:{gateway.port}/{target.STAGE}")
    with Wscat(secure, ca=gateway.ca) as connected:
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'
    with Python(secure, ssl=ssl.create_default_context(cafile=gateway.ca)) as connected:
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'
    with connect() as (connected, found):
        endpoint = f"https://localhost:{gateway.port}/{target.STAGE}"
        assert sending(endpoint, ca=gateway.ca).post(found, b"over TLS").error is None
        assert connected.receive() == "over TLS"


def test_tls_versions(gateway):
    """More: TLS 1.2 and 1.3 are spoken, HTTP/2 is not offered to those who upgrade, and strangers are told."""
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", f"https://localhost:{gateway.port}/dev"]
    for flags in (["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3"]):
        done = subprocess.run([*command, "--http1.1", "--cacert", gateway.ca, *flags], capture_output=True, timeout=20)
        assert done.stdout == b"426 1.1", done
    done = subprocess.run(command, capture_output=True, timeout=20, text=True)
    assert done.returncode == 60 and re.search("certificate", done.stderr), done

