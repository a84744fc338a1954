"""`@connections`: what senders from outside can do (checks 37 to 41)."""

import json
import time
from contextlib import ExitStack

import pytest
import target
from clients import Python, Raw, Wscat, management
from fanfare import wait_until
from senders import Boto, signed

UNKNOWN = "AbCdEfGhIjKlMnM="


def closed_id(gateway, connect):
    """The id of a connection that is gone, as `$disconnect` has said."""
    with connect() as (_, found):
        pass
    gateway.event("disconnect", connection=found)
    return found


def test_c37_gone(gateway, connect, sender):
    """C37: a post to a connection that is closed is `GoneException`, once and for all."""
    outcome = sender.post(closed_id(gateway, connect), b"too late")
    assert (outcome.status, outcome.error, outcome.attempts) == (410, "GoneException", 1)


def test_c37_gone_is_not_tried_again(gateway, connect, sending):
    """C37: SDKs do not repeat a post that is `GoneException`."""
    patient = sending(gateway.endpoint, attempts=None)
    outcome = patient.post(closed_id(gateway, connect), b"too late")
    assert (outcome.error, outcome.attempts) == ("GoneException", 1)


def test_c37_gone_class(gateway, connect, boto):
    """C37: boto3's own exception class catches it for all three operations."""
    found = closed_id(gateway, connect)
    for ask in (boto.get_connection, boto.delete_connection):
        with pytest.raises(boto.exceptions.GoneException):
            ask(ConnectionId=found)
    with pytest.raises(boto.exceptions.GoneException):
        boto.post_to_connection(ConnectionId=found, Data=b"x")


def test_c37_gone_on_the_wire(gateway, connect):
    """C37: 410 has the error's name in a header, and an empty body."""
    found = closed_id(gateway, connect)
    status, headers, body = signed(f"{gateway.endpoint}/@connections/{found}", body=b"x")
    assert (status, headers.get("x-amzn-errortype"), body) == (410, "GoneException", b"")
    assert headers["x-amzn-requestid"]


def test_c38_unknown_id(sender):
    """C38: a post to an id that never was is `GoneException`."""
    outcome = sender.post(UNKNOWN, b"x")
    assert (outcome.status, outcome.error) == (410, "GoneException")


@pytest.mark.parametrize("text", ["abc", "AbCdEfGhIjKl+/O=", "AbCdEfGhIjKlMnOp"])
def test_c38_no_id(sender, text):
    """C38: a post to something that is no id is `BadRequestException`."""
    outcome = sender.post(text, b"x")
    assert (outcome.status, outcome.error) == (400, "BadRequestException")


def test_c39_largest_post(connect, sender):
    """C39: a post of 128 KB arrives whole."""
    data = b"".join(b"%07d " % number for number in range(16_384))
    assert len(data) == 131_072
    with connect() as (connected, found):
        assert sender.post(found, data).error is None
        assert connected.receive() == data.decode()


def test_c39_frames(gateway, boto):
    """C39: large posts leave in frames of at most 32 KB."""
    case = target.case()
    with Raw(gateway.host) as raw:
        raw.ask_for_upgrade(gateway.url(case=case))
        assert raw.head()[0] == 101
        found = gateway.event("connect", case=case)["requestContext"]["connectionId"]
        boto.post_to_connection(ConnectionId=found, Data=b"x" * 131_072)
        frames = []
        while not frames or not frames[-1][0]:
            frames.append(raw.frame())
        assert max(len(payload) for _, _, payload in frames) <= 32_768
        assert sum(len(payload) for _, _, payload in frames) == 131_072
        assert [opcode for _, opcode, _ in frames] == [1] + [0] * (len(frames) - 1)


def test_c39_too_large(connect, sender):
    """C39: a post of more than 128 KB is `PayloadTooLargeException`."""
    with connect() as (connected, found):
        outcome = sender.post(found, b"x" * 131_073)
        assert (outcome.status, outcome.error) == (413, "PayloadTooLargeException")
        # Nothing of it arrived.
        sender.post(found, b"next")
        assert connected.receive() == "next"


def test_c39_bytes(connect, sender):
    """C39: posts that are not UTF-8 arrive as binary messages, all others as text."""
    with connect() as (connected, found):
        for data in (b"\xff\x00", "€".encode(), b""):
            sender.post(found, data)
        assert [connected.receive() for _ in range(3)] == [b"\xff\x00", "€", ""]


def test_order_of_posts(connect, sender):
    """More: posts of one sender arrive in their order."""
    with connect() as (connected, found):
        for number in range(50):
            sender.post(found, str(number).encode())
        assert [connected.receive() for _ in range(50)] == [str(number) for number in range(50)]


def test_c40_get(connect, sender):
    """C40: GetConnection tells address, user agent and both times, as SDKs read them."""
    before = time.time()
    with connect() as (_, found):
        answer = sender.get(found).answer
        assert before - 1 < answer["ConnectedAt"] <= answer["LastActiveAt"] < time.time() + 1
        assert answer["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "conformance/1"}


def test_c40_last_active(connect, sender):
    """C40: `LastActiveAt` moves with messages, in either direction."""
    with connect() as (connected, found):
        first = sender.get(found).answer
        connected.send('{"action":"echo"}')
        connected.receive()
        second = sender.get(found).answer
        sender.post(found, b"x")
        third = sender.get(found).answer
    assert first["ConnectedAt"] == third["ConnectedAt"]
    assert first["LastActiveAt"] < second["LastActiveAt"] < third["LastActiveAt"]


def test_c40_without_user_agent(gateway, connect, sender):
    """C40: GetConnection has an empty user agent where the client has none."""
    with connect(options={"user_agent": None}) as (_, found):
        assert sender.get(found).answer["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": ""}
        assert gateway.event("connect", connection=found)["requestContext"]["identity"] == {"sourceIp": "127.0.0.1"}


def test_c40_on_the_wire(gateway, connect):
    """C40: GetConnection has names with small first letters, and times of ISO 8601."""
    with connect() as (_, found):
        status, _, body = signed(f"{gateway.endpoint}/@connections/{found}", "GET")
    told = json.loads(body)
    assert (status, set(told)) == (200, {"connectedAt", "identity", "lastActiveAt"})
    assert all(told[name].endswith("Z") and told[name][10] == "T" for name in ("connectedAt", "lastActiveAt"))


@pytest.mark.parametrize("kind", [Wscat, Python])
def test_c41_delete(gateway, connect, sender, kind):
    """C41: DeleteConnection closes the connection, and a second one is `GoneException`."""
    with connect(kind) as (connected, found):
        assert sender.delete(found).status == 204
        connected.ended()
        again = sender.delete(found)
        assert (again.status, again.error) == (410, "GoneException")


def test_c41_code(gateway, connect, sender):
    """C41: DeleteConnection closes with 1000, and `$disconnect` is told so."""
    with connect() as (connected, found):
        sender.delete(found)
        assert connected.ended()[0] == 1000
        context = gateway.event("disconnect", connection=found)["requestContext"]
        assert context["disconnectStatusCode"] == 1000


def test_c41_disconnect_runs(gateway, connect, sender):
    """C41: `$disconnect` runs once after DeleteConnection."""
    with connect() as (connected, found), connect() as (_, other):
        sender.delete(found)
        connected.ended()
        gateway.event("disconnect", connection=found)
    gateway.event("disconnect", connection=other)
    assert len(gateway.records("disconnect", connection=found)) == 1


def test_c41_delete_on_the_wire(gateway, connect):
    """C41: DeleteConnection is answered with 204, which has neither a body nor a length."""
    with connect() as (_, found):
        status, headers, body = signed(f"{gateway.endpoint}/@connections/{found}", "DELETE")
    assert (status, body, "content-length" in headers) == (204, b"", False)


def test_c37_post_within_disconnect(gateway, connect):
    """C37: within `$disconnect` the connection is gone: posting to it is `GoneException`."""
    with connect(token="user:poster") as (_, found):
        pass
    outcome = gateway.record("disconnect", connection=found)["outcome"]
    assert outcome.startswith("GoneException"), outcome


def test_c38_paths(gateway, connect):
    """C38: `@connections` of unknown stages, and without an id, is `ForbiddenException`."""
    with connect() as (_, found):
        base = gateway.endpoint.removesuffix(f"/{target.STAGE}")
        asked = [
            ("POST", f"{base}/{target.STAGE}/@connections/", 403),
            ("POST", f"{base}/nowhere/@connections/{found}", 403),
        ]
        for method, url, expected in asked:
            status, headers, _ = signed(url, method, b"x")
            assert (status, headers.get("x-amzn-errortype")) == (expected, "ForbiddenException"), url


def test_stageless(gateway, connect):
    """More: a path without the stage reaches the connection, as some SDKs ask."""
    with connect() as (connected, found):
        base = gateway.endpoint.removesuffix(f"/{target.STAGE}")
        assert Boto(base).post(found, b"no stage").error is None
        assert connected.receive() == "no stage"


def test_legacy_gone(gateways):
    """More: on request 410 comes without its name, as applications of 2019 expect."""
    gateway = gateways("seed.yml")
    status, headers, body = signed(f"{gateway.endpoint}/@connections/{UNKNOWN}", body=b"x")
    assert (status, body) == (410, b"")
    assert "x-amzn-errortype" not in headers


def test_many_connections(connect, gateway):
    """More: fifty connections are posted to and found again by their own ids."""
    boto = management(gateway.endpoint)
    with ExitStack() as stack:
        pairs = [stack.enter_context(connect()) for _ in range(50)]
        for _, found in pairs:
            boto.post_to_connection(ConnectionId=found, Data=found.encode())
        assert [connected.receive() for connected, _ in pairs] == [found for _, found in pairs]
    ended = {found for _, found in pairs}
    wait_until(
        lambda: ended <= {one["event"]["requestContext"]["connectionId"] for one in gateway.records("disconnect")},
        "a $disconnect for each",
        30,
    )
