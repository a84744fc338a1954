"""Webhooks, managed by the SDK for Node."""

import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fanfare import Server, wait_until
from gateway import CACHE, CONFIG


class Receiver:
    """A web server that remembers what it was sent: headers and body. It answers after `delay` seconds, at first with the
    statuses of `failures`."""

    def __init__(self, delay=0, failures=(), port=0):
        self.seen = []
        receiver, failures = self, list(failures)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.seen.append((self.headers, self.rfile.read(int(self.headers["content-length"]))))
                time.sleep(delay)
                self.send_response(failures.pop(0) if failures else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/x"

    def wait(self, count=1, seconds=10):
        wait_until(lambda: len(self.seen) >= count, f"{count} deliveries", seconds)
        return self.seen[:count]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def signature(secret, body):
    return hmac.new(secret.encode(), body, "sha3_256").hexdigest()


def test_a_delivery(node, server, topic):
    """C27: a publish is posted with a signature by HMAC-SHA3-256."""
    app = node.at(server)
    with Receiver() as receiver:
        secret = app.ask("putWebhook", cache=CACHE, name=topic, topic=topic, url=receiver.url).must().more["secret"]
        app.publish(CACHE, topic, "hello").must()
        [(headers, body)] = receiver.wait()
        app.ask("deleteWebhook", cache=CACHE, name=topic).must()
    told = json.loads(body)
    assert (told["cache"], told["topic"], told["text"], told["token_id"]) == (CACHE, topic, "hello", "")
    assert told["topic_sequence_number"] >= 1
    assert abs(told["publish_timestamp"] / 1_000 - time.time()) < 60
    assert headers["momento-signature"] == signature(secret, body)
    assert headers["user-agent"].startswith("Momento/1.0 (Webhooks")


@pytest.mark.slow
def test_a_receiver_that_hangs(node, server, topic):
    """C27: one that does not answer for 6 s makes no publisher wait."""
    app = node.at(server)
    with Receiver(delay=6) as receiver:
        app.ask("putWebhook", cache=CACHE, name=topic, topic=topic, url=receiver.url).must()
        app.publish(CACHE, topic, "first").must()
        receiver.wait()
        begin = time.monotonic()
        for number in range(20):
            app.publish(CACHE, topic, str(number)).must()
        assert time.monotonic() - begin < 2
        app.ask("deleteWebhook", cache=CACHE, name=topic).must()


def test_the_life_of_a_webhook(node, server, topic):
    """C28: webhooks are listed, their secrets told and replaced, and they are removed."""
    app = node.at(server)
    with Receiver() as receiver:
        first = app.ask("putWebhook", cache=CACHE, name=topic, topic=topic, url=receiver.url).must().more["secret"]
        listed = {one["name"]: one for one in app.ask("listWebhooks", cache=CACHE).must().more["webhooks"]}
        assert listed[topic] == {"name": topic, "cache": CACHE, "topic": topic, "url": receiver.url}
        assert app.ask("getWebhookSecret", cache=CACHE, name=topic).must().more["secret"] == first
        second = app.ask("rotateWebhookSecret", cache=CACHE, name=topic).must().more["secret"]
        assert second != first
        assert app.ask("getWebhookSecret", cache=CACHE, name=topic).must().more["secret"] == second
        app.publish(CACHE, topic, "x").must()
        [(headers, body)] = receiver.wait()
        assert headers["momento-signature"] == signature(second, body)
        app.ask("deleteWebhook", cache=CACHE, name=topic).must()
        assert topic not in {one["name"] for one in app.ask("listWebhooks", cache=CACHE).must().more["webhooks"]}
        app.publish(CACHE, topic, "y").must()
        time.sleep(0.5)
        assert len(receiver.seen) == 1


@pytest.mark.slow
def test_a_delivery_that_fails(node, server, topic):
    """More: one that is answered with an error is tried again."""
    app = node.at(server)
    with Receiver(failures=[500]) as receiver:
        app.ask("putWebhook", cache=CACHE, name=topic, topic=topic, url=receiver.url).must()
        app.publish(CACHE, topic, "x").must()
        [(_, first), (_, second)] = receiver.wait(2, 30)
        assert first == second
        app.ask("deleteWebhook", cache=CACHE, name=topic).must()


@pytest.mark.slow
def test_a_delivery_outlives_a_crash(node, topic):
    """More: what was published before a crash is delivered after it, with the secret of before."""
    with Server(config=CONFIG) as server, Receiver() as gone:
        port = gone.server.server_address[1]
        app = node.at(server)
        secret = app.ask("putWebhook", cache=CACHE, name=topic, topic=topic, url=gone.url).must().more["secret"]
        gone.__exit__()
        app.publish(CACHE, topic, "x").must()
        time.sleep(0.5)
        server.restart()
        with Receiver(port=port) as receiver:
            headers, body = receiver.wait(1, 30)[0]
        assert json.loads(body)["text"] == "x" and headers["momento-signature"] == signature(secret, body)
