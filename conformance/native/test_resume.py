"""A client that comes back with the position it holds: nothing is missing, nothing comes twice."""

import threading

import pytest
from fanfare import Server
from wire import Client, texts


def publish_all(server, topic, numbers, **fields):
    """Pipelined and acknowledged; the positions."""
    with Client(server) as publisher:
        for number in numbers:
            publisher.send("publish", id=number, topic=topic, text=str(number), **fields)
        answers = [publisher.read() for _ in numbers]
    assert [answer["id"] for answer in answers] == list(numbers)
    return [answer["position"] for answer in answers]


def test_across_a_disconnect(server, topic):
    with Client(server) as reader:
        reader.subscribe(topic)
        publish_all(server, topic, range(10))
        place = reader.take(10)[-1]["position"]
    publish_all(server, topic, range(10, 30))
    with Client(server, resume=[{"topic": topic, "since": place}]) as reader:
        [resumed] = reader.welcome["resumed"]
        assert resumed["recovered"] is True
        publish_all(server, topic, range(30, 40))
        assert reader.texts(30) == [str(number) for number in range(10, 40)]
        reader.quiet()


def test_one_position_serves_all_topics_of_a_space(server, topic):
    with Client(server) as reader:
        reader.subscribe(f"{topic}/a")
        reader.subscribe(f"{topic}/b")
        publish_all(server, f"{topic}/a", [1])
        publish_all(server, f"{topic}/b", [2])
        place = reader.take(2)[-1]["position"]
    publish_all(server, f"{topic}/b", [3])
    publish_all(server, f"{topic}/a", [4])
    publish_all(server, f"{topic}/b", [5])
    resume = [{"topic": f"{topic}/a", "since": place}, {"topic": f"{topic}/b", "since": place}]
    with Client(server, resume=resume) as reader:
        assert [one["recovered"] for one in reader.welcome["resumed"]] == [True, True]
        messages = reader.take(3)
        assert texts([m for m in messages if m["topic"].endswith("b")]) == ["3", "5"]
        assert texts([m for m in messages if m["topic"].endswith("a")]) == ["4"]
        reader.quiet()


def test_overlapping_resumes_miss_nothing_and_go_on_once(server, topic):
    [place, *_] = publish_all(server, f"{topic}/a", range(50))
    resume = [{"topic": f"{topic}/a", "since": place}, {"pattern": f"{topic}/#", "since": place}]
    with Client(server, resume=resume) as reader:
        publish_all(server, f"{topic}/a", [50])
        seen = [reader.next()["text"]]
        while seen[-1] != "50":
            seen += reader.texts(1)
        # Each subscription may bring what it is owed from the past; what is live comes once.
        assert list(dict.fromkeys(seen)) == [str(number) for number in range(1, 51)]
        reader.quiet()


@pytest.mark.parametrize("stop", ["kill", "terminate"])
def test_across_a_restart(stop):
    with Server() as server:
        with Client(server) as reader:
            reader.subscribe("room")
            publish_all(server, "room", range(100))
            place = reader.take(50)[-1]["position"]
        getattr(server, stop)()
        server.start()
        with Client(server, resume=[{"topic": "room", "since": place}]) as reader:
            [resumed] = reader.welcome["resumed"]
            assert resumed["recovered"] is True
            publish_all(server, "room", range(100, 120))
            messages = reader.take(70)
            assert texts(messages) == [str(number) for number in range(50, 120)]
            assert len({message["position"] for message in messages}) == 70
            reader.quiet()


def test_what_is_retained_outlives_a_crash():
    with Server() as server:
        with Client(server) as client:
            client.publish("kept", "first", retain=True)
            client.publish("kept", "second", retain=True)
            client.publish("cleared", "gone", retain=True)
            client.publish("cleared", "", retain=True)
        server.kill()
        server.start()
        with Client(server) as client:
            client.subscribe(pattern="#")
            [message] = client.take(1)
            assert (message["topic"], message["text"], message["retained"]) == ("kept", "second", True)
            client.quiet()


def test_a_key_outlives_a_crash():
    with Server() as server:
        with Client(server) as client:
            first = client.publish("room", "once", key="k")
        server.kill()
        server.start()
        with Client(server) as client:
            again = client.publish("room", "once", key="k")
            assert again["duplicate"] is True and again["position"] == first["position"]
            assert texts(client.ask("history", topic="room")["messages"]) == ["once"]


def test_what_was_trimmed_is_said():
    with Server(config="[spaces.default.history]\ncount = 10\n") as server:
        positions = publish_all(server, "room", range(100))
        with Client(server) as reader:
            gone = reader.subscribe("room", since=positions[5])
            assert gone["recovered"] is False and gone["position"]
            reader.quiet()
            publish_all(server, "room", [100])
            assert reader.texts(1) == ["100"]
            assert reader.subscribe("room", since=gone["position"])["recovered"] is True
            assert reader.texts(1) == ["100"]
            assert reader.subscribe("room", since=positions[95])["recovered"] is True
            assert reader.texts(5) == [str(number) for number in range(96, 101)]
            history = reader.ask("history", topic="room", since=positions[5])
            assert history["recovered"] is False


def test_a_foreign_position_is_said(server, topic):
    [place] = publish_all(server, topic, [0])
    epoch, offset = place.split("-")
    foreign = f"{int(epoch, 16) ^ 1:x}-{offset}"
    with Client(server, resume=[{"topic": topic, "since": foreign}]) as reader:
        [resumed] = reader.welcome["resumed"]
        assert resumed["recovered"] is False and resumed["position"].split("-")[0] == epoch
        reader.quiet()
        publish_all(server, topic, [1])
        assert reader.texts(1) == ["1"]


def test_a_position_from_the_future_is_said(server, topic):
    [place] = publish_all(server, topic, [0])
    epoch, offset = place.split("-")
    with Client(server) as reader:
        assert reader.subscribe(topic, since=f"{epoch}-{int(offset) + 1_000_000}")["recovered"] is False
        publish_all(server, topic, [1])
        assert reader.texts(1) == ["1"]


def test_in_memory_a_restart_is_said():
    with Server(args=["--in-memory"]) as server:
        [place] = publish_all(server, "room", [0])
        server.restart()
        with Client(server, resume=[{"topic": "room", "since": place}]) as reader:
            assert reader.welcome["resumed"][0]["recovered"] is False


@pytest.mark.parametrize("memory", [64 << 20, 0], ids=["from memory", "from disk"])
def test_catching_up_while_publishing_goes_on(memory):
    config = f"[spaces.default.history]\ncount = 100000\nmemory_bytes = {memory}\n"
    with Server(config=config) as server:
        positions = publish_all(server, "room", range(5_000))
        resume = [{"topic": "room", "since": positions[0]}]
        halt = threading.Event()
        total = [5_000]

        def go_on():
            with Client(server) as publisher:
                while not halt.is_set():
                    publisher.publish("room", str(total[0]))
                    total[0] += 1

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            with Client(server) as early:
                early.subscribe("room", since="all")
                first = [early.next()["text"] for _ in range(4_999)]
                with Client(server, resume=resume) as reader:
                    assert reader.welcome["resumed"][0]["recovered"] is True
                    seen = reader.texts(5_200)
                    halt.set()
                    thread.join()
                    seen += reader.texts(total[0] - 5_201)
                    reader.quiet()
                first += early.texts(total[0] - 4_999)
                early.quiet()
        finally:
            halt.set()
            thread.join()
        assert seen == [str(number) for number in range(1, total[0])]
        assert first == [str(number) for number in range(total[0])]
