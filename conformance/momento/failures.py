"""What an application sees when something fails: one observation for each SDK and each kind of failure.

A subscriber is connected through a `Link`, or directly where the server goes away; others publish to the server. What happens is
done to the server, to the line or to the key; what the application was told is written down, and then whether it goes on.
"""

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, field

from clients import cpu_seconds
from gateway import CACHE, Curl, make_key, revoke

AWAY_SECONDS = 2
# An SDK that goes on does so within this, after the failure is over.
BACK_SECONDS = 8
# For how long one that is not to go on is watched.
WATCH_SECONDS = 3
ENDING = ("expires", "revoked", "deleted")
GOING = ("stops", "crashes", "forgets")
TOPIC = "t"


@dataclass
class Observation:
    """What was seen. `told` are the names of callbacks in order, with the codes of errors."""

    sdk: str
    failure: str
    told: list = field(default_factory=list)
    goes_on: bool = False
    error: str = ""
    missed: int = 0
    twice: int = 0
    # Whether the process still answers. One that does not keeps its event loop busy.
    answers: bool = True
    busy: float = 0.0
    # How often the SDK asked again in a second, where that was seen.
    asks: float = 0.0


def observe(sdk, failure, server, link, maker):
    """`failure` is one of FAILURES; `maker` is an application that may do everything."""
    key = None
    if failure == "expires":
        key = maker.token({"role": "subscribeonly", "cache": CACHE, "topic": TOPIC}, lifetime=3).must().more["key"]
    elif failure == "revoked":
        key = make_key(server, "subscribeonly", CACHE, TOPIC, name="doomed")
    cache = "doomed" if failure == "deleted" else CACHE
    if failure == "deleted":
        maker.ask("createCache", cache=cache).must()
    # Where the server goes away, so does its port.
    subscription = sdk.at(server if failure in GOING else link, key).subscribe(cache, TOPIC)
    # Without a key a publish to what is no cache would be one of AWS IoT's.
    curl = Curl(server, make_key(server, "superuser", None) if failure == "deleted" else None)
    sent = ["before"]
    assert curl.publish(cache, TOPIC, "before") == 204
    subscription.wait()
    seen = len(subscription.events)
    sent += FAILURES[failure](server, link, maker, cache)
    found = Observation(sdk.name, failure)
    watch(found, sdk, subscription, curl, cache, sent, link)
    described = [event.kind + (f" {event.code}" if event.code else "") for event in subscription.events[seen:]]
    found.told = [one for one in described if one not in ("item", "heartbeat")]
    errors = [event.code for event in subscription.events if event.kind == "error"]
    found.error = errors[0] if errors else ""
    values = [event.value for event in subscription.events if event.kind == "item"]
    found.missed = len(set(sent) - set(values)) if found.goes_on else 0
    found.twice = len(values) - len(set(values))
    write_down(found)
    return found


def watch(found, sdk, subscription, curl, cache, sent, link):
    """Publishes until something new arrives, or for as long as that may take."""
    begin, busy_begin = time.monotonic(), cpu_of(sdk)
    deadline = begin + (WATCH_SECONDS if found.failure in ENDING else BACK_SECONDS)
    asked = len(link.subscribes())
    try:
        while time.monotonic() < deadline and not found.goes_on:
            sent.append(f"after {len(sent)}")
            # A cache that is gone takes nothing.
            status = curl.publish(cache, TOPIC, sent[-1])
            assert status == (404 if found.failure == "deleted" else 204), status
            time.sleep(0.25)
            sdk.ask("look", seconds=2)
            found.goes_on = sent[-1] in subscription.values
    except TimeoutError:
        found.answers = False
    passed = time.monotonic() - begin
    found.busy = round((cpu_of(sdk) - busy_begin) / passed, 2)
    found.asks = round((len(link.subscribes()) - asked) / passed, 1)


def cpu_of(sdk):
    return cpu_seconds(sdk.pid) if hasattr(sdk, "pid") else 0.0


def expire(server, link, maker, cache):
    time.sleep(3.2)
    return []


def revoke_key(server, link, maker, cache):
    """It is in force within a second."""
    revoke(server, "doomed")
    time.sleep(1)
    return []


def stop(server, link, maker, cache):
    """In good order, and another one starts."""
    server.terminate()
    server.start()
    return publish(server, cache)


def crash(server, link, maker, cache):
    server.restart()
    return publish(server, cache)


def forget(server, link, maker, cache):
    """A crash, after which there is nothing of before."""
    server.kill()
    shutil.rmtree(server.data)
    server.start()
    return publish(server, cache)


def delete(server, link, maker, cache):
    maker.ask("deleteCache", cache=cache).must()
    return []


def cut(server, link, maker, cache):
    """Connections are reset, and none can be made for a while."""
    link.cut()
    sent = publish(server, cache)
    time.sleep(AWAY_SECONDS)
    link.restore()
    return sent


def silence(server, link, maker, cache):
    """Nothing gets through for a while, and nobody is told."""
    link.hold()
    sent = publish(server, cache)
    time.sleep(4 * AWAY_SECONDS)
    link.release()
    return sent


def publish(server, cache):
    assert Curl(server).publish(cache, TOPIC, "meanwhile") == 204
    return ["meanwhile"]


FAILURES = {
    "expires": expire,
    "revoked": revoke_key,
    "deleted": delete,
    "stops": stop,
    "crashes": crash,
    "forgets": forget,
    "cut": cut,
    "silent": silence,
}


def write_down(found):
    if os.environ.get("RESULTS"):
        with open(os.environ["RESULTS"], "a") as file:
            file.write(json.dumps(asdict(found)) + "\n")
