"""A consumer that stops reading."""

from pathlib import Path

import pytest
from clients import Rust
from fanfare import wait_until
from gateway import CACHE

MESSAGES = 30_000
BYTES = 4_000
GROWTH_MAX = 48 << 20


def resident(server):
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.slow
def test_a_consumer_that_pauses(rust, server, topic):
    """C23: what a paused consumer misses costs the server little, and it is told of a discontinuity, not closed."""
    app = rust.at(server)
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, "first").must()
    subscription.wait()
    rust.ask("pause", name=subscription.name)
    begin, before = resident(server), rust.counts().get("discontinuity", 0)
    with Rust() as other:
        asked = {"cache": CACHE, "topic": topic, "count": MESSAGES, "size": BYTES, "at_once": 200}
        done = other.at(server).ask("flood", seconds=90, **asked).must()
    print(f"{MESSAGES / done.more['seconds']:.0f} messages a second")
    assert resident(server) - begin < GROWTH_MAX
    rust.ask("resume", name=subscription.name)
    app.publish(CACHE, topic, "last").must()
    wait_until(lambda: subscription.values[-1] == "last", "the last message", 30)
    items = subscription.all()
    assert len(items) < MESSAGES
    numbers = [item.number for item in items]
    assert numbers == sorted(set(numbers))
    counts = rust.counts()
    assert counts.pop("discontinuity") > before and counts == {}, "the stream was closed"
