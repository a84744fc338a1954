"""Every frame of the protocol, and every error that can be provoked over WebSocket."""

import base64
import json
import time

import pytest
from fanfare import Server
from wire import Client, Refused, refusal, texts


def now_ms():
    return time.time_ns() // 1_000_000


def test_welcome_tells_limits(server):
    with Client(server) as client:
        welcome = client.welcome
        assert welcome["type"] == "welcome" and welcome["id"] == 1
        assert welcome["connection"] and welcome["node"]
        assert welcome["ping_ms"] == 25_000 and welcome["reconnect_spread_ms"] == 5_000
        assert welcome["limits"] == {
            "message_bytes": 1 << 20,
            "frame_bytes": 2 << 20,
            "topic_bytes": 1_024,
            "subscriptions": 1_000,
            "publish_per_second": 100_000,
        }
        assert welcome["resumed"] == []
        assert "subject" not in welcome and "expires" not in welcome


def test_subprotocol_is_accepted_and_not_required(server):
    with Client(server, subprotocols=["other", "fanfare.v1"]) as client:
        assert client.socket.subprotocol == "fanfare.v1"
    with Client(server) as client:
        assert client.socket.subprotocol is None


def test_message_fields(client, topic):
    assert client.subscribe(topic)["topic"] == topic
    before = now_ms()
    published = client.publish(topic, "hello", properties={"lang": "de", "empty": ""})
    assert published == {"type": "published", "id": published["id"], "position": published["position"]}
    [message] = client.take(1)
    assert before - 1_000 <= message.pop("time") <= now_ms() + 1_000
    assert message == {
        "type": "message",
        "topic": topic,
        "position": published["position"],
        "text": "hello",
        "properties": {"lang": "de", "empty": ""},
    }


VALUES = [None, True, 0, -1.5, 2**53, "text", "ä\u0000\U0001f600\"\\\n", [], {}, [1, {"a": [None]}], {"type": "bye"}]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_data_is_any_json_value(client, topic, value):
    client.subscribe(topic)
    client.publish(topic, data=value)
    [message] = client.take(1)
    assert message["data"] == value and "text" not in message and "base64" not in message
    [kept] = client.ask("history", topic=topic)["messages"]
    assert kept["data"] == value


def test_text_and_bytes(client, topic):
    client.subscribe(topic)
    for text in ("", " ", "ä\u0000\U0001f600\"\\\r\n\u2028"):
        client.publish(topic, text)
        [message] = client.take(1)
        assert message["text"] == text and "data" not in message
    for raw in (b"", b"\x00\xff\xfe", bytes(range(256))):
        client.publish(topic, base64=base64.b64encode(raw).decode())
        [message] = client.take(1)
        assert base64.b64decode(message["base64"], validate=True) == raw and "text" not in message


def test_publish_without_id_is_answered_only_when_refused(client, topic):
    client.subscribe(topic)
    client.send("publish", topic=topic, text="quiet")
    assert client.texts(1) == ["quiet"]
    client.send("publish", topic="", text="loud")
    error = client.next()
    assert error["type"] == "error" and error["code"] == "invalid_topic" and "id" not in error
    client.quiet()


def test_ids_up_to_the_largest(client):
    for number in (0, 2**53 - 1):
        client.send("ping", id=number)
        assert client.next()["id"] == number
    client.send("ping")
    pong = client.next()
    assert "id" not in pong and abs(pong["time"] - now_ms()) < 10_000


@pytest.mark.parametrize(
    "pattern,inside,outside",
    [
        ("p1/+", ["p1/a", "p1/b"], ["p1", "p1/a/b", "p2/a"]),
        ("p2/#", ["p2", "p2/a", "p2/a/b"], ["p", "p22"]),
        ("p3/+/x", ["p3/a/x"], ["p3/x", "p3/a/y", "p3/a/x/z"]),
        ("p4/+/#", ["p4/a", "p4/a/b/c"], ["p4"]),
    ],
)
def test_patterns(server, client, pattern, inside, outside):
    subscribed = client.subscribe(pattern=pattern)
    assert subscribed["pattern"] == pattern and "topic" not in subscribed
    with Client(server) as other:
        for name in outside + inside:
            other.publish(name, name)
    assert client.texts(len(inside)) == inside
    client.quiet()


def test_since_all_runs_into_live_messages(server, client, topic):
    for number in range(5):
        client.publish(topic, str(number))
    with Client(server) as reader:
        subscribed = reader.subscribe(topic, since="all")
        assert subscribed["recovered"] is True
        client.publish(topic, "5")
        assert reader.texts(6) == [str(number) for number in range(6)]


def test_since_a_position(server, client, topic):
    positions = [client.publish(topic, str(number))["position"] for number in range(5)]
    with Client(server) as reader:
        assert reader.subscribe(topic, since=positions[2])["recovered"] is True
        assert reader.texts(2) == ["3", "4"]
        assert reader.subscribe(topic, since=positions[4])["recovered"] is True
        reader.quiet()


def test_since_absent_is_from_now(server, client, topic):
    last = client.publish(topic, "before")["position"]
    with Client(server) as reader:
        subscribed = reader.subscribe(topic)
        assert "recovered" not in subscribed and subscribed["position"]
        reader.quiet()
        client.publish(topic, "after")
        assert reader.texts(1) == ["after"]
        # Nothing came between, so the position of the answer is a place to resume from.
        assert reader.subscribe(topic, since=last)["recovered"] is True
        assert reader.texts(1) == ["after"]


def test_a_pattern_replays_several_topics_in_order(server, client, topic):
    names = [f"{topic}/{number % 3}" for number in range(9)]
    for number, name in enumerate(names):
        client.publish(name, str(number))
    with Client(server) as reader:
        reader.subscribe(pattern=f"{topic}/#", since="all")
        messages = reader.take(9)
    assert texts(messages) == [str(number) for number in range(9)]
    assert [message["topic"] for message in messages] == names


def test_spaces_are_apart(server, client, topic):
    client.subscribe(topic)
    assert client.subscribe(topic, space="chat")["space"] == "chat"
    client.publish(topic, "here", space="default")
    client.publish(topic, "there", space="chat")
    here, there = client.take(2)
    assert "space" not in here and here["text"] == "here"
    assert there["space"] == "chat" and there["text"] == "there"
    assert texts(client.ask("history", topic=topic, space="chat")["messages"]) == ["there"]
    assert client.ask("unsubscribe", topic=topic, space="chat")["space"] == "chat"
    client.publish(topic, "there", space="chat")
    client.quiet()


def test_overlapping_subscriptions_deliver_once(server, client, topic):
    client.subscribe(f"{topic}/a")
    client.subscribe(pattern=f"{topic}/+")
    client.subscribe(pattern=f"{topic}/#")
    with Client(server) as other:
        for text in ("1", "2", "3"):
            other.publish(f"{topic}/a", text)
    assert client.texts(3) == ["1", "2", "3"]
    client.quiet()
    client.ask("unsubscribe", pattern=f"{topic}/#")
    client.ask("unsubscribe", topic=f"{topic}/a")
    client.publish(f"{topic}/a", "4")
    assert client.texts(1) == ["4"]


def test_subscribing_again_replaces(client, topic):
    client.publish(topic, "old")
    client.subscribe(topic)
    client.subscribe(topic, since="all")
    assert client.texts(1) == ["old"]
    client.publish(topic, "new")
    assert client.texts(1) == ["new"]
    client.quiet()
    client.ask("unsubscribe", topic=topic)
    client.publish(topic, "unseen")
    client.quiet()


def test_unsubscribe(client, topic):
    client.subscribe(topic)
    answer = client.ask("unsubscribe", topic=topic)
    assert answer == {"type": "unsubscribed", "id": answer["id"], "topic": topic}
    client.publish(topic, "unseen")
    client.quiet()
    assert refusal(client.ask, "unsubscribe", topic=topic)["code"] == "not_subscribed"
    assert refusal(client.ask, "unsubscribe", pattern=topic + "/#")["code"] == "not_subscribed"


def test_a_key_publishes_once(server, client, topic):
    client.subscribe(topic)
    first = client.publish(topic, "once", key="k1")
    assert "duplicate" not in first
    with Client(server) as other:
        again = other.publish(topic, "again", key="k1")
    assert again["duplicate"] is True and again["position"] == first["position"]
    client.publish(topic, "other", key="k2")
    assert client.texts(2) == ["once", "other"]
    client.quiet()


def test_retained(server, client, topic):
    client.publish(topic, "first", retain=True)
    client.publish(topic, "second", retain=True)
    client.publish(topic, "not kept")
    with Client(server) as reader:
        reader.subscribe(topic)
        [message] = reader.take(1)
        assert message["text"] == "second" and message["retained"] is True
        client.publish(topic, "third", retain=True)
        [message] = reader.take(1)
        assert message["text"] == "third" and "retained" not in message
    client.publish(topic, "", retain=True)
    with Client(server) as reader:
        reader.subscribe(topic)
        reader.quiet()


def test_retained_of_a_pattern(server, client, topic):
    for name in ("a", "b"):
        client.publish(f"{topic}/{name}", name, retain=True)
    with Client(server) as reader:
        reader.subscribe(pattern=f"{topic}/+")
        messages = reader.take(2)
        assert sorted(texts(messages)) == ["a", "b"] and all(message["retained"] for message in messages)
        reader.quiet()


def test_presence(server, client, topic):
    client.subscribe(topic, presence=True)
    before = now_ms()
    with Client(server) as member:
        number = member.welcome["connection"]
        answer = member.ask("presence", topic=topic, action="enter", data={"name": "Ann"})
        assert answer["type"] == "members" and answer["topic"] == topic and "members" not in answer
        joined = client.take(1, "presence")[0]
        assert joined["change"] == "join" and joined["topic"] == topic and joined["time"] >= before - 1_000
        assert joined["member"]["data"] == {"name": "Ann"} and joined["member"]["id"]
        member.ask("presence", topic=topic, action="update", data={"name": "Ann", "away": True})
        updated = client.take(1, "presence")[0]
        assert updated["change"] == "update" and updated["member"]["data"] == {"name": "Ann", "away": True}
        [listed] = client.ask("presence", topic=topic, action="list")["members"]
        assert listed["id"] == joined["member"]["id"] and listed["data"] == {"name": "Ann", "away": True}
        assert listed["since"] >= before - 1_000
        member.ask("presence", topic=topic, action="leave")
        left = client.take(1, "presence")[0]
        assert left["change"] == "leave" and left["member"]["id"] == joined["member"]["id"]
        assert client.ask("presence", topic=topic, action="list")["members"] == []
        assert number != client.welcome["connection"]
    client.quiet()


def test_presence_is_not_sent_unasked(server, client, topic):
    client.subscribe(topic)
    with Client(server) as member:
        member.ask("presence", topic=topic, action="enter")
    client.quiet()


def test_members_page(server, topic):
    clients = [Client(server) for _ in range(5)]
    for number, client in enumerate(clients):
        client.ask("presence", topic=topic, action="enter", data=number)
    seen, after = [], {}
    while True:
        page = clients[0].ask("presence", topic=topic, action="list", limit=2, **after)
        assert len(page["members"]) <= 2
        seen += page["members"]
        if "after" not in page:
            break
        assert page["after"] == page["members"][-1]["id"]
        after = {"after": page["after"]}
    assert sorted(member["data"] for member in seen) == list(range(5))
    assert len({member["id"] for member in seen}) == 5
    for client in clients:
        client.close()


def test_a_lease_outlives_a_connection_that_is_gone():
    with Server(config="[spaces.default]\npresence_lease_ms = 1500\n") as server, Client(server) as watcher:
        watcher.subscribe("lease", presence=True)
        member = Client(server)
        member.ask("presence", topic="lease", action="enter", data=1)
        assert watcher.take(1, "presence")[0]["change"] == "join"
        gone = time.monotonic()
        member.close()
        assert len(watcher.ask("presence", topic="lease", action="list")["members"]) == 1
        assert watcher.take(1, "presence")[0]["change"] == "leave"
        assert 1 < time.monotonic() - gone < 6
        assert watcher.ask("presence", topic="lease", action="list")["members"] == []


def test_history_pages(client, topic):
    for number in range(25):
        client.publish(topic, str(number))
    seen, since, more, pages = [], {}, True, 0
    while more:
        page = client.ask("history", topic=topic, limit=10, **since)
        assert page["recovered"] is True and len(page["messages"]) <= 10
        seen += texts(page["messages"])
        since, more, pages = {"since": page["position"]}, page["more"], pages + 1
    assert seen == [str(number) for number in range(25)] and pages >= 3
    assert all("type" not in message for message in page["messages"])
    assert client.ask("history", topic=topic, **since)["messages"] == []


def test_history_of_a_pattern_and_the_default_limit(client, topic):
    for number in range(120):
        client.send("publish", topic=f"{topic}/{number % 7}", text=str(number))
    page = client.ask("history", pattern=f"{topic}/+")
    assert texts(page["messages"]) == [str(number) for number in range(100)] and page["more"] is True
    page = client.ask("history", pattern=f"{topic}/+", since=page["messages"][49]["position"])
    assert texts(page["messages"]) == [str(number) for number in range(50, 120)]


def test_order_of_one_publisher(server, client, topic):
    client.subscribe(topic)
    with Client(server) as publisher:
        for number in range(2_000):
            publisher.send("publish", id=number, topic=topic, text=str(number))
        acknowledged = [publisher.read() for _ in range(2_000)]
    assert [frame["id"] for frame in acknowledged] == list(range(2_000))
    messages = client.take(2_000)
    assert texts(messages) == [str(number) for number in range(2_000)]
    assert [message["position"] for message in messages] == [frame["position"] for frame in acknowledged]


def test_every_reader_sees_the_same_order(server, topic):
    readers = [Client(server) for _ in range(3)]
    for reader in readers:
        reader.subscribe(topic)
    writers = [Client(server) for _ in range(4)]
    for number in range(100):
        for index, writer in enumerate(writers):
            writer.send("publish", topic=topic, text=f"{index}-{number}")
    orders = [reader.texts(400) for reader in readers]
    assert orders[0] == orders[1] == orders[2]
    for index in range(4):
        assert [text for text in orders[0] if text.startswith(f"{index}-")] == [f"{index}-{n}" for n in range(100)]
    for one in readers + writers:
        one.close()


def test_resume_inside_connect(server, client, topic):
    first = client.publish(f"{topic}/a", "1")["position"]
    client.publish(f"{topic}/b", "2")
    resume = [
        {"topic": f"{topic}/a", "since": "all"},
        {"pattern": f"{topic}/+", "since": first},
        {"topic": "", "since": "all"},
        {"topic": f"{topic}/c", "space": "other"},
    ]
    with Client(server, resume=resume) as reader:
        a, rest, broken, other = reader.welcome["resumed"]
        assert a["topic"] == f"{topic}/a" and a["recovered"] is True and a["position"]
        assert rest["pattern"] == f"{topic}/+" and rest["recovered"] is True
        assert broken["code"] == "invalid_topic" and broken["retry"] is False
        assert other["space"] == "other" and "recovered" not in other
        assert sorted(reader.texts(2)) == ["1", "2"]
        client.publish(f"{topic}/a", "3")
        assert reader.texts(1) == ["3"]
        reader.quiet()


def test_data_with_line_breaks_between_its_tokens(client, topic):
    client.subscribe(topic)
    client.socket.send('{"type": "publish",\n "topic": "%s", "data": {\r\n "a":\n1}}' % topic)
    assert client.take(1)[0]["data"] == {"a": 1}


BAD_REQUESTS = [
    '{"type": "subscribe", "id": 7}',
    '{"type": "subscribe", "id": 7, "topic": "a", "pattern": "b"}',
    '{"type": "subscribe", "id": 7, "topic": "a", "since": "yesterday"}',
    '{"type": "publish", "id": 7, "text": "a"}',
    '{"type": "publish", "id": 7, "topic": "a"}',
    '{"type": "publish", "id": 7, "topic": "a", "text": "a", "data": null}',
    '{"type": "publish", "id": 7, "topic": "a", "base64": "*"}',
    '{"type": "publish", "id": 7, "topic": "a", "text": "a", "properties": {"a": 1}}',
    '{"type": "presence", "id": 7, "topic": "a"}',
    '{"type": "presence", "id": 7, "action": "list"}',
    '{"type": "presence", "id": 7, "topic": "a", "action": "dance"}',
    '{"type": "history", "id": 7}',
    '{"type": "history", "id": 7, "topic": "a", "since": "x-y"}',
    '{"type": "refresh", "id": 7}',
    '{"type": "connect", "id": 7}',
]


@pytest.mark.parametrize("text", BAD_REQUESTS, ids=range(len(BAD_REQUESTS)))
def test_bad_request(client, text):
    client.socket.send(text)
    error = client.next()
    assert (error["type"], error["code"], error["retry"], error["id"]) == ("error", "bad_request", False, 7)
    assert error["message"]
    client.quiet()


NOT_FRAMES = ["", "null", "[]", "{", '{"id": 7}', '{"type": 1}', '{"type": "ping", "id": -1}', '{"type": "ping", "id": "a"}']


@pytest.mark.parametrize("text", NOT_FRAMES, ids=range(len(NOT_FRAMES)))
def test_not_a_frame(client, text):
    client.socket.send(text)
    error = client.next()
    assert (error["type"], error["code"], error["retry"]) == ("error", "bad_request", False)
    client.quiet()


def test_a_field_of_the_wrong_kind_is_named_and_the_id_repeated(client):
    client.send("publish", id=7, topic=["a"], text="a")
    error = client.next()
    assert error["code"] == "bad_request" and "topic" in error["message"]
    assert error.get("id") == 7


OTHER_ERRORS = [
    ("unknown_type", {"type": "dance"}),
    ("invalid_topic", {"type": "subscribe", "topic": ""}),
    ("invalid_topic", {"type": "subscribe", "topic": "a/+"}),
    ("invalid_topic", {"type": "publish", "topic": "a\u0000", "text": ""}),
    ("invalid_topic", {"type": "publish", "topic": "a" * 1_025, "text": ""}),
    ("invalid_pattern", {"type": "subscribe", "pattern": "a/#/b"}),
    ("invalid_pattern", {"type": "subscribe", "pattern": "a+"}),
    ("invalid_space", {"type": "subscribe", "topic": "a", "space": ""}),
    ("invalid_space", {"type": "publish", "topic": "a", "space": "a/b", "text": ""}),
    ("not_subscribed", {"type": "unsubscribe", "topic": "never"}),
    ("message_too_large", {"type": "publish", "topic": "a", "text": "x" * ((1 << 20) + 1)}),
    ("token_malformed", {"type": "refresh", "token": "nonsense"}),
]


@pytest.mark.parametrize("code,frame", OTHER_ERRORS, ids=[f"{n}-{code}" for n, (code, _) in enumerate(OTHER_ERRORS)])
def test_error(client, code, frame):
    client.socket.send(json.dumps({"id": 9, **frame}))
    error = client.next()
    assert (error["type"], error["code"], error["retry"], error["id"]) == ("error", code, False, 9)
    assert error["message"] and "retry_ms" not in error
    client.quiet()


def test_unknown_fields_are_ignored(client, topic):
    assert client.subscribe(topic, colour="red")["type"] == "subscribed"


def test_the_largest_message_and_topic_pass(client):
    topic = "t" * 1_024
    client.subscribe(topic)
    client.publish(topic, "x" * (1 << 20))
    assert len(client.take(1)[0]["text"]) == 1 << 20


def test_not_connected(server):
    with Client(server, hello=False) as client:
        error = refusal(client.subscribe, "a")
        assert error["code"] == "not_connected" and error["retry"] is False
        assert client.connect()["type"] == "welcome"


def test_a_broken_token_in_connect_leaves_the_connection(server):
    with Client(server, hello=False) as client:
        with pytest.raises(Refused, match="token_malformed"):
            client.connect(token="nonsense")
        assert client.connect()["type"] == "welcome"


def test_too_many_subscriptions_and_rate_limited():
    config = "[limits]\nsubscriptions = 3\npublish_per_second = 5\npublish_burst = 5\n"
    with Server(config=config) as server, Client(server) as client:
        assert client.welcome["limits"]["subscriptions"] == 3
        assert client.welcome["limits"]["publish_per_second"] == 5
        for name in "abc":
            client.subscribe(name)
        error = refusal(client.subscribe, "d")
        assert error["code"] == "too_many_subscriptions" and error["retry"] is False and "3" in error["message"]
        client.ask("unsubscribe", topic="a")
        client.subscribe("d")
        answers = []
        for number in range(20):
            client.send("publish", id=1_000 + number, topic="x", text="x")
        for _ in range(20):
            answers.append(client.read())
        refused = [frame for frame in answers if frame["type"] == "error"]
        assert 10 <= len(refused) <= 15
        assert all(frame["code"] == "rate_limited" and frame["retry"] and frame["retry_ms"] > 0 for frame in refused)
        # The bucket fills again.
        deadline = time.monotonic() + 5
        while True:
            try:
                client.publish("x", "y")
                break
            except Refused as refused:
                assert refused.code == "rate_limited" and time.monotonic() < deadline
                time.sleep(refused.frame["retry_ms"] / 1_000)


def test_too_many_spaces():
    with Server(config="[limits]\nspaces = 3\n") as server, Client(server) as client:
        codes = []
        for number in range(6):
            try:
                client.publish("a", "x", space=f"s{number}")
            except Refused as refused:
                codes.append((refused.code, refused.frame["retry"]))
        assert codes and set(codes) == {("too_many_spaces", False)}


def test_binary_frames_are_refused(server):
    with Client(server) as client:
        client.socket.send(b'{"type":"ping"}')
        bye, code = client.ending()
        assert (bye["type"], bye["code"], bye["retry"], code) == ("bye", "protocol_error", False, 1003)
        assert bye["message"]


def test_frames_that_are_too_large_end_the_connection(server):
    with Client(server) as client:
        client.socket.send("x" * ((2 << 20) + 1))
        bye, code = client.ending()
        assert (bye["type"], bye["code"], bye["retry"], code) == ("bye", "protocol_error", False, 1009)


def test_who_says_nothing_is_shown_out():
    with Server(config="[limits]\nhandshake_timeout_ms = 300\n") as server:
        with Client(server, hello=False) as client:
            begin = time.monotonic()
            bye, code = client.ending(5)
            assert (bye["type"], bye["code"], bye["retry"], code) == ("bye", "connect_timeout", True, 1008)
            assert 0.2 < time.monotonic() - begin < 4
        with Client(server) as client:
            time.sleep(0.6)
            client.quiet()


def test_silence_for_two_ping_intervals_ends_the_connection():
    with Server(config="[limits]\nping_interval_ms = 400\n") as server, Client(server) as client:
        assert client.welcome["ping_ms"] == 400
        # This library answers pings by itself, so it stays.
        time.sleep(1.5)
        client.quiet()


def test_refresh_in_development_mode(client):
    error = refusal(client.ask, "refresh", token="a.b.c")
    assert error["code"].startswith("token_") and error["retry"] is False
