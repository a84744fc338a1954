"""The HTTP data plane, by boto3."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest
import requests
from commands import run
from fanfare import Server, binary, wait_until
from iot import Device, data_plane, device

SECRET = "a secret of thirty-two bytes or more"


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def boto(server):
    return data_plane(server)


def test_publish(server, boto):
    """C50: what boto3 publishes arrives, with the quality that it was given."""
    with device(server, "c50", "a/b") as reader:
        answer = boto.publish(topic="a/b", qos=1, payload=b"hi")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        message = reader.next()
        assert (message.topic, message.payload, message.qos) == ("a/b", b"hi", 1)
        boto.publish(topic="a/b", payload=b"low")
        assert (reader.next().qos, reader.messages.empty()) == (0, True)
    raw = requests.post(f"{server.url}/topics/a/b?qos=1", data=b"hi", timeout=10)
    assert (raw.status_code, raw.json()["message"]) == (200, "OK")
    assert len(raw.json()["traceId"]) == 36


def test_topics_in_paths(server):
    """C50: paths are decoded once, with or without escapes."""
    with device(server, "paths", "a/#", "/a/#") as reader:
        for path, topic in [("a/b", "a/b"), ("a%2Fb%20c", "a/b c"), ("a/%2525", "a/%25"), ("/a/", "/a/")]:
            assert requests.post(f"{server.url}/topics/{path}?qos=1", data=b"x", timeout=10).status_code == 200
            assert reader.next().topic == topic


@pytest.mark.parametrize(
    "path, status, name",
    [
        ("topics/a%2B?qos=1", 200, None),
        ("topics/a/+", 400, "InvalidRequestException"),
        ("topics/a?qos=2", 400, "InvalidRequestException"),
        ("topics/$SYS/a", 400, "InvalidRequestException"),
        ("topics/a?retain=perhaps", 400, "InvalidRequestException"),
        ("topics/a?responseTopic=%23", 400, "InvalidRequestException"),
        ("retainedMessage/a", 405, "MethodNotAllowedException"),
        ("connections/c/others", 404, "ResourceNotFoundException"),
    ],
)
def test_errors(server, path, status, name):
    """C50: errors have the status, the header and the body that SDKs read."""
    if status == 200:
        path = path.replace("%2B", "")
    answer = requests.post(f"{server.url}/{path}", data=b"x", timeout=10)
    assert answer.status_code == status, answer.text
    if name:
        assert answer.headers["x-amzn-errortype"] == name
        assert set(answer.json()) == {"message", "traceId"}


def test_body_limit():
    """C50: a body over its limit is refused by name."""
    with Server(config="[limits]\nmessage_bytes = 1024\nframe_bytes = 1024\n") as small:
        boto = data_plane(small)
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            boto.publish(topic="a", qos=1, payload=b"x" * 1025)
        assert raised.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
        boto.publish(topic="a", qos=1, payload=b"x" * 1024)


def test_retained(boto):
    """C52: retained messages are read one by one and page by page."""
    for number in range(5):
        boto.publish(topic=f"kept/{number}", qos=1, retain=True, payload=b"v%d" % number)
    properties = json.dumps([{"b": "1"}, {"a": "2"}])
    boto.publish(topic="kept/0", qos=1, retain=True, payload=b"\xff\x00", userProperties=properties)
    one = boto.get_retained_message(topic="kept/0")
    assert (one["topic"], one["payload"], one["qos"]) == ("kept/0", b"\xff\x00", 1)
    assert one["lastModifiedTime"] > 1_700_000_000_000
    assert json.loads(one["userProperties"]) == [{"b": "1"}, {"a": "2"}]
    pages = list(boto.get_paginator("list_retained_messages").paginate(PaginationConfig={"PageSize": 2}))
    found = [row for page in pages for row in page["retainedTopics"]]
    assert [row["topic"] for row in found] == [f"kept/{number}" for number in range(5)]
    assert found[1] == {"topic": "kept/1", "payloadSize": 2, "qos": 1, "lastModifiedTime": found[1]["lastModifiedTime"]}
    boto.publish(topic="kept/3", qos=1, retain=True, payload=b"")
    with pytest.raises(boto.exceptions.ResourceNotFoundException):
        boto.get_retained_message(topic="kept/3")


def test_delete_connection(server, boto):
    """C53: a connection is deleted with its session, and without its will."""
    with device(server, "watcher", "gone/#") as watcher:
        victim = Device(server, "c53/x", clean=False, expiry=600, will=("gone/c53", b"will"))
        victim.subscribe("some/topic")
        boto.delete_connection(clientId="c53/x", cleanSession=True, preventWillMessage=True)
        assert victim.left.get(timeout=10).value == 0x98
        victim.client.loop_stop()
        with pytest.raises(boto.exceptions.ResourceNotFoundException):
            boto.get_connection(clientId="c53/x")
        again = Device(server, "c53/x", clean=False, expiry=600)
        assert not again.flags.session_present
        again.close()
        # With its session kept, and its will.
        victim = Device(server, "c53/y", clean=False, expiry=600, will=("gone/y", b"will"))
        boto.delete_connection(clientId="c53/y")
        assert watcher.next().topic == "gone/y"
        victim.client.loop_stop()
        left = boto.get_connection(clientId="c53/y")
        assert (left["connected"], left["disconnectReason"]) == (False, "API_INITIATED_DISCONNECT")
        boto.delete_connection(clientId="c53/y", cleanSession=True)
        with pytest.raises(boto.exceptions.ResourceNotFoundException):
            boto.delete_connection(clientId="c53/y", cleanSession=True)
        assert watcher.messages.empty()


def test_get_connection(server, boto):
    """C53: what is known of a connection, and what it subscribes to."""
    with device(server, "known", "b/#", "a", "c", clean=False, expiry=300) as known:
        one = boto.get_connection(clientId="known", includeSocketInformation=True)
        assert (one["connected"], one["cleanSession"], one["sessionExpiry"]) == (True, False, 300)
        assert (one["keepAliveDuration"], one["sourceIp"], one["clientId"]) == (60, "127.0.0.1", "known")
        assert one["sourcePort"] == known.client.socket().getsockname()[1]
        assert "sourceIp" not in boto.get_connection(clientId="known")
        first = boto.list_subscriptions(clientId="known", maxResults=2)
        assert first["subscriptions"] == [{"topicFilter": "a", "qos": 1}, {"topicFilter": "b/#", "qos": 1}]
        rest = boto.list_subscriptions(clientId="known", maxResults=2, nextToken=first["nextToken"])
        assert (rest["subscriptions"], rest.get("nextToken")) == ([{"topicFilter": "c", "qos": 1}], None)
    wait_until(lambda: not boto.get_connection(clientId="known")["connected"], "the leaving")
    away = boto.get_connection(clientId="known")
    assert away["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT"
    assert len(boto.list_subscriptions(clientId="known")["subscriptions"]) == 3


def test_direct_message(server, boto):
    """C53: a message for one client reaches it without a subscription, and its acknowledgement is awaited."""
    with device(server, "told") as told, device(server, "other", "for/#") as other:
        answer = boto.send_direct_message(
            clientId="told", topic="for/you", payload=b"psst", confirmation=True, timeout=5, contentType="text/plain"
        )
        assert answer["message"] == "OK"
        message = told.next()
        assert (message.topic, message.payload, message.qos) == ("for/you", b"psst", 1)
        assert message.properties.ContentType == "text/plain"
        boto.send_direct_message(clientId="told", topic="for/you", payload=b"low")
        assert told.next().qos == 0
        assert other.messages.empty()
        with pytest.raises(boto.exceptions.ResourceNotFoundException):
            boto.send_direct_message(clientId="nobody", topic="for/you", payload=b"x")
    # A client that never acknowledges.
    mute = Device(server, "mute")
    mute.client.manual_ack_set(True)
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        boto.send_direct_message(clientId="mute", topic="for/you", payload=b"x", confirmation=True, timeout=1)
    assert raised.value.response["Error"]["Code"] == "GatewayTimeoutException"
    mute.close()


def test_shadow_conflict(boto):
    """C56: an update with an old version is refused."""
    document = json.dumps({"state": {"desired": {"lamp": "on"}}})
    body = json.loads(boto.update_thing_shadow(thingName="c56", payload=document)["payload"].read())
    assert body["version"] == 1
    boto.update_thing_shadow(thingName="c56", payload=document)
    with pytest.raises(boto.exceptions.ConflictException):
        boto.update_thing_shadow(thingName="c56", payload=json.dumps({"state": {"desired": {}}, "version": 1}))
    whole = json.loads(boto.get_thing_shadow(thingName="c56")["payload"].read())
    assert whole["state"] == {"desired": {"lamp": "on"}, "delta": {"lamp": "on"}}
    boto.delete_thing_shadow(thingName="c56")
    with pytest.raises(boto.exceptions.ResourceNotFoundException):
        boto.get_thing_shadow(thingName="c56")
    body = json.loads(boto.update_thing_shadow(thingName="c56", payload=document)["payload"].read())
    assert body["version"] == 3, "a deleted shadow's versions do not come back"


def test_named_shadows(boto):
    """C56: named shadows are listed page by page; the classic one is not among them."""
    document = json.dumps({"state": {"desired": {"n": 1}}})
    boto.update_thing_shadow(thingName="many", payload=document)
    for name in ["b", "a", "$c"]:
        boto.update_thing_shadow(thingName="many", shadowName=name, payload=document)
    boto.update_thing_shadow(thingName="many2", shadowName="z", payload=document)
    first = boto.list_named_shadows_for_thing(thingName="many", pageSize=2)
    assert (first["results"], first["timestamp"] > 1_700_000_000) == (["$c", "a"], True)
    rest = boto.list_named_shadows_for_thing(thingName="many", pageSize=2, nextToken=first["nextToken"])
    assert (rest["results"], rest.get("nextToken")) == (["b"], None)


def test_tokens_and_rights():
    """C50: with keys, nobody comes in without a credential, and rules decide."""
    with Server(config=f"[auth]\nkeys = [{{id = 'main', secret = '{SECRET}'}}]\n") as server:
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            data_plane(server).publish(topic="a", payload=b"x")
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert requests.get(f"{server.url}/retainedMessage/a", timeout=10).status_code == 401
        rules = ["--allow", "publish:default/a", "--allow", "subscribe:default/a"]
        token = run(binary(), "token", "--config", server.config, *rules).decode().strip()
        bearer = {"Authorization": f"Bearer {token}"}
        publish = lambda topic: requests.post(  # noqa: E731
            f"{server.url}/topics/{topic}?qos=1&retain=true", data=b"x", headers=bearer, timeout=10
        )
        assert (publish("a").status_code, publish("b").status_code) == (200, 403)
        kept = requests.get(f"{server.url}/retainedMessage/a", headers=bearer, timeout=10)
        assert base64.b64decode(kept.json()["payload"]) == b"x"
        refused = requests.delete(f"{server.url}/connections/c", headers=bearer, timeout=10)
        assert (refused.status_code, refused.headers["x-amzn-errortype"]) == (403, "ForbiddenException")


def test_endpoint(server):
    """C50: the endpoint is the host by which it was asked."""
    answer = requests.get(f"{server.url}/endpoint?endpointType=iot:Data-ATS", timeout=10)
    assert answer.json() == {"endpointAddress": f"127.0.0.1:{server.port}"}


POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/mine/*"},
        {"Effect": "Allow", "Action": "iot:GetThingShadow", "Resource": "arn:aws:iot:*:*:thing/lamp"},
        {"Effect": "Allow", "Action": "iot:GetConnection", "Resource": "arn:aws:iot:*:*:client/known"},
    ],
}


def test_signatures_and_policies():
    """C50: access keys are checked, and policies decide about every operation."""
    config = f"""
[auth]
keys = [{{id = 'main', secret = '{SECRET}'}}]
[[aws.credentials]]
access_key_id = 'AKIDSIGNED'
secret = 'the secret of the key'
policies = ['p']
[[iot.policies]]
name = 'p'
document = '{json.dumps(POLICY)}'
"""
    with Server(config=config) as server:
        boto = data_plane(server, "AKIDSIGNED", "the secret of the key")
        assert boto.publish(topic="mine/a b", qos=1, payload=b"x")["ResponseMetadata"]["HTTPStatusCode"] == 200
        with pytest.raises(boto.exceptions.ResourceNotFoundException):
            boto.get_thing_shadow(thingName="lamp")
        with pytest.raises(boto.exceptions.ResourceNotFoundException):
            boto.get_connection(clientId="known")
        for denied in [
            lambda: boto.publish(topic="others/a", payload=b"x"),
            lambda: boto.publish(topic="mine/a", payload=b"x", retain=True),
            lambda: boto.get_retained_message(topic="mine/a"),
            lambda: boto.list_retained_messages(),
            lambda: boto.get_thing_shadow(thingName="other"),
            lambda: boto.update_thing_shadow(thingName="lamp", payload=b"{}"),
            lambda: boto.delete_thing_shadow(thingName="lamp"),
            lambda: boto.list_named_shadows_for_thing(thingName="lamp"),
            lambda: boto.delete_connection(clientId="known"),
            lambda: boto.list_subscriptions(clientId="known"),
            lambda: boto.send_direct_message(clientId="known", topic="mine/a", payload=b"x"),
            lambda: data_plane(server, "AKIDSIGNED", "another secret").publish(topic="mine/a", payload=b"x"),
            lambda: data_plane(server, "AKIDUNKNOWN", "anything").publish(topic="mine/a", payload=b"x"),
        ]:
            with pytest.raises(botocore.exceptions.ClientError) as raised:
                denied()
            error = raised.value.response
            assert error["ResponseMetadata"]["HTTPStatusCode"] == 403, error
            assert error["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"] == "ForbiddenException"


def test_direct_message_limit():
    """C53: one direct message more than may wait is refused by name."""
    with Server(config="[iot]\ndirect_messages = 1\n") as server:
        boto = data_plane(server)
        mute = Device(server, "mute")
        mute.client.manual_ack_set(True)
        send = lambda seconds: boto.send_direct_message(  # noqa: E731
            clientId="mute", topic="t", payload=b"x", confirmation=True, timeout=seconds
        )
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(send, 3)
            mute.next()
            with pytest.raises(botocore.exceptions.ClientError) as raised:
                send(1)
            error = raised.value.response["Error"]
            assert error["Code"] == "ThrottlingException" and "iot.direct_messages" in error["Message"]
            assert server.metric("fanfare_limit_reached_total") == 1
            with pytest.raises(botocore.exceptions.ClientError):
                waiting.result(10)
        mute.close()
