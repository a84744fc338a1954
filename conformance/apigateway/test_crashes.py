"""The server itself stops, orderly or not: every connection that was there has its `$disconnect`, once."""

import time
from collections import Counter

import pytest
import target
from clients import Python, management
from fanfare import wait_until
from test_messages import is_alone

pytestmark = pytest.mark.slow
CLIENTS = 20


@pytest.fixture
def gateway():
    if target.target() != "fanfare":
        raise target.NotOffered("it is no server that restarts")
    with target.start("serverless.yml") as gateway:
        yield gateway


def connected(gateway):
    """So many clients, and their ids."""
    case = target.case()
    clients = [Python(gateway.url(case=case)) for _ in range(CLIENTS)]
    ids = {record["event"]["requestContext"]["connectionId"] for record in gateway.records("connect", case=case)}
    assert len(ids) == CLIENTS
    return clients, ids


def endings(gateway):
    """Connection and code of each `$disconnect` so far."""
    contexts = [record["event"]["requestContext"] for record in gateway.records("disconnect")]
    return [(context["connectionId"], context["disconnectStatusCode"]) for context in contexts]


def twice(gateway):
    """What was told more than once, with each code that was told."""
    told = endings(gateway)
    often = {found for found, count in Counter(found for found, _ in told).items() if count > 1}
    return [(found, code) for found, code in told if found in often]


def settles(client):
    """Functions have written down that they were called; a moment later the server knows that they have ended. What is
    killed between the two is called again."""
    for _ in range(30):
        is_alone(client)


def has_one_each(gateway, ids, code):
    wait_until(lambda: {found for found, _ in endings(gateway)} >= ids, "a $disconnect for each", 30)
    assert sorted(endings(gateway)) == sorted((found, code) for found in ids)


def test_drain(gateway):
    """More: a server that is stopped says `Going away` to its clients, and `$disconnect` runs once for each."""
    clients, ids = connected(gateway)
    gateway.server.terminate(30)
    assert {client.ended() for client in clients} == {(1001, "Going away")}
    has_one_each(gateway, ids, 1001)
    gateway.server.start()
    # Had it left anything to do, it would be done before this one's.
    more, others = connected(gateway)
    for client in more:
        client.close(4000, "bye")
    wait_until(lambda: {found for found, _ in endings(gateway)} >= ids | others, "all")
    assert twice(gateway) == []


def test_drain_waits_for_calls(gateway):
    """More: a server that is stopped answers messages that are being dealt with before the end."""
    with Python(gateway.url()) as client:
        client.send('{"action":"slow","ms":1500,"text":"at work"}')
        gateway.record("slow")
        begin = time.monotonic()
        gateway.server.terminate(30)
        assert client.receive() == "slow at work"
        assert time.monotonic() - begin < 20


def test_kill(gateway):
    """More: a server that is killed has `$disconnect` run for all who were there when it is back, once, with 1006."""
    clients, ids = connected(gateway)
    closed, rest = clients[0], clients[1:]
    closed.close(4000, "before")
    wait_until(lambda: endings(gateway), "the first $disconnect")
    settles(rest[0])
    [(first, _)] = endings(gateway)
    gateway.server.restart()
    expected = {(found, 1006) for found in ids - {first}} | {(first, 4000)}
    wait_until(lambda: set(endings(gateway)) >= expected, "a $disconnect for each", 30)
    for client in rest:
        assert client.ended()[0] == 1006
    # What was told is told once, however often the server comes back.
    last = Python(gateway.url())
    settles(last)
    gateway.server.restart()
    assert last.ended()[0] == 1006
    more, others = connected(gateway)
    for client in more:
        client.close(4000, "after")
    wait_until(lambda: {found for found, _ in endings(gateway)} >= ids | others, "those of the third start", 30)
    assert twice(gateway) == []


def test_reconnect_after_kill(gateway):
    """More: a server that was killed serves again at once: old ids are gone, new ones work."""
    clients, ids = connected(gateway)
    gateway.server.restart()
    boto = management(gateway.endpoint)
    for found in ids:
        with pytest.raises(boto.exceptions.GoneException):
            boto.post_to_connection(ConnectionId=found, Data=b"x")
    with Python(gateway.url()) as client:
        client.send('{"action":"echo"}')
        assert client.receive() == 'echo {"action":"echo"}'
    for client in clients:
        client.kill()
