"""APIs that only those may enter who sign (checks 48 and 49)."""

import json
from urllib.parse import urlsplit

import pytest
from awsgateway import ACCOUNT, allow, credential
from clients import Python, Refused, Wscat
from senders import Keys, signed_headers, signed_url
from test_messages import frame_of

INVOKE = "execute-api:Invoke"
GUEST = Keys("AKIDGUEST", "the secret of guest")
SESSION = Keys("AKIDSESSION", "the secret of session", "a token/with+signs=")
CAREFUL = Keys("AKIDCAREFUL", "the secret of careful")
OUTSIDER = Keys("AKIDOUTSIDER", "the secret of outsider")
DEV = "arn:aws:execute-api:*:*:*/dev"
CONFIG = "".join(
    [
        credential(GUEST.key, GUEST.secret, allow(INVOKE, f"{DEV}/*")),
        credential(SESSION.key, SESSION.secret, allow(INVOKE, f"{DEV}/*"), session_token=SESSION.token),
        credential(CAREFUL.key, CAREFUL.secret, allow(INVOKE, f"{DEV}/*"), allow(INVOKE, f"{DEV}/secret", "Deny")),
        credential(OUTSIDER.key, OUTSIDER.secret, allow(INVOKE, "arn:aws:execute-api:*:*:*/prod/*")),
    ]
)


@pytest.fixture(scope="module")
def gateway(gateways):
    return gateways("iam.yaml", config=CONFIG)


def header_signed(gateway, keys):
    headers = signed_headers("GET", gateway.ws_url.replace("ws", "http", 1), keys=keys)
    return {name: value for name, value in headers.items() if name.lower() != "host"}


def is_refused(client, url, **options):
    with pytest.raises(Refused) as refused:
        with client(url, **options):
            pass
    assert refused.value.status == 403


def is_in(connected):
    connected.send('{"action":"show"}')
    event = json.loads(connected.receive())
    assert event["requestContext"]["routeKey"] == "show"
    return event


@pytest.mark.parametrize("keys", [GUEST, SESSION], ids=["key", "session"])
def test_c48_query(gateway, client, keys):
    """C48: with `AWS_IAM` an upgrade that is signed in its query is let in."""
    with client(signed_url(gateway.ws_url, keys)) as connected:
        is_in(connected)
    with client(signed_url(f"{gateway.ws_url}?room=a%20b&empty=", keys)) as connected:
        is_in(connected)


def test_c48_headers(gateway):
    """C48: with `AWS_IAM` an upgrade that is signed in its headers is let in."""
    with Python(gateway.ws_url, headers=header_signed(gateway, GUEST)) as connected:
        is_in(connected)


def test_c48_altered(gateway, client):
    """C48: with `AWS_IAM` an altered signature is refused with 403."""
    url = signed_url(gateway.ws_url, GUEST)
    last = "0" if url[-1] != "0" else "1"
    is_refused(client, url[:-1] + last)
    is_refused(client, url + "&more=1")
    is_refused(client, signed_url(gateway.ws_url, Keys(GUEST.key, "another secret")))


def test_c48_unsigned(gateway, client):
    """C48: with `AWS_IAM` no signature, an unknown key, or a session without its token is refused with 403."""
    is_refused(client, gateway.ws_url)
    is_refused(client, signed_url(gateway.ws_url, Keys("AKIDNOBODY", "a secret")))
    is_refused(client, signed_url(gateway.ws_url, Keys(SESSION.key, SESSION.secret)))


def test_c48_policy(gateway, client):
    """C48: with `AWS_IAM` a key whose policy is for another stage is refused with 403."""
    is_refused(client, signed_url(gateway.ws_url, OUTSIDER))


def test_c48_expired(gateway):
    """C48: with `AWS_IAM` a signature with another date is refused with 403."""
    url = signed_url(gateway.ws_url, GUEST, seconds=60)
    date = dict(pair.split("=") for pair in urlsplit(url).query.split("&"))["X-Amz-Date"]
    is_refused(Python, url.replace(date, f"2020{date[4:]}"))


def test_c48_identity(gateway):
    """C48: with `AWS_IAM` events say who signed."""
    with Python(signed_url(gateway.ws_url, GUEST)) as connected:
        identity = is_in(connected)["requestContext"]["identity"]
    assert identity["accessKey"] == GUEST.key
    assert identity["accountId"] == ACCOUNT
    assert identity["userArn"].startswith("arn:aws:")


@pytest.mark.parametrize("client", [Wscat, Python])
def test_c49_denied_route(gateway, client):
    """C49: with `AWS_IAM` a policy that denies one route answers its messages with the error frame `Forbidden`."""
    with client(signed_url(gateway.ws_url, CAREFUL)) as connected:
        connected.send('{"action":"secret"}')
        assert frame_of(connected.receive())[0] == "Forbidden"
        is_in(connected)


def test_c49_allowed_route(gateway):
    """C49: with `AWS_IAM` whoever is not denied a route is answered."""
    with Python(signed_url(gateway.ws_url, GUEST)) as connected:
        connected.send('{"action":"secret"}')
        assert json.loads(connected.receive())["requestContext"]["routeKey"] == "secret"
