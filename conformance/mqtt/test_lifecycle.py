"""Events of clients that come and go, and the counters of the server."""

import json
import subprocess
from contextlib import ExitStack

from commands import lines_of, mosquitto_sub, run, running
from fanfare import Server, binary, wait_until
from iot import PROFILE, Device, data_plane, device

SECRET = "a secret of thirty-two bytes or more"


def events(process, count):
    return [json.loads(line) for line in lines_of(process)[:count]]


def test_killed_client():
    """C49: connected and disconnected share a version, and a killed client was lost."""
    with Server(config=PROFILE) as server:
        client = ["mosquitto_sub", "-h", "127.0.0.1", "-p", server.mqtt_port, "-i", "dev1", "-t", "x"]
        watch = lambda: mosquitto_sub(server, "$aws/events/presence/+/dev1", 2)  # noqa: E731
        seen = []
        for _ in range(2):
            with ExitStack() as watching, ExitStack() as living:
                watcher = server.subscribed(lambda: watching.enter_context(watch()))
                server.subscribed(lambda: living.enter_context(running(*client)))
                living.close()  # SIGKILL
                seen += events(watcher, 2)
        names = [event["eventType"] for event in seen]
        assert names == ["connected", "disconnected"] * 2
        assert [event["versionNumber"] for event in seen] == [0, 0, 1, 1]
        first, last = seen[:2]
        assert first["sessionIdentifier"] == last["sessionIdentifier"] != seen[2]["sessionIdentifier"]
        assert first["clientId"] == "dev1" and first["ipAddress"] == "127.0.0.1"
        assert first["principalIdentifier"] == "anonymous"
        assert first["timestamp"] <= last["timestamp"]
        assert (last["disconnectReason"], last["clientInitiatedDisconnect"]) == ("CONNECTION_LOST", False)


def test_other_endings():
    """C49: the reason of each ending, and what is subscribed to."""
    with Server(config=PROFILE) as server, device(server, "w", "$aws/events/+/+/d") as watcher:
        event = lambda: json.loads(watcher.next().payload)  # noqa: E731
        first = Device(server, "d")
        assert event()["eventType"] == "connected"
        first.subscribe("a", "b/#")
        subscribed = event()
        assert (subscribed["eventType"], subscribed["topics"]) == ("subscribed", ["a", "b/#"])
        first.client.unsubscribe(["a", "unknown"])
        unsubscribed = event()
        assert (unsubscribed["eventType"], unsubscribed["topics"]) == ("unsubscribed", ["a"])
        second = Device(server, "d")
        assert (event()["disconnectReason"], event()["versionNumber"]) == ("DUPLICATE_CLIENTID", 1)
        data_plane(server).delete_connection(clientId="d")
        assert event()["disconnectReason"] == "API_INITIATED_DISCONNECT"
        third = Device(server, "d")
        event()
        third.close()
        last = event()
        assert (last["disconnectReason"], last["clientInitiatedDisconnect"]) == ("CLIENT_INITIATED_DISCONNECT", True)
        for gone in (first, second):
            gone.client.loop_stop()


def test_refused_client():
    """C49: whoever is not let in is told of as well."""
    config = f"{PROFILE}[auth]\nkeys = [{{id = 'main', secret = '{SECRET}'}}]\n"
    with Server(config=config) as server:
        token = run(binary(), "token", "--config", server.config, "--allow", "subscribe:default/$aws/#").decode().strip()
        with device(server, "w", "$aws/events/presence/connect_failed/+", password=token) as watcher:
            wrong = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(server.mqtt_port), "-i", "bad", "-P", "x", "-u", "u"]
            done = subprocess.run([*wrong, "-t", "a", "-m", "x"], capture_output=True, timeout=20)
            assert done.returncode != 0
            event = json.loads(watcher.next().payload)
        assert (event["clientId"], event["connectFailureReason"]) == ("bad", "AUTHORIZATION_FAILED")
        assert event["ipAddress"] == "127.0.0.1" and event["sessionIdentifier"]


def test_events_are_off_in_the_standard_profile():
    """C49: without the profile nothing is said, unless it is switched on."""
    for config, expected in [("", 0), ("[iot]\nlifecycle_events = true\n", 1)]:
        with Server(config=config) as server, device(server, "w", "$aws/events/#", "mark") as watcher:
            with device(server, "d"):
                pass
            data_plane(server).publish(topic="mark", qos=1, payload=b"x")
            topics = [watcher.next().topic]
            while topics[-1] != "mark":
                topics.append(watcher.next().topic)
            assert ("$aws/events/presence/connected/d" in topics) == bool(expected), topics


def test_counters():
    """C29: `$SYS` is heard by name and not through `#`."""
    with Server(config="[mqtt]\nsys_interval_s = 1\n") as server:
        with device(server, "all", "#") as everything, device(server, "sys", "$SYS/broker/#") as sys:
            found = {}

            def is_seen():
                message = sys.next()
                found[message.topic.removeprefix("$SYS/broker/")] = message.payload.decode()
                return found.get("clients/connected") == "2" and found.get("subscriptions/count") == "2"

            wait_until(is_seen, "the counters", seconds=15)
            assert found["version"].startswith("fanfare version ")
            assert found["uptime"].endswith(" seconds")
            data_plane(server).publish(topic="mark", qos=1, payload=b"x")
            assert everything.next().topic == "mark"
        # They are there for whoever comes later, and nothing of them was written.
        with mosquitto_sub(server, "$SYS/broker/version", 1, "-F", "%r %p") as reader:
            assert lines_of(reader)[0].startswith("1 fanfare version ")
