"""Several APIs on one server: addresses, stages, domains, API keys and throttles."""

import json
import socket
import time
from contextlib import ExitStack

import pytest
import target
from clients import Python, Refused
from senders import Boto
from test_messages import frame_of

GOLD, SLOW, FEW = "gold-0123456789abcdefghij", "slow-0123456789abcdefghij", "few-00123456789abcdefghij"


@pytest.fixture(scope="module")
def apis(gateways):
    return gateways("apis.toml")


def at(apis, path):
    return f"ws://{apis.host}/{path}"


def by_host(apis, host, path="", **options):
    """Connects to the server under another name."""
    connected = socket.create_connection(("127.0.0.1", apis.port), timeout=10)
    return Python(f"ws://{host}/{path}", sock=connected, **options)


def shown(connected, **more):
    connected.send(json.dumps({"action": "show", **more}))
    return json.loads(connected.receive())


def heard(connected):
    """The context of a message to `$default`."""
    connected.send("hello")
    return json.loads(connected.receive())["requestContext"]


def status_of(url, **options):
    with pytest.raises(Refused) as refused:
        with Python(url, **options):
            pass
    return refused.value.status


def test_paths(apis):
    """More: several APIs are told apart by `/{api}/{stage}`."""
    for path, api, stage in [("first/dev", "first", "dev"), ("first/prod/", "first", "prod"), ("third/dev", "third", "dev")]:
        with Python(at(apis, path)) as connected:
            context = heard(connected)
            assert (context["apiId"], context["stage"]) == (api, stage)


def test_hosts(apis):
    """More: several APIs are told apart by host, as `{api}.execute-api.{region}`."""
    host = f"first.execute-api.us-east-1.localhost:{apis.port}"
    with by_host(apis, host, "dev") as connected:
        context = shown(connected)["requestContext"]
        assert (context["apiId"], context["stage"], context["domainName"]) == ("first", "dev", host)


def test_domains(apis):
    """More: an API has domains of its own, whose paths stand for stages."""
    for path, stage in [("", "prod"), ("beta", "dev")]:
        with by_host(apis, f"ws.example.test:{apis.port}", path) as connected:
            context = heard(connected)
            assert (context["apiId"], context["stage"]) == ("first", stage)
            assert context["domainName"] == f"ws.example.test:{apis.port}"
    with by_host(apis, f"hidden.example.test:{apis.port}", "chat") as connected:
        assert shown(connected)["requestContext"]["apiId"] == "hidden"


@pytest.mark.parametrize("path", ["hidden/dev", "first/nowhere", "nobody/dev", "first", "", "first/dev/more"])
def test_unknown_apis(apis, path):
    """More: unknown APIs and their stages, and those that have domains only, are refused with 403."""
    assert status_of(at(apis, path)) == 403


def test_stage_variables(apis):
    """More: stage variables are in events, choose functions, and are left out where a stage has none."""
    with Python(at(apis, "first/dev")) as connected:
        assert shown(connected)["stageVariables"] == {"colour": "green", "target": "show"}
    with Python(at(apis, "first/prod")) as connected:
        # There `${stageVariables.target}` names no function.
        assert "Internal server error" in shown(connected)["message"]
        connected.send("no route")
        assert "stageVariables" not in json.loads(connected.receive())


def test_management_of_each(apis):
    """More: each API and stage has its own `@connections`, and others do not find its connections."""
    with Python(at(apis, "first/dev")) as connected:
        found = shown(connected)["requestContext"]["connectionId"]
        assert Boto(f"http://{apis.host}/first/dev").post(found, b"here").error is None
        assert connected.receive() == "here"
        for path in ("first/prod", "throttled/dev"):
            assert Boto(f"http://{apis.host}/{path}").post(found, b"x").error == "GoneException"
        assert Boto(f"http://{apis.host}/nobody/dev").post(found, b"x").error == "ForbiddenException"


def test_api_key(apis):
    """More: routes that need an API key refuse clients without one, and events say whose it is."""
    url = at(apis, "keyed/dev")
    assert status_of(url) == 403
    assert status_of(url, headers={"x-api-key": "wrong"}) == 403
    with Python(url, headers={"X-API-Key": GOLD}) as connected:
        identity = shown(connected)["requestContext"]["identity"]
        assert (identity["apiKey"], identity["apiKeyId"]) == (GOLD, "gold")


def test_api_key_of_authorizer(apis):
    """More: an authorizer can name the API key."""
    with Python(at(apis, f"bykey/dev?token=key:{GOLD}")) as connected:
        assert shown(connected)["requestContext"]["identity"]["apiKeyId"] == "gold"
    assert status_of(at(apis, "bykey/dev?token=key:wrong")) == 403
    assert status_of(at(apis, "bykey/dev?token=allow"), headers={"x-api-key": GOLD}) == 403


def answers(connected, number):
    """What became of that many messages: how many were answered, and which errors came."""
    good, errors = 0, set()
    for _ in range(number):
        answer = shown(connected)
        if "requestContext" in answer:
            good += 1
        else:
            errors.add(answer["message"])
    return good, errors


def test_throttle_of_key(apis):
    """More: an API key has a throttle of its own."""
    with Python(at(apis, "keyed/dev"), headers={"x-api-key": SLOW}) as connected:
        # One of three went to the upgrade; what is won back meanwhile is one at most.
        good, errors = answers(connected, 8)
        assert 2 <= good <= 4 and errors == {"Too Many Requests"}
    with Python(at(apis, "keyed/dev"), headers={"x-api-key": GOLD}) as connected:
        assert answers(connected, 8) == (8, set())


def test_quota_of_key(apis):
    """More: an API key has a quota, after which nobody comes in with it."""
    headers = {"x-api-key": FEW}
    with Python(at(apis, "keyed/dev"), headers=headers) as connected:
        good, errors = answers(connected, 4)
        assert good == 2 and len(errors) == 1
    assert status_of(at(apis, "keyed/dev"), headers=headers) == 429


def test_throttle_of_route(apis):
    """More: a route has a throttle, which answers with an error frame; other routes go on."""
    with Python(at(apis, "throttled/dev")) as connected:
        for _ in range(6):
            connected.send('{"action":"show"}')
        frames = [connected.receive() for _ in range(6)]
        refused = [frame for frame in frames if "requestContext" not in frame]
        assert 3 <= len(refused) <= 4
        assert {frame_of(frame)[0] for frame in refused} == {"Too Many Requests"}
        connected.send("to $default")
        assert json.loads(connected.receive())["requestContext"]["routeKey"] == "$default"


def test_throttle_of_stage(apis):
    """More: a stage has a throttle, which refuses upgrades with 429."""
    with ExitStack() as stack, pytest.raises(Refused) as refused:
        for _ in range(6):
            stack.enter_context(Python(at(apis, "throttled/tight")))
    assert refused.value.status == 429
    assert json.loads(refused.value.text)["message"] == "Too Many Requests"


def test_connects_per_second(apis):
    """More: new connections are bounded for each second, by 429."""
    statuses = set()
    with ExitStack() as stack:
        for _ in range(30):
            try:
                stack.enter_context(Python(at(apis, "crowded/dev")))
            except Refused as refused:
                statuses.add(refused.status)
    assert statuses == {429}


def test_refusals(apis):
    """More: who is refused again and again is turned away before any function runs."""
    url, seen = at(apis, "refusing/dev?connect=401"), []
    before = len(apis.records("connect"))
    begin = time.monotonic()
    while 429 not in seen and time.monotonic() - begin < 15:
        for _ in range(10):
            seen.append(status_of(url))
    assert {401, 429} == set(seen)
    assert len(apis.records("connect")) - before == seen.count(401)


def test_required_parameter(apis):
    """More: a required parameter that is missing is 400."""
    assert status_of(at(apis, "needing/dev")) == 400
    with Python(at(apis, "needing/dev?room=1")) as connected:
        assert "requestContext" in shown(connected)


def test_identity_sources(apis):
    """More: all identity sources must be there, headers in any case."""
    url = at(apis, f"sources/dev?token=allow&case={(case := target.case())}")
    assert status_of(url) == 401
    assert status_of(at(apis, "sources/dev?Token=allow"), headers={"X-Own": "1"}) == 401
    assert apis.records("authorize", case=case) == []
    with Python(url, headers={"x-oWn": "1"}) as connected:
        assert shown(connected)["requestContext"]["authorizer"]["principalId"] == "user-17"
