"""The SDK for Rust."""

import shutil
import time

import pytest
from fanfare import Server, wait_until
from gateway import CACHE, CONFIG, Curl
from link import Link


@pytest.mark.slow
def test_a_stream_outlives_its_deadline(rust, link, topic):
    """C19: text and bytes arrive, and the one stream lives after 20 s though it was asked for with a deadline of 15 s."""
    app = rust.at(link)
    subscription = app.subscribe(CACHE, topic)
    app.publish(CACHE, topic, "x").must()
    app.publish(CACHE, topic, b"\x01\x02\xfa").must()
    assert [item.value for item in subscription.wait(count=2)] == ["x", b"\x01\x02\xfa"]
    time.sleep(20)
    app.publish(CACHE, topic, "y").must()
    assert subscription.wait(count=3)[2].value == "y"
    assert [(asked.topic, asked.resume) for asked in link.subscribes()] == [(topic, 0)]
    assert rust.counts().keys() <= {"discontinuity"}


def test_a_restart_that_keeps_messages(rust, topic):
    """C20: after a restart the subscription resumes by itself where it was; what was published meanwhile arrives."""
    with Server(config=CONFIG) as server, Link(server) as link:
        subscription = rust.at(link).subscribe(CACHE, topic)
        last = published(server, subscription, topic)
        link.cut()
        server.restart()
        assert Curl(server).publish(CACHE, topic, "meanwhile") == 204
        link.restore()
        wait_until(lambda: "meanwhile" in subscription.values, "the message of meanwhile", 10)
        resumed = link.subscribes()[-1]
        assert (resumed.resume, resumed.page) == (last.number, last.more["page"])
        assert resumed.page > 0


def test_a_restart_that_has_forgotten(rust, topic):
    """C20: where a server begins anew, the page is another one: a discontinuity tells, and later items arrive."""
    with Server(config=CONFIG) as server, Link(server) as link:
        subscription = rust.at(link).subscribe(CACHE, topic)
        last = published(server, subscription, topic)
        before = rust.counts().get("discontinuity", 0)
        link.cut()
        server.kill()
        shutil.rmtree(server.data)
        server.start()
        link.restore()
        wait_until(lambda: rust.counts().get("discontinuity", 0) > before, "the discontinuity", 10)
        assert Curl(server).publish(CACHE, topic, "later") == 204
        later = subscription.wait(count=2)[-1]
        assert later.value == "later" and later.more["page"] != last.more["page"]
        assert (link.subscribes()[-1].resume, link.subscribes()[-1].page) == (last.number, last.more["page"])


def published(server, subscription, topic):
    """The item of a message."""
    assert Curl(server).publish(CACHE, topic, "before") == 204
    return subscription.wait()[0]


def test_errors(rust, server, topic):
    """C24: a message that is too large is an error of the limit, in the SDK's exact words."""
    refused = rust.at(server).publish(CACHE, topic, "x" * ((1 << 20) + 1))
    assert (refused.code, refused.message) == ("LimitExceededError", "Request size limit exceeded for this account")
    assert rust.at(server).refusal("nope", topic) == "CacheNotFoundError"
