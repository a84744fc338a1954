"""Device shadows, by the shadow client of AWS's device SDK and by boto3."""

import json
import threading
import uuid
from contextlib import contextmanager

import pytest
import requests
from awscrt import mqtt5, mqtt_request_response
from awsiot import ServiceStreamOptions, V2ServiceException, iotshadow
from fanfare import Server
from iot import Device, data_plane, device

SECONDS = 15


@contextmanager
def shadow_client(server):
    """The SDK's shadow client over MQTT 5, without TLS."""
    up, down = threading.Event(), threading.Event()
    options = mqtt5.ClientOptions(
        host_name="127.0.0.1",
        port=server.mqtt_port,
        connect_options=mqtt5.ConnectPacket(client_id=f"crt-{uuid.uuid4()}", keep_alive_interval_sec=60),
        on_lifecycle_event_connection_success_fn=lambda data: up.set(),
        on_lifecycle_event_stopped_fn=lambda data: down.set(),
    )
    client = mqtt5.Client(options)
    client.start()
    assert up.wait(SECONDS)
    limits = mqtt_request_response.ClientOptions(max_request_response_subscriptions=8, max_streaming_subscriptions=8)
    limits.operation_timeout_in_seconds = SECONDS
    try:
        yield iotshadow.IotShadowClientV2(client, limits)
    finally:
        client.stop()
        assert down.wait(SECONDS)


@contextmanager
def stream(open_stream, request):
    """What comes on one of the SDK's streams."""
    heard, ready = [], threading.Event()

    def on_status(event):
        ready.set()

    options = ServiceStreamOptions(
        incoming_event_listener=heard.append, subscription_status_listener=on_status
    )
    operation = open_stream(request, options)
    operation.open()
    assert ready.wait(SECONDS)
    yield heard


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


def test_get_of_nothing(server):
    """C54: the SDK gets its modeled error, with its token and the text of AWS."""
    with shadow_client(server) as shadows:
        for request, get, name in [
            (iotshadow.GetShadowRequest(thing_name="c54"), shadows.get_shadow, "c54"),
            (iotshadow.GetNamedShadowRequest(thing_name="c54", shadow_name="n"), shadows.get_named_shadow, "n"),
        ]:
            with pytest.raises(V2ServiceException) as raised:
                get(request).result(SECONDS)
            error = raised.value.modeled_error
            assert (error.code, error.message) == (404, f"No shadow exists with name: '{name}'")
            assert error.client_token == request.client_token


def test_updates(server):
    """C55: a difference is told once, documents twice, and each update adds one to the version."""
    thing = "c55"
    with shadow_client(server) as shadows, device(server, "c55-watch", f"$aws/things/{thing}/shadow/update/+") as watch:
        deltas = iotshadow.ShadowDeltaUpdatedSubscriptionRequest(thing_name=thing)
        with stream(shadows.create_shadow_delta_updated_stream, deltas) as heard:
            update = lambda **state: shadows.update_shadow(  # noqa: E731
                iotshadow.UpdateShadowRequest(thing_name=thing, state=iotshadow.ShadowState(**state))
            ).result(SECONDS)
            first = update(desired={"color": "red", "deep": {"n": 1}})
            assert (first.version, first.state.desired) == (1, {"color": "red", "deep": {"n": 1}})
            second = update(reported={"color": "red", "deep": {"n": 1}})
            assert (second.version, second.state.desired) == (2, None)
            said = [watch.next() for _ in range(5)]
            kinds = [message.topic.rsplit("/", 1)[1] for message in said]
            assert sorted(kinds) == ["accepted"] * 2 + ["delta"] + ["documents"] * 2
            documents = [json.loads(message.payload) for message in said if message.topic.endswith("documents")]
            assert [(one["previous"]["version"], one["current"]["version"]) for one in documents] == [(0, 1), (1, 2)]
            got = shadows.get_shadow(iotshadow.GetShadowRequest(thing_name=thing)).result(SECONDS)
            assert (got.version, got.state.delta) == (2, None)
            assert got.state.reported == {"color": "red", "deep": {"n": 1}}
            [delta] = heard
            assert (delta.version, delta.state) == (1, {"color": "red", "deep": {"n": 1}})
        deleted = shadows.delete_shadow(iotshadow.DeleteShadowRequest(thing_name=thing)).result(SECONDS)
        assert deleted.version == 2


def test_conflict_and_bad_requests(server):
    """C55: what is refused is refused in AWS's words, and changes nothing."""
    with shadow_client(server) as shadows:
        update = lambda **fields: shadows.update_named_shadow(  # noqa: E731
            iotshadow.UpdateNamedShadowRequest(thing_name="bad", shadow_name="n", **fields)
        ).result(SECONDS)
        assert update(state=iotshadow.ShadowState(desired={"a": 1})).version == 1
        with pytest.raises(V2ServiceException) as raised:
            update(state=iotshadow.ShadowState(desired={"a": 2}), version=7)
        assert raised.value.modeled_error.code == 409
    topic = "$aws/things/bad/shadow/name/n/update"
    with device(server, "bad-1", f"{topic}/rejected") as client:
        for payload, code in [(b"{", 400), (b"\xff", 415), (b"{}", 400), (b"x" * 140_000, 413)]:
            client.publish(topic, payload)
            assert json.loads(client.next().payload)["code"] == code
        answer = requests.get(f"{server.url}/things/bad/shadow?name=n", timeout=10).json()
        assert (answer["version"], answer["state"]["desired"]) == (1, {"a": 1})


def test_http_tells_mqtt(server):
    """C56: an update over HTTP is told to those who listen over MQTT, and one over MQTT is seen over HTTP."""
    boto = data_plane(server)
    prefix = "$aws/things/both/shadow"
    with device(server, "both-1", f"{prefix}/update/#", f"{prefix}/delete/#", f"{prefix}/get/#") as client:
        boto.update_thing_shadow(thingName="both", payload=b'{"state":{"desired":{"n":1}}}')
        topics = [client.next().topic.removeprefix(f"{prefix}/") for _ in range(3)]
        assert sorted(topics) == ["update/accepted", "update/delta", "update/documents"]
        boto.get_thing_shadow(thingName="both")
        boto.delete_thing_shadow(thingName="both")
        assert client.next().topic == f"{prefix}/delete/accepted", "nobody is told who reads over HTTP"
        client.publish(f"{prefix}/update", b'{"state":{"reported":{"n":2}}}')
        whole = json.loads(boto.get_thing_shadow(thingName="both")["payload"].read())
        assert (whole["version"], whole["state"]) == (2, {"reported": {"n": 2}})
        # The request is a message for its own subscribers, too.
        assert client.next().topic == f"{prefix}/update"


def test_answers_are_the_servers():
    """C55: clients do not publish answers, and requests of one thing are answered in their order."""
    with Server() as server, device(server, "order", "$aws/things/o/shadow/update/accepted") as client:
        refused = client.client.publish("$aws/things/o/shadow/update/accepted", b"{}", qos=1)
        for number in range(30):
            client.publish("$aws/things/o/shadow/update", json.dumps({"state": {"reported": {"n": number}}}))
        versions = [json.loads(client.next().payload)["version"] for _ in range(30)]
        assert versions == list(range(1, 31))
        assert refused.is_published() and client.messages.empty()


def test_too_many_under_way():
    """C55: a thing with more than 10 requests under way is told so, by name."""
    with Server() as server:
        with device(server, "flood", "$aws/things/f/shadow/update/+") as client:
            payload = json.dumps({"state": {"reported": {"n": 1}}})
            sent = [client.client.publish("$aws/things/f/shadow/update", payload, qos=1) for _ in range(200)]
            for one in sent:
                one.wait_for_publish(10)
            codes = []
            while len(codes) < 200:
                message = client.next()
                if message.topic.endswith("accepted"):
                    codes.append(200)
                elif message.topic.endswith("rejected"):
                    codes.append(json.loads(message.payload)["code"])
            assert set(codes) <= {200, 429}
            answer = requests.get(f"{server.url}/things/f/shadow", timeout=10).json()
            assert answer["version"] == codes.count(200)


def test_limit():
    """C56: one shadow more than the limit is refused by name."""
    with Server(config="[iot]\nshadows = 2\n") as server:
        put = lambda thing: requests.post(  # noqa: E731
            f"{server.url}/things/{thing}/shadow", data='{"state":{"desired":{"n":1}}}', timeout=10
        )
        assert [put(thing).status_code for thing in ["a", "b", "c", "a"]] == [200, 200, 429, 200]
        assert "iot.shadows" in put("c").json()["message"]


def test_kill_after_acknowledgement():
    """C55: whatever was acknowledged is there after a kill -9, over MQTT as over HTTP."""
    with Server() as server:
        boto = data_plane(server)
        for round_number in range(3):
            client = Device(server, "killer")
            for number in range(20):
                state = {"state": {"reported": {"n": number, "round": round_number}}}
                client.publish(f"$aws/things/k{number % 4}/shadow/update", json.dumps(state))
            boto.update_thing_shadow(thingName="h", payload=json.dumps({"state": {"desired": {"r": round_number}}}))
            if round_number == 1:
                boto.delete_thing_shadow(thingName="h")
            server.restart()
            client.client.loop_stop()
            boto = data_plane(server)
            for number in range(16, 20):
                whole = requests.get(f"{server.url}/things/k{number % 4}/shadow", timeout=10).json()
                assert whole["state"]["reported"] == {"n": number, "round": round_number}
                assert whole["version"] == 5 * (round_number + 1)
            answer = requests.get(f"{server.url}/things/h/shadow", timeout=10)
            assert answer.status_code == (404 if round_number == 1 else 200), answer.text
        assert answer.json()["version"] == 3
