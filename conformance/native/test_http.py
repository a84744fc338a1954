"""Publish, server-sent events, streams, long poll, tickets and questions over plain HTTP."""

import base64
import json
import subprocess
import threading
import time
from urllib.parse import quote

import pytest
import requests
import sseclient
from fanfare import Server
from jsonschema import Draft202012Validator
from wire import Client, texts

JSON = {"Content-Type": "application/json"}


class Http:
    """`requests` with the server's address in front and a deadline behind."""

    def __init__(self, server):
        self.url = server.url
        self.session = requests.Session()

    def get(self, path, **options):
        return self.session.get(self.url + path, **{"timeout": 15, **options})

    def post(self, path, **options):
        return self.session.post(self.url + path, **{"timeout": 15, **options})

    def publish(self, topic, text, **fields):
        answer = self.post("/v1/publish", json={"topic": topic, "text": text, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def history(self, topic, **params):
        return self.get(f"/v1/topics/{quote(topic, safe='')}/history", params=params).json()


@pytest.fixture
def http(server):
    return Http(server)


class Events:
    """A stream of server-sent events, read by `sseclient`."""

    def __init__(self, http, method="get", **options):
        self.answer = getattr(http, method)("/v1/sse", stream=True, **options)
        assert self.answer.status_code == 200, self.answer.text
        assert self.answer.headers["Content-Type"].startswith("text/event-stream")
        self.events = sseclient.SSEClient(self.answer).events()

    def next(self, name="message"):
        event = next(self.events)
        while event.event == "message" and event.data == "":
            event = next(self.events)
        assert event.event == name, (event.event, event.data)
        return event

    def texts(self, number):
        return [json.loads(self.next().data)["text"] for _ in range(number)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()


def curl(server, *args):
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "10", *args], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout


def expect_error(answer, status, code):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert answer.headers["Content-Type"] == "application/json"
    assert body["code"] == code and body["message"] and isinstance(body["retry"], bool)
    assert not {"type", "id"} & body.keys()
    assert ("Retry-After" in answer.headers) == ("retry_ms" in body)
    return body


def test_publish_one(http, client, topic):
    client.subscribe(topic)
    answer = http.post("/v1/publish", json={"topic": topic, "data": None, "properties": {"a": "b"}})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    [message] = client.take(1)
    assert message["data"] is None and message["properties"] == {"a": "b"}
    assert answer.json() == {"position": message["position"]}
    http.post("/v1/publish", json={"topic": topic, "base64": base64.b64encode(b"\xff").decode()})
    assert client.take(1)[0]["base64"] == "/w=="
    http.publish(topic, "there", space="chat")
    assert texts(http.history(topic, space="chat")["messages"]) == ["there"]


def test_a_key_publishes_once(http, topic):
    first = http.publish(topic, "once", key="k")
    again = http.publish(topic, "once", key="k")
    assert "duplicate" not in first and again == {**first, "duplicate": True}
    raw = http.post("/v1/publish", params={"topic": topic, "key": "k"}, data="once").json()
    assert raw == again
    assert texts(http.history(topic)["messages"]) == ["once"]


def test_a_batch_is_published_whole_and_in_order(http, client, topic):
    client.subscribe(pattern=f"{topic}/#")
    messages = [{"topic": f"{topic}/{number % 3}", "text": str(number)} for number in range(1_000)]
    answer = http.post("/v1/publish", json={"messages": messages})
    received = client.take(1_000)
    assert texts(received) == [str(number) for number in range(1_000)]
    assert answer.json() == {"positions": [message["position"] for message in received]}
    offsets = [int(message["position"].split("-")[1]) for message in received]
    assert offsets == list(range(offsets[0], offsets[0] + 1_000))


@pytest.mark.parametrize(
    "bad,status,code",
    [
        ({"topic": "", "text": "x"}, 400, "invalid_topic"),
        ({"topic": "ok"}, 400, "bad_request"),
        ({"topic": "ok", "text": "x", "space": "other"}, 400, "invalid_batch"),
        ({"topic": "ok", "text": "x" * ((1 << 20) + 1)}, 413, "message_too_large"),
    ],
)
def test_a_batch_with_one_bad_message_publishes_nothing(http, client, topic, bad, status, code):
    good = {"topic": topic, "text": "x"}
    expect_error(http.post("/v1/publish", json={"messages": [good, bad, good]}), status, code)
    assert http.history(topic)["messages"] == []


def test_a_batch_has_bounds(http, topic):
    good = {"topic": topic, "text": "x"}
    expect_error(http.post("/v1/publish", json={"messages": [good] * 1_001}), 400, "invalid_batch")
    expect_error(http.post("/v1/publish", json={"messages": []}), 400, "invalid_batch")
    assert http.history(topic)["messages"] == []


@pytest.mark.parametrize(
    "content_type,body,expected",
    [
        ("application/json", b' {"a": 1} ', {"data": {"a": 1}}),
        ("application/json; charset=utf-8", b"null", {"data": None}),
        ("text/plain", "ä".encode(), {"text": "ä"}),
        ("text/html", b"<p>", {"text": "<p>"}),
        (None, b"plain", {"text": "plain"}),
        ("application/x-www-form-urlencoded", b"a=b", {"text": "a=b"}),
        ("application/octet-stream", b"\x00\xff", {"base64": "AP8="}),
        ("image/png", b"text", {"base64": "dGV4dA=="}),
        (None, b"", {"text": ""}),
    ],
)
def test_publish_raw(http, client, topic, content_type, body, expected):
    client.subscribe("raw " + topic)
    headers = {"Content-Type": content_type} if content_type else {}
    answer = http.post("/v1/publish", params={"topic": "raw " + topic}, data=body, headers=headers)
    assert answer.status_code == 200, answer.text
    [message] = client.take(1)
    assert {name: message[name] for name in ("data", "text", "base64") if name in message} == expected


def test_publish_with_curl(server, client):
    client.subscribe("curl/a b")
    answer = json.loads(curl(server, "-d", "hello & more", f"{server.url}/v1/publish?topic=curl%2Fa+b"))
    [message] = client.take(1)
    assert message["text"] == "hello & more" and message["position"] == answer["position"]
    curl(server, "--http2-prior-knowledge", "-d", "two", f"{server.url}/v1/publish?topic=curl/a%20b&retain=true")
    assert client.texts(1) == ["two"]
    with Client(server) as later:
        later.subscribe("curl/a b")
        assert later.take(1)[0]["retained"] is True


@pytest.mark.parametrize(
    "query,body,headers,status,code",
    [
        ("", b"hello", {}, 400, "bad_request"),
        ("", b"[]", JSON, 400, "bad_request"),
        ("?topic=a", b"{", JSON, 400, "bad_request"),
        ("?topic=a", b"1 2", JSON, 400, "bad_request"),
        ("?topic=a", b"\xff", {"Content-Type": "text/plain"}, 400, "bad_request"),
        ("?topic=", b"x", {}, 400, "invalid_topic"),
        ("?topic=a%2F%23", b"x", {}, 400, "invalid_topic"),
        ("?topic=a&space=", b"x", {}, 400, "invalid_space"),
        ("?topic=a&retain=maybe", b"x", {}, 400, "bad_request"),
        ("?topic=a&topic=b", b"x", {}, 400, "bad_request"),
        ("?topic=%FF", b"x", {}, 400, "bad_request"),
        ("?topic=a", b"x" * ((1 << 20) + 1), {}, 413, "message_too_large"),
        ("?topic=a", b"x" * ((2 << 20) + 1), {}, 413, "message_too_large"),
    ],
)
def test_publish_refused(http, query, body, headers, status, code):
    error = expect_error(http.post("/v1/publish" + query, data=body, headers=headers), status, code)
    assert error["retry"] is False


def test_paths_and_methods(http):
    expect_error(http.get("/v1/nothing"), 404, "not_found")
    expect_error(http.get("/nothing"), 404, "not_found")
    answer = http.get("/v1/publish")
    expect_error(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


def test_events(http, topic):
    with Events(http, params={"topic": topic, "pattern": f"{topic}/+"}) as events:
        ready = events.next("ready")
        fields = json.loads(ready.data)
        assert fields["connection"] and fields["ping_ms"] == 15_000 and "recovered" not in fields
        assert ready.id
        position = http.publish(topic, "hello")["position"]
        event = events.next()
        message = json.loads(event.data)
        assert event.id == position == message["position"]
        assert message["topic"] == topic and message["text"] == "hello" and "type" not in message
        http.publish(f"{topic}/a", "more")
        http.publish(f"{topic}/a/b", "not this")
        http.publish(topic, "last")
        assert events.texts(2) == ["more", "last"]


def test_retry_differs_between_streams(http, topic):
    seen = set()
    for _ in range(8):
        with Events(http, params={"topic": topic}) as events:
            first = next(iter(events.events))
            seen.add(first.retry)
    values = {int(retry) for retry in seen if retry}
    if values:
        assert all(2_000 <= value <= 4_000 for value in values) and len(values) > 1


def test_the_first_lines_of_a_stream(server, http, topic):
    answer = http.get("/v1/sse", params={"topic": topic}, stream=True)
    lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
    begin = [next(lines) for _ in range(5)]
    answer.close()
    assert begin[0].startswith("retry: ") and 2_000 <= int(begin[0][7:]) <= 4_000
    assert begin[1] == "" and begin[2].startswith("id: ") and begin[3] == "event: ready"
    assert answer.headers["Cache-Control"].startswith("no-store") and answer.headers["X-Accel-Buffering"] == "no"


def test_events_since(http, topic):
    positions = [http.publish(topic, str(number))["position"] for number in range(10)]
    with Events(http, params={"topic": topic, "since": "all"}) as events:
        assert json.loads(events.next("ready").data)["recovered"] is True
        assert events.texts(10) == [str(number) for number in range(10)]
    with Events(http, params={"topic": topic, "since": positions[6]}) as events:
        events.next("ready")
        assert events.texts(3) == ["7", "8", "9"]
        http.publish(topic, "10")
        assert events.texts(1) == ["10"]


def test_last_event_id(http, topic):
    with Events(http, params={"topic": topic}) as events:
        events.next("ready")
        http.publish(topic, "0")
        place = events.next().id
    for number in range(1, 4):
        http.publish(topic, str(number))
    with Events(http, params={"topic": topic}, headers={"Last-Event-ID": place}) as events:
        assert json.loads(events.next("ready").data)["recovered"] is True
        assert events.texts(3) == ["1", "2", "3"]
    # The id of `ready` is a place as well.
    with Events(http, params={"topic": topic}) as events:
        place = events.next("ready").id
    http.publish(topic, "4")
    with Events(http, params={"topic": topic, "since": "all"}, headers={"Last-Event-ID": place}) as events:
        events.next("ready")
        assert events.texts(1) == ["4"]


def test_last_event_id_that_is_lost(http, topic):
    for place in ("nonsense", "1-1"):
        with Events(http, params={"topic": topic}, headers={"Last-Event-ID": place}) as events:
            ready = events.next("ready")
            assert json.loads(ready.data)["recovered"] is False and ready.id not in ("", place)
            http.publish(topic, "x")
            assert events.texts(1) == ["x"]


def test_events_asked_by_post(http, topic):
    http.publish(f"{topic}/a", "1")
    body = {"topics": [topic], "patterns": [f"{topic}/#"], "space": "default", "since": "all"}
    with Events(http, "post", json=body) as events:
        events.next("ready")
        assert events.texts(1) == ["1"]
        http.publish(topic, "2")
        # Both filters match it; it comes once.
        http.publish(topic, "3")
        assert events.texts(2) == ["2", "3"]


def test_a_retained_message_comes_first(http, topic):
    http.publish(topic, "kept", retain=True)
    with Events(http, params={"topic": topic}) as events:
        events.next("ready")
        message = json.loads(events.next().data)
        assert message["text"] == "kept" and message["retained"] is True


def test_json_over_several_lines_stays_one_event(http, topic):
    body = b'{\r\n "a":\n1, "b": "\\n"}'
    with Events(http, params={"topic": topic}) as events:
        events.next("ready")
        http.post("/v1/publish", params={"topic": topic}, data=body, headers=JSON)
        assert json.loads(events.next().data)["data"] == {"a": 1, "b": "\n"}


def test_lines(http, topic):
    http.publish(topic, "1")
    with http.get("/v1/sse", params={"topic": topic, "since": "all"}, stream=True,
                  headers={"Accept": "application/x-ndjson"}) as answer:
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        lines = (json.loads(line) for line in answer.iter_lines(chunk_size=1))
        ready = next(lines)
        assert ready["type"] == "ready" and ready["recovered"] is True
        message = next(lines)
        assert message["type"] == "message" and message["text"] == "1" and message["topic"] == topic
        http.post("/v1/publish", params={"topic": topic}, data=b"{\n}", headers=JSON)
        assert next(lines)["data"] == {}


def test_heartbeats():
    with Server(config="[limits]\nping_interval_ms = 200\n") as server:
        http = Http(server)
        with http.get("/v1/sse", params={"topic": "a"}, stream=True) as answer:
            lines = answer.iter_lines(chunk_size=1)
            assert any(next(lines) == b": ka" for _ in range(20))
        with http.get("/v1/sse?topic=a", stream=True, headers={"Accept": "application/x-ndjson"}) as answer:
            lines = answer.iter_lines(chunk_size=1)
            next(lines)
            assert json.loads(next(lines)).keys() <= {"position"}


@pytest.mark.parametrize(
    "query,code",
    [("", "bad_request"), ("topic=", "invalid_topic"), ("pattern=a/%23/b", "invalid_pattern"),
     ("topic=a&since=x", "bad_request"), ("topic=a&" * 33, "bad_request"), ("topic=a&space=", "invalid_space")],
)
@pytest.mark.parametrize("path", ["/v1/sse", "/v1/poll"])
def test_listening_refused(http, path, query, code):
    expect_error(http.get(f"{path}?{query}"), 400, code)


def test_poll(http, topic):
    begin = time.monotonic()
    first = http.get("/v1/poll", params={"topic": topic}).json()
    assert first["messages"] == [] and first["gap"] is False and first["more"] is False
    assert time.monotonic() - begin < 5
    http.publish(topic, "1")
    http.publish(topic, "2")
    params = {"topic": topic, "since": first["cursor"], "wait": 10}
    answer = http.get("/v1/poll", params=params).json()
    assert texts(answer["messages"]) == ["1", "2"] and answer["gap"] is False and answer["more"] is False
    assert answer["cursor"] == answer["messages"][-1]["position"]
    again = http.get("/v1/poll", params=params).json()
    assert again == answer
    begin = time.monotonic()
    empty = http.get("/v1/poll", params={**params, "since": answer["cursor"], "wait": 1}).json()
    assert empty["messages"] == [] and 0.8 < time.monotonic() - begin < 6
    begin = time.monotonic()
    empty = http.get("/v1/poll", params={**params, "since": empty["cursor"], "wait": 0}).json()
    assert empty["messages"] == [] and time.monotonic() - begin < 5
    http.publish(topic, "3")
    assert texts(http.get("/v1/poll", params={**params, "since": empty["cursor"]}).json()["messages"]) == ["3"]


def test_poll_wakes_up(server, http, topic):
    cursor = http.get("/v1/poll", params={"topic": topic}).json()["cursor"]
    timer = threading.Timer(0.5, lambda: Http(server).publish(topic, "now"))
    timer.start()
    begin = time.monotonic()
    answer = http.get("/v1/poll", params={"topic": topic, "since": cursor}, headers={"Prefer": "wait=30"}, timeout=40)
    assert texts(answer.json()["messages"]) == ["now"] and time.monotonic() - begin < 10
    timer.join()


def test_poll_pages(http, topic):
    messages = [{"topic": topic, "text": str(number)} for number in range(250)]
    http.post("/v1/publish", json={"messages": messages})
    seen, since, answers = [], "all", 0
    while True:
        answer = http.get("/v1/poll", params={"topic": topic, "since": since, "wait": 0}).json()
        assert len(answer["messages"]) <= 100
        seen += texts(answer["messages"])
        since, answers = answer["cursor"], answers + 1
        if not answer["more"]:
            break
    assert seen == [str(number) for number in range(250)] and answers == 3


def test_poll_answers_are_bounded_in_bytes(http, topic):
    for number in range(4):
        http.publish(topic, str(number) * 100_000)
    first = http.get("/v1/poll", params={"topic": topic, "since": "all", "wait": 0})
    assert len(first.content) < 300_000 and first.json()["more"] is True
    rest = http.get("/v1/poll", params={"topic": topic, "since": first.json()["cursor"], "wait": 0}).json()
    assert [text[0] for text in texts(first.json()["messages"] + rest["messages"])] == ["0", "1", "2", "3"]


def test_poll_says_what_is_lost(http, topic):
    answer = http.get("/v1/poll", params={"topic": topic, "since": "1-1", "wait": 10}).json()
    assert answer["gap"] is True and answer["messages"] == []
    http.publish(topic, "x")
    answer = http.get("/v1/poll", params={"topic": topic, "since": answer["cursor"], "wait": 10}).json()
    assert answer["gap"] is False and texts(answer["messages"]) == ["x"]


def test_a_client_may_change_transport(server, http, topic):
    with Client(server) as client:
        place = client.subscribe(topic)["position"]
    http.publish(topic, "1")
    answer = http.get("/v1/poll", params={"topic": topic, "since": place}).json()
    assert texts(answer["messages"]) == ["1"]
    http.publish(topic, "2")
    with Events(http, params={"topic": topic, "since": answer["cursor"]}) as events:
        events.next("ready")
        event = events.next()
        assert json.loads(event.data)["text"] == "2"
    http.publish(topic, "3")
    with Client(server, resume=[{"topic": topic, "since": event.id}]) as client:
        assert client.texts(1) == ["3"]


def test_history(http):
    topic = "history/a b&ä?"
    for number in range(25):
        http.publish(topic, str(number))
    page = http.history(topic, limit=10)
    assert texts(page["messages"]) == [str(number) for number in range(10)]
    assert page["more"] is True and page["recovered"] is True
    rest = http.history(topic, since=page["position"])
    assert texts(rest["messages"]) == [str(number) for number in range(10, 25)] and rest["more"] is False
    assert http.history(topic, since="1-1")["recovered"] is False
    expect_error(http.get("/v1/topics/a/history?since=x"), 400, "bad_request")
    expect_error(http.get("/v1/topics/a/history?limit=x"), 400, "bad_request")


def test_members(server, http, topic):
    clients = [Client(server) for _ in range(3)]
    for number, client in enumerate(clients):
        client.ask("presence", topic=topic, action="enter", data=number)
    first = http.get(f"/v1/topics/{topic}/members?limit=2").json()
    assert first["topic"] == topic and len(first["members"]) == 2
    rest = http.get(f"/v1/topics/{topic}/members", params={"after": first["after"]}).json()
    assert sorted(member["data"] for member in first["members"] + rest["members"]) == [0, 1, 2]
    assert "after" not in rest
    for client in clients:
        client.close()


def test_tickets_count_once(server, http, topic):
    def ticket():
        answer = http.post("/v1/tickets").json()
        assert answer["expires_ms"] == 30_000
        return answer["ticket"]

    one = ticket()
    with Client(server, path=f"/v1/connect?ticket={one}") as client:
        client.quiet()
    expect_error(http.get("/v1/sse", params={"topic": topic, "ticket": one}), 401, "ticket_unknown")
    two = ticket()
    with Events(http, params={"topic": topic, "ticket": two}) as events:
        events.next("ready")
    expect_error(http.get("/v1/poll", params={"topic": topic, "ticket": two}), 401, "ticket_unknown")
    expect_error(http.post("/v1/tickets", params={"ticket": ticket()}), 400, "bad_request")


def test_the_description_describes(server, http, topic):
    answer = http.get("/v1/openapi.json")
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    http.publish(topic, "x")
    with Client(server) as client:
        client.ask("presence", topic=topic, action="enter", data={"a": 1})
        calls = [
            ("post", "/v1/publish", http.post("/v1/publish", json={"topic": topic, "text": "x"}), "200"),
            ("post", "/v1/publish", http.post("/v1/publish", json={"messages": [{"topic": topic, "text": "x"}]}), "200"),
            ("post", "/v1/publish", http.post("/v1/publish", json={"topic": ""}), "400"),
            ("get", "/v1/poll", http.get("/v1/poll", params={"topic": topic, "since": "all"}), "200"),
            ("post", "/v1/tickets", http.post("/v1/tickets"), "200"),
            ("get", "/v1/topics/{topic}/history", http.get(f"/v1/topics/{topic}/history"), "200"),
            ("get", "/v1/topics/{topic}/members", http.get(f"/v1/topics/{topic}/members"), "200"),
        ]
    for method, path, answer, status in calls:
        assert str(answer.status_code) == status, (path, answer.text)
        described = document["paths"][path][method]["responses"]
        response = described.get(status) or described.get("default") or described[f"{status[0]}XX"]
        if "$ref" in response:
            response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
        schema = response["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())
    assert {"get", "post"} <= document["paths"]["/v1/sse"].keys()


def test_pages_of_other_origins():
    config = '[auth]\nallowed_origins = ["https://app.example"]\n'
    with Server(config=config) as server:
        http = Http(server)
        preflight = http.session.options(
            server.url + "/v1/publish",
            headers={
                "Origin": "https://app.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
            timeout=10,
        )
        assert preflight.status_code in (200, 204)
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()
        answer = http.post("/v1/publish", json={"topic": "a", "text": "x"}, headers={"Origin": "https://app.example"})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Origin" in answer.headers["Vary"]
        other = http.post("/v1/publish", json={"topic": "a", "text": "x"}, headers={"Origin": "https://evil.example"})
        assert other.status_code == 403 and "Access-Control-Allow-Origin" not in other.headers
        own = http.post("/v1/publish", json={"topic": "a", "text": "x"}, headers={"Origin": server.url})
        assert own.status_code == 200
