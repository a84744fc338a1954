"""The HTTP interface, with curl."""

import json
import subprocess
import threading
import time

import pytest
from gateway import CACHE, Curl, make_key


def test_publish(node, server, topic):
    """C25: a publish with the key in the query is 204 and arrives as text; what is wrong is 400, 401, 403 or 404."""
    key = make_key(server, "publishonly", CACHE, topic)
    subscription = node.at(server).subscribe(CACHE, topic)
    curl = Curl(server, key)
    with_header, inner, curl.key = Curl(server, key), curl.key, None
    path = f"/topics/{CACHE}/{topic}"
    post = ("-X", "POST", "--data", "hi")
    assert curl.call(f"{path}?token={inner}", *post) == (204, "")
    assert subscription.value() == "hi"
    assert with_header.call(path, *post) == (204, "")
    for status, (who, asked) in {
        400: (with_header, f"{path}?token={inner}"),
        401: (curl, f"{path}?token=garbage"),
        403: (with_header, f"/topics/{CACHE}/other"),
        404: (Curl(server, make_key(server, "superuser", None)), f"/topics/nope/{topic}"),
    }.items():
        got, body = who.call(asked, *post)
        assert got == status, (asked, body)
        assert {"code", "message"} <= set(json.loads(body))


def test_bytes(node, server, topic):
    """More: `application/octet-stream` is bytes, any other type is text, and what is no text then is 400."""
    subscription = node.at(server).subscribe(CACHE, topic)
    path = f"/topics/{CACHE}/{topic}"
    for kind, body, status in (
        ("application/octet-stream", "\x01\x02", 204),
        ("text/plain", "hello", 204),
    ):
        assert Curl(server).call(path, "-X", "POST", "-H", f"content-type: {kind}", "--data-binary", body)[0] == status
    assert [item.value for item in subscription.wait(count=2)] == [b"\x01\x02", "hello"]
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "content-type: text/plain", "--data-binary", "@-", f"{server.url}{path}"]
    assert subprocess.run(command, input=b"\xff\xfe", capture_output=True, timeout=20).stdout == b"400"


def test_long_poll(server, topic):
    """C26: a poll waits for the next item, and a later one continues where it was, whatever was published between."""
    curl, found = Curl(server), []
    poll = threading.Thread(target=lambda: found.extend(curl.poll(CACHE, topic)))
    poll.start()
    time.sleep(0.7)
    assert found == [] and poll.is_alive()
    assert curl.publish(CACHE, topic, "one") == 204
    poll.join(10)
    item = next(one["item"] for one in found if "item" in one)
    assert item["value"] == {"text": "one"}
    assert curl.publish(CACHE, topic, "two") == 204
    [following] = curl.poll(CACHE, topic, item["topic_sequence_number"] + 1, item["sequence_page"])
    assert following["item"]["value"] == {"text": "two"}
    assert following["item"]["topic_sequence_number"] == item["topic_sequence_number"] + 1
    assert following["item"]["sequence_page"] == item["sequence_page"]


@pytest.mark.slow
def test_what_ends_a_poll(node, server, topic):
    """More: a poll ends with 401 when its key expires, and with 404 when its cache is deleted."""
    app = node.at(server)
    made = app.token({"role": "subscribeonly", "cache": CACHE, "topic": topic}, lifetime=2).must().more["key"]
    assert Curl(server, made).call(f"/topics/{CACHE}/{topic}")[0] == 401
    app.ask("createCache", cache=topic).must()
    answers = []
    poll = threading.Thread(target=lambda: answers.append(Curl(server).call(f"/topics/{topic}/a")))
    poll.start()
    time.sleep(0.5)
    app.ask("deleteCache", cache=topic).must()
    poll.join(10)
    assert [status for status, _ in answers] == [404]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_pages_may_ask(server, topic, method):
    """More: a page of another origin may publish and poll."""
    asked = ["-X", "OPTIONS", "-H", "origin: http://localhost:3000", "-H", f"access-control-request-method: {method}"]
    command = ["curl", "-sS", "-i", *asked, "-H", "access-control-request-headers: authorization", f"{server.url}/topics/{CACHE}/{topic}"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.lower()
    assert answer.split()[1] in ("200", "204") and "access-control-allow-origin: " in answer, answer
