"""Who may do what: tokens, their ends, revocation, operators, origins."""

import base64
import hashlib
import hmac
import json
import socket
import subprocess
import time

import pytest
import requests
from fanfare import Server, binary, wait_until
from websockets.exceptions import InvalidStatus
from wire import Client, Refused, refusal

SECRET = "a-shared-secret-of-more-than-32-bytes!"
OTHER_SECRET = "another-secret-of-more-than-32-bytes!!"
ADMIN_KEY = "operators-only-0123456789abcdef0123456789"
CONFIG = f"""
[auth]
admin_keys = ["{ADMIN_KEY}"]
leeway_s = 0
[[auth.keys]]
id = "main"
secret = "{SECRET}"
"""
OPERATOR = {"Authorization": f"Bearer {ADMIN_KEY}"}


def part(value):
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(claims, secret=SECRET, **header):
    """A JWT by RFC 7515 and nothing else, so that every claim is in our hand."""
    text = part({"alg": "HS256", "typ": "JWT", "kid": "main", **header}) + "." + part(claims)
    return text + "." + part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def token(subject, allow, deny=(), ttl=600, **claims):
    now = int(time.time())
    rules = {"allow": list(allow), "deny": list(deny)}
    return sign({"sub": subject, "iat": now, "exp": now + ttl, "fanfare": rules, **claims})


def command(server, *args):
    done = subprocess.run(
        [binary(), "token", *args, "--data", str(server.data)]
        + (["--config", str(server.config)] if server.config else []),
        capture_output=True, text=True, timeout=20, cwd=server.folder, env=server.env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def server():
    with Server(config=CONFIG) as server:
        yield server


def admin(server, method, path, **options):
    return requests.request(method, f"{server.url}/admin/v1/{path}", headers=OPERATOR, timeout=10, **options)


def codes(client, topic, space="default"):
    """What a client is told about each thing it may try."""
    answers = {}
    for name, ask in {
        "publish": lambda: client.publish(topic, "x", space=space),
        "subscribe": lambda: client.subscribe(topic, space=space),
        "history": lambda: client.ask("history", topic=topic, space=space),
        "presence": lambda: client.ask("presence", topic=topic, action="enter", space=space),
    }.items():
        try:
            ask()
            answers[name] = "ok"
        except Refused as refused:
            answers[name] = refused.code
            assert refused.frame["retry"] is False
    return answers


EVERYTHING = {"publish": "ok", "subscribe": "ok", "history": "ok", "presence": "ok"}
NOTHING = dict.fromkeys(EVERYTHING, "denied")


def test_the_command_signs_with_the_configured_key(server):
    made = command(server, "--sub", "ann", "--allow", "*:default/rooms/#", "--ttl", "5m")
    with Client(server, token=made) as client:
        assert client.welcome["subject"] == "ann"
        assert 290_000 < client.welcome["expires"] - time.time() * 1_000 < 301_000
        assert codes(client, "rooms/1") == EVERYTHING
        assert codes(client, "other") == NOTHING


def test_the_command_signs_in_development_mode():
    with Server() as server:
        made = command(server, "--sub", "ann", "--allow", "subscribe:default/rooms/#")
        with Client(server, token=made) as client:
            assert client.welcome["subject"] == "ann"
            client.subscribe("rooms/1")
            assert refusal(client.subscribe, "other")["code"] == "denied"
            assert refusal(client.publish, "rooms/1", "x")["code"] == "denied"
        with Client(server) as anybody:
            anybody.publish("rooms/1", "x")
        bad = requests.get(f"{server.url}/admin/v1/info", headers={"Authorization": f"Bearer {made}"}, timeout=10)
        assert bad.status_code == 403


def test_without_a_token_nothing_is_allowed(server):
    with Client(server, hello=False) as client:
        error = refusal(client.connect)
        assert error["code"] == "unauthorized" and error["retry"] is False
    for path in ("/v1/sse?topic=a", "/v1/poll?topic=a", "/v1/topics/a/history", "/v1/topics/a/members"):
        answer = requests.get(server.url + path, timeout=10)
        assert answer.status_code == 401 and answer.json()["code"] == "unauthorized"
        assert "WWW-Authenticate" in answer.headers
    assert requests.post(f"{server.url}/v1/publish?topic=a", data="x", timeout=10).status_code == 401
    assert requests.post(f"{server.url}/v1/tickets", timeout=10).status_code == 401


@pytest.mark.parametrize("place", ["frame", "header", "ticket"])
def test_where_a_token_may_stand(server, place):
    made = token("ann", ["*:default/#"])
    bearer = {"Authorization": f"Bearer {made}"}
    options = {"frame": {"token": made}, "header": {"additional_headers": bearer}}
    if place == "ticket":
        ticket = requests.post(f"{server.url}/v1/tickets", headers=bearer, timeout=10).json()["ticket"]
        options["ticket"] = {"path": f"/v1/connect?ticket={ticket}"}
    with Client(server, **options[place]) as client:
        assert client.welcome["subject"] == "ann"
        client.subscribe("a")
        client.publish("a", "x")
        assert client.take(1)[0]["from"] == "ann"
    if place == "ticket":
        with pytest.raises(InvalidStatus) as refused:
            Client(server, **options["ticket"])
        assert refused.value.response.status_code == 401


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_in_a_url_is_refused(server, name):
    made = token("ann", ["*:default/#"])
    with pytest.raises(InvalidStatus) as refused:
        Client(server, path=f"/v1/connect?{name}={made}")
    assert refused.value.response.status_code == 400
    answer = requests.post(f"{server.url}/v1/publish?topic=a&{name}={made}", data="x", timeout=10)
    assert answer.status_code == 400 and made not in answer.text


NOW = int(time.time())
GOOD = {"sub": "ann", "iat": NOW, "exp": NOW + 3_600, "fanfare": {"allow": ["*:default/#"]}}
BROKEN = {
    "another key": sign(GOOD, OTHER_SECRET),
    "an unknown key": sign(GOOD, kid="other"),
    "no signature": part({"alg": "none", "kid": "main"}) + "." + part(GOOD) + ".",
    "expired": sign({**GOOD, "exp": NOW - 60}),
    "not yet": sign({**GOOD, "nbf": NOW + 3_600}),
    "no exp": sign({name: value for name, value in GOOD.items() if name != "exp"}),
    "a broken rule": sign({**GOOD, "fanfare": {"allow": ["everything"]}}),
    "cut": sign(GOOD)[:-3],
    "not a token": "hello",
    "empty": "",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_token_that_does_not_count(server, name):
    with Client(server, hello=False) as client:
        error = refusal(client.connect, token=BROKEN[name])
        assert error["code"].startswith("token_") and error["message"], error
        if name == "expired":
            assert error["code"] == "token_expired"
        if name == "another key":
            assert error["code"] == "token_signature"
        assert BROKEN[name] == "" or BROKEN[name] not in error["message"]
    answer = requests.get(
        f"{server.url}/v1/topics/a/history", headers={"Authorization": f"Bearer {BROKEN[name]}"}, timeout=10
    )
    assert answer.status_code == 401


def test_deny_wins_over_allow(server):
    made = token("ann", ["*:default/rooms/#"], ["publish:default/rooms/news", "*:default/rooms/secret/#"])
    with Client(server, token=made) as client:
        assert codes(client, "rooms/1") == EVERYTHING
        assert codes(client, "rooms/news") == {**EVERYTHING, "publish": "denied"}
        assert codes(client, "rooms/secret/1") == NOTHING
        # A pattern would reach what is denied.
        assert refusal(client.subscribe, pattern="rooms/#")["code"] == "denied"
        assert refusal(client.subscribe, pattern="#")["code"] == "denied"
        client.subscribe(pattern="rooms/public/#")


def test_a_subject_in_a_rule(server):
    made = token("ann", ["*:default/users/${sub}/#"])
    with Client(server, token=made) as client:
        assert codes(client, "users/ann/inbox") == EVERYTHING
        assert codes(client, "users/bob/inbox") == NOTHING
    # A subject's own characters mean nothing special.
    with Client(server, token=token("#", ["*:default/users/${sub}/x", "*:default/${sub}"])) as client:
        assert codes(client, "users/bob/x") == NOTHING
    with Client(server, token=token("*", ["*:default/users/${sub}/x"])) as client:
        assert codes(client, "users/bob/x") == NOTHING


def test_a_narrow_token_is_refused_everything_else(server):
    with Client(server, token=token("ann", ["publish:default/one"])) as client:
        assert codes(client, "one") == {**NOTHING, "publish": "ok"}
        assert codes(client, "one", space="chat") == NOTHING
        assert codes(client, "one/more") == NOTHING
    bearer = {"Authorization": "Bearer " + token("ann", ["publish:default/one"])}
    batch = {"messages": [{"topic": "one", "text": "x"}, {"topic": "two", "text": "x"}]}
    answer = requests.post(f"{server.url}/v1/publish", json=batch, headers=bearer, timeout=10)
    assert answer.status_code == 403 and answer.json()["code"] == "denied"
    for path in ("/v1/sse?topic=one", "/v1/poll?topic=one", "/v1/topics/one/history", "/v1/topics/one/members"):
        answer = requests.get(server.url + path, headers=bearer, timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (403, "denied"), path
    assert requests.get(f"{server.url}/admin/v1/info", headers=bearer, timeout=10).status_code == 403
    assert requests.get(f"{server.url}/metrics", headers=bearer, timeout=10).status_code == 403


def test_expiry_ends_a_live_connection(server):
    begin = time.monotonic()
    with Client(server, token=token("ann", ["*:default/#"], ttl=2)) as client:
        client.subscribe("a")
        bye, code = client.ending(8)
        assert (bye["type"], bye["code"], bye["retry"], code) == ("bye", "token_expired", True, 1008)
        assert 0.5 < time.monotonic() - begin < 5


def test_refresh_keeps_the_connection_and_ends_what_is_not_allowed(server):
    with Client(server, token=token("ann", ["*:default/#"], ttl=2)) as client:
        client.subscribe("stays")
        client.subscribe("goes")
        answer = client.ask("refresh", token=token("ann", ["*:default/stays"], ttl=600))
        assert answer["subject"] == "ann" and answer["expires"] > (time.time() + 500) * 1_000
        [ended] = client.take(1, "unsubscribed")
        assert ended["topic"] == "goes" and ended["code"] == "denied" and "id" not in ended
        time.sleep(3)
        client.publish("stays", "still here")
        assert client.texts(1) == ["still here"]
        assert refusal(client.publish, "goes", "x")["code"] == "denied"
        error = refusal(client.ask, "refresh", token=sign(GOOD, OTHER_SECRET))
        assert error["code"] == "token_signature"
        client.publish("stays", "and still")


def issued(seconds_ago, **claims):
    now = int(time.time())
    return token(claims.pop("subject", "ann"), ["*:default/#"], **{"iat": now - seconds_ago, **claims})


@pytest.mark.parametrize("by", ["subject", "token_id", "subject and time", "time"])
def test_revocation(by):
    with Server(config=CONFIG) as server:
        victim = issued(60, subject="ann", jti="t1")
        spared = {
            "subject": issued(60, subject="bob", jti="t2"),
            "token_id": issued(60, subject="ann", jti="t2"),
            "subject and time": issued(0, subject="ann", jti="t2"),
            "time": issued(0, subject="bob", jti="t2"),
        }[by]
        before = (int(time.time()) - 30) * 1_000
        body = {
            "subject": {"subject": "ann"},
            "token_id": {"token_id": "t1"},
            "subject and time": {"subject": "ann", "issued_before": before},
            "time": {"issued_before": before},
        }[by]
        with Client(server, token=victim) as client, Client(server, token=spared) as other:
            stream = requests.get(
                f"{server.url}/v1/sse?topic=a", headers={"Authorization": f"Bearer {victim}"}, stream=True, timeout=10
            )
            lines = stream.iter_lines(chunk_size=1)
            next(lines)
            answer = admin(server, "POST", "revoke", json=body)
            begin = time.monotonic()
            assert answer.status_code == 200, answer.text
            bye, code = client.ending(5)
            assert time.monotonic() - begin < 1.5
            assert (bye["type"], bye["code"], bye["retry"], code) == ("bye", "revoked", False, 1008)
            assert any(b'"revoked"' in line for line in lines), "the stream ends as well"
            other.quiet()
        server.kill()
        server.start()
        with Client(server, hello=False) as client:
            assert refusal(client.connect, token=victim)["code"] == "token_revoked"
        with Client(server, token=spared) as client:
            client.quiet()
        assert admin(server, "GET", "revocations").json()["total"] == 1


def test_operators_are_asked_for_their_key(server):
    for method, path in (("GET", "info"), ("GET", "connections"), ("POST", "publish"), ("POST", "revoke"), ("GET", "usage")):
        url = f"{server.url}/admin/v1/{path}"
        assert requests.request(method, url, timeout=10).status_code == 401
        wrong = requests.request(method, url, headers={"Authorization": "Bearer " + ADMIN_KEY[:-1]}, timeout=10)
        assert wrong.status_code == 401 and ADMIN_KEY[:-1] not in wrong.text
    assert admin(server, "GET", "info").status_code == 200
    assert requests.get(f"{server.url}/metrics", timeout=10).status_code == 401
    assert requests.get(f"{server.url}/metrics", headers=OPERATOR, timeout=10).status_code == 200
    assert requests.get(f"{server.url}/healthz", timeout=10).status_code == 200


def test_an_operator_ends_a_connection(server):
    with Client(server, token=token("kim", ["*:default/#"])) as client:
        path = f"connections/{client.welcome['connection']}"
        shown = admin(server, "GET", path).json()
        assert shown["subject"] == "kim" and shown["door"] == "native"
        assert admin(server, "DELETE", path, params={"reason": "tidying"}).json() == {"closed": 1}
        bye, code = client.ending(5)
        assert (bye["code"], bye["retry"], bye["message"], code) == ("kicked", False, "tidying", 1008)


def test_anonymous_rules():
    config = CONFIG.replace("leeway_s = 0", 'leeway_s = 0\nanonymous_allow = ["subscribe:default/news/#"]')
    with Server(config=config) as server, Client(server) as client:
        client.subscribe("news/1")
        assert refusal(client.publish, "news/1", "x")["code"] == "denied"
        assert refusal(client.subscribe, "other")["code"] == "denied"


def test_default_rules():
    config = CONFIG.replace("leeway_s = 0", 'leeway_s = 0\ndefault_allow = ["*:default/users/${sub}/#"]')
    with Server(config=config) as server:
        now = int(time.time())
        with Client(server, token=sign({"sub": "ann", "iat": now, "exp": now + 60})) as client:
            assert codes(client, "users/ann/x") == EVERYTHING
            assert codes(client, "users/bob/x") == NOTHING


def test_listening_everywhere_needs_keys():
    done = subprocess.run(
        [binary(), "serve", "--listen", "0.0.0.0:0", "--mqtt-listen", "127.0.0.1:0", "--in-memory"],
        capture_output=True, text=True, timeout=20, cwd="/",
    )
    assert done.returncode == 2 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "0.0.0.0:0" in line and "auth.keys" in line


def raw(server, head):
    """The status line that a request is answered with, whatever its head says."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode())
        return connection.recv(65_536).split(b"\r\n")[0].decode()


def test_pages_of_strangers_get_nothing_in_development_mode():
    with Server() as server:
        for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
            with pytest.raises(InvalidStatus) as refused:
                Client(server, origin=origin)
            assert refused.value.response.status_code == 403
            answer = requests.post(f"{server.url}/v1/publish?topic=a", data="x", headers={"Origin": origin}, timeout=10)
            assert answer.status_code == 403
            answer = requests.get(f"{server.url}/admin/v1/info", headers={"Origin": origin}, timeout=10)
            assert answer.status_code == 403
        with Client(server, origin=f"http://localhost:{server.port}") as client:
            client.quiet()
        # A stranger's name that leads here (DNS rebinding).
        for path in ("/v1/poll?topic=a", "/admin/v1/info"):
            assert " 403 " in raw(server, f"GET {path} HTTP/1.1\nHost: evil.example\nConnection: close\n\n") + " "
            status = raw(server, f"GET {path} HTTP/1.1\nHost: localhost:{server.port}\nConnection: close\n\n")
            assert " 200 " in status


def test_pages_of_its_own_are_let_in():
    origins = ["", 'allowed_origins = ["https://app.example"]']
    for line in origins:
        config = CONFIG.replace("leeway_s = 0", f"leeway_s = 0\n{line}")
        with Server(config=config) as server:
            made = token("ann", ["*:default/#"])
            with Client(server, token=made, origin=server.url) as client:
                client.quiet()
            with pytest.raises(InvalidStatus) as refused:
                Client(server, token=made, origin="https://evil.example")
            assert refused.value.response.status_code == 403


@pytest.mark.parametrize("log", ["text", "json"])
def test_secrets_are_in_no_log(log):
    config = CONFIG + f'[log]\nlevel = "debug"\nformat = "{log}"\n'
    with Server(config=config) as server:
        made = token("ann", ["*:default/#"], jti="t1")
        broken = sign(GOOD, OTHER_SECRET)
        bearer = {"Authorization": f"Bearer {made}"}
        ticket = requests.post(f"{server.url}/v1/tickets", headers=bearer, timeout=10).json()["ticket"]
        with Client(server, path=f"/v1/connect?ticket={ticket}") as client:
            client.ask("refresh", token=made)
        for candidate in (made, broken):
            with Client(server, hello=False) as client:
                client.send("connect", id=1, token=candidate)
                client.read()
            requests.get(f"{server.url}/v1/poll?topic=a", headers={"Authorization": f"Bearer {candidate}"}, timeout=10)
            requests.get(f"{server.url}/v1/poll?topic=a&token={candidate}", timeout=10)
            with pytest.raises(InvalidStatus):
                Client(server, path=f"/v1/connect?token={candidate}")
        admin(server, "POST", "revoke", json={"token_id": "t1"})
        requests.get(f"{server.url}/admin/v1/info", headers={"Authorization": f"Bearer {ADMIN_KEY}x"}, timeout=10)
        server.terminate()
        text = server.log()
        wait_until(lambda: "stopped" in server.log(), "the last line")
        assert "revoking" in text
        for secret in (SECRET, ADMIN_KEY, ticket, made, broken, made.split(".")[1], made.split(".")[2]):
            assert secret not in text
