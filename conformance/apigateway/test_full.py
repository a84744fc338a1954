"""A client that does not read (check 46)."""

import time

import pytest
import target
from clients import Python, Raw
from conftest import connecting
from fanfare import wait_until
from senders import Boto, JavaScript

POST = b"x" * 131_072
# What the system keeps for a connection, and then what the gateway does.
POSTS_MAX = 400


@pytest.fixture
def stuck(gateways):
    """A connection whose client reads nothing: gateway, socket and id."""
    gateway, case = gateways("full.yml"), target.case()
    with Raw(gateway.host, receive_buffer=4_096) as raw:
        raw.ask_for_upgrade(gateway.url(None, case=case))
        assert raw.head()[0] == 101
        yield gateway, raw, gateway.event("connect", case=case)["requestContext"]["connectionId"]


def fill(sender, found):
    """Posts until the gateway takes no more; how often it did, and how it refused."""
    for count in range(POSTS_MAX):
        outcome = sender.post(found, POST)
        if outcome.error:
            return count, outcome
    raise AssertionError(f"{POSTS_MAX} posts were taken towards a client that reads nothing")


@pytest.mark.parametrize("kind", [JavaScript, Boto])
def test_c46_full(stuck, kind):
    """C46: posts to a client that does not read end in `LimitExceededException`, after the SDK has tried three times."""
    gateway, _, found = stuck
    fill(Boto(gateway.endpoint), found)
    patient = kind(gateway.endpoint, attempts=None if kind is JavaScript else 3)
    try:
        outcome = patient.post(found, POST)
    finally:
        patient.close()
    assert (outcome.status, outcome.error, outcome.attempts) == (429, "LimitExceededException", 3)


def test_c46_others(stuck):
    """C46: a client that does not read delays no other, and gets all that was taken when it reads again."""
    gateway, raw, found = stuck
    taken, _ = fill(Boto(gateway.endpoint), found)
    with connecting(gateway)(token=None) as (connected, other):
        begin = time.monotonic()
        assert Boto(gateway.endpoint).post(other, b"x").error is None
        assert connected.receive() == "x"
        assert time.monotonic() - begin < 2
    received = 0
    while received < taken * len(POST):
        received += len(raw.frame()[2])
    assert received == taken * len(POST)
    assert wait_until(lambda: Boto(gateway.endpoint).post(found, b"again").error is None, "room again")
    assert raw.frame() == (True, 1, b"again")


def test_c46_leaves(stuck):
    """C46: a client that does not read can be deleted."""
    gateway, _, found = stuck
    sender = Boto(gateway.endpoint)
    fill(sender, found)
    assert sender.delete(found).status == 204
    assert sender.post(found, b"x").status == 410
    gateway.event("disconnect", connection=found)
    with Python(gateway.url(None)) as connected:
        connected.send('{"action":"echo"}')
        assert connected.receive() == 'echo {"action":"echo"}'
