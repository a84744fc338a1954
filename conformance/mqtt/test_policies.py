"""Policies of AWS IoT, and functions that decide about clients, with the AWS IoT Device SDK."""

import base64
import queue
import json
from concurrent.futures import Future

import pytest
from awscrt import auth, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from fanfare import Server
from hook import Hook
from identities import Authority

WAIT = 20
TIMEOUT_S = 5


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


CONNECT = allow("iot:Connect")
DEAF = policy(CONNECT, allow(["iot:Publish", "iot:Subscribe"]), allow("iot:Receive", "arn:aws:iot:*:*:topic/heard/*"))
OWN = policy(
    allow("iot:Connect", "arn:aws:iot:*:*:client/own-*"),
    {"Effect": "Deny", "Action": "iot:Connect", "Resource": "*",
     "Condition": {"ForAnyValue:StringEquals": {"iot:ConnectAttributes": ["PersistentConnect"]}}},
    allow("iot:Publish", "arn:aws:iot:*:*:topic/${iot:Certificate.Subject.CommonName}/${iot:ClientId}"),
)


def answer(event):
    """A function: by the user name it says yes, no, or something else."""
    user = event["protocolData"]["mqtt"].get("username", "").split("?")[0]
    if user == "denied":
        return {"isAuthenticated": False}
    if user == "odd":
        return {"isAuthenticated": True}
    return {
        "isAuthenticated": True, "principalId": "dev1", "disconnectAfterInSeconds": 3600, "refreshAfterInSeconds": 300,
        "policyDocuments": [json.dumps(policy(allow("iot:*")))],
    }


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("identities"))


@pytest.fixture(scope="module")
def token_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def hooks():
    with Hook(answer) as quick, Hook(answer, delay=TIMEOUT_S + 1.5) as slow:
        yield quick, slow


@pytest.fixture(scope="module")
def server(authority, token_key, hooks):
    own = authority.issue("server")
    pem = token_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key_file = authority.folder / "token-key.pem"
    key_file.write_bytes(pem)
    config = f"""
    [tls]
    cert = "{own.cert}"
    key = "{own.key}"
    client_ca = "{authority.file}"
    client_certificates = "optional"
    [mqtt]
    profile = "aws-iot"
    [[iot.policies]]
    name = "deaf"
    document = '{json.dumps(DEAF)}'
    [[iot.policies]]
    name = "own"
    document = '{json.dumps(OWN)}'
    [[mqtt.certificates]]
    common_name = "deaf"
    policies = ["deaf"]
    [[mqtt.certificates]]
    common_name = "own"
    policies = ["own"]
    [functions.quick]
    url = "{hooks[0].url}"
    [functions.slow]
    url = "{hooks[1].url}"
    [[iot.authorizers]]
    name = "plain"
    function = "quick"
    signing = false
    [[iot.authorizers]]
    name = "slow"
    function = "slow"
    signing = false
    [[iot.authorizers]]
    name = "signed"
    function = "quick"
    token_key = "k"
    token_key_files = ["{key_file}"]
    [[aws.credentials]]
    access_key_id = "AKIDEXAMPLE"
    secret = "a-secret"
    session_token = "a/session+token"
    policies = ["deaf"]
    """
    with Server(config=config) as server:
        yield server


class Client:
    """An MQTT 5 client of the SDK. `code` is the reason code of CONNACK, `settled` what it negotiated."""

    def __init__(self, build, server, authority, port=None, client_id="device", **options):
        self.outcome, self.messages, self.stopped = Future(), queue.Queue(), Future()
        trying = lambda data: self.outcome.done() or self.outcome.set_result(data)  # noqa: E731
        options = {
            "endpoint": "localhost", "port": port or server.port, "ca_filepath": str(authority.file), "client_id": client_id,
            "on_lifecycle_connection_success": trying, "on_lifecycle_connection_failure": trying,
            "on_lifecycle_stopped": lambda data: self.stopped.done() or self.stopped.set_result(data),
            "on_publish_received": lambda data: self.messages.put(data.publish_packet), **options,
        }
        self.client = build(**options)
        self.client.start()
        self.data = self.outcome.result(WAIT)

    @property
    def code(self):
        packet = self.data.connack_packet
        return int(packet.reason_code) if packet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop()
        self.stopped.result(WAIT)

    def publish(self, topic, payload=b"x", **options):
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE, **options)
        return int(self.client.publish(packet).result(WAIT).puback.reason_code)

    def subscribe(self, text):
        subscription = mqtt5.Subscription(topic_filter=text, qos=mqtt5.QoS.AT_LEAST_ONCE)
        packet = mqtt5.SubscribePacket(subscriptions=[subscription])
        return [int(code) for code in self.client.subscribe(packet).result(WAIT).reason_codes]


def with_certificate(server, authority, identity, **options):
    build = mqtt5_client_builder.mtls_from_path
    paths = {"cert_filepath": str(identity.cert), "pri_key_filepath": str(identity.key)}
    return Client(build, server, authority, **paths, **options)


@pytest.fixture(scope="module")
def deaf(authority):
    return authority.issue("deaf")


def test_certificates_on_any_port(server, authority, deaf):
    """C44: the SDK with a client certificate on the MQTT port and on the one port, ALPN x-amzn-mqtt-ca."""
    for port in (server.mqtt_port, server.port):
        with with_certificate(server, authority, deaf, port=port) as client:
            assert client.code == 0
            assert client.publish("heard/a") < 0x80


def test_certificates_with_mqtt_3(server, authority, deaf):
    """C44: the same over MQTT 3.1.1, whose user name begins with ?SDK=."""
    for port in (server.mqtt_port, server.port):
        connection = mqtt_connection_builder.mtls_from_path(
            endpoint="localhost", port=port, ca_filepath=str(authority.file), client_id="three", clean_session=True,
            cert_filepath=str(deaf.cert), pri_key_filepath=str(deaf.key), keep_alive_secs=30,
        )
        assert connection.connect().result(WAIT) == {"session_present": False}
        connection.publish("heard/three", b"x", mqtt.QoS.AT_LEAST_ONCE)[0].result(WAIT)
        connection.disconnect().result(WAIT)


def custom(server, authority, user, name="plain", **options):
    build = mqtt5_client_builder.direct_with_custom_authorizer
    return Client(
        build, server, authority, auth_username=user, auth_password=b"pass", auth_authorizer_name=name, **options
    )


def test_a_function_sees_what_the_client_shows(server, authority, token_key, hooks):
    """C45: user name whole, password in base64, the token and that its signature was verified."""
    token = "a token"
    signature = token_key.sign(token.encode(), padding.PKCS1v15(), hashes.SHA256())
    signature = base64.b64encode(signature).decode()
    before = len(hooks[0].events)
    options = {"auth_token_key_name": "k", "auth_token_value": token, "auth_authorizer_signature": signature}
    with custom(server, authority, "u?x=v", "signed", client_id="tokened", **options) as client:
        assert client.code == 0
        assert client.publish("anything") < 0x80
    event = hooks[0].events[before]
    assert event["signatureVerified"] is True
    assert event["token"] == token
    seen = event["protocolData"]["mqtt"]
    assert seen["username"].startswith("u?x=v")
    assert base64.b64decode(seen["password"]) == b"pass"
    assert seen["clientId"] == "tokened"
    assert event["protocolData"]["tls"]["serverName"] == "localhost"
    wrong = {**options, "auth_token_value": "another token"}
    with custom(server, authority, "u?x=v", "signed", **wrong) as client:
        assert client.code == 0x87
    assert len(hooks[0].events) == before + 1, "it was called all the same"


@pytest.mark.parametrize("user, name", [("denied", "plain"), ("odd", "plain"), ("u", "missing"), ("u", "slow")])
def test_whoever_is_not_granted_is_refused(server, authority, user, name):
    """C46: the function says no, answers something else, does not exist, or takes longer than 5 s."""
    with custom(server, authority, user, name) as client:
        assert client.code == 0x87


def test_a_refusal_with_mqtt_3(server, authority):
    """C46: MQTT 3.1.1 is told return code 5."""
    connection = mqtt_connection_builder.direct_with_custom_authorizer(
        endpoint="localhost", port=server.port, ca_filepath=str(authority.file), client_id="three", clean_session=True,
        auth_username="denied", auth_authorizer_name="plain", auth_password="pass", auth_authorizer_signature="",
    )
    with pytest.raises(Exception, match="UNEXPECTED_HANGUP|CONNECTION_REFUSED|protocol|refused|closed"):
        connection.connect().result(WAIT)


def test_what_may_not_be_received_is_not(server, authority, deaf):
    """C47: subscribing is allowed, receiving is not: SUBACK says yes and no message comes."""
    with with_certificate(server, authority, deaf, client_id="listener") as client:
        assert client.subscribe("#") == [1]
        assert client.publish("unheard/a", b"no") < 0x80
        assert client.publish("heard/a", b"yes") < 0x80
        assert client.messages.get(timeout=WAIT).payload == b"yes"
        assert client.messages.empty()


def test_keeping_needs_its_own_allowance(server, authority, deaf):
    """C48: a publish with RETAIN without iot:RetainPublish: 0x87, and nothing is kept."""
    with with_certificate(server, authority, deaf, client_id="keeper") as client:
        assert client.publish("heard/kept", b"kept", retain=True) == 0x87
        assert client.subscribe("heard/kept") == [1]
        assert client.publish("heard/kept", b"live") < 0x80
        assert client.messages.get(timeout=WAIT).payload == b"live"


def test_variables_and_conditions_hold_at_connect(server, authority):
    """Client ids by policy, sessions that last denied by a condition, and names of the certificate in topics."""
    own = authority.issue("own")
    with with_certificate(server, authority, own, client_id="own-1") as client:
        assert client.code == 0
        assert client.publish("own/own-1") < 0x80
        assert client.publish("own/own-2") == 0x87
        assert client.subscribe("own/#") == [0x87]
    with with_certificate(server, authority, own, client_id="other") as client:
        assert client.code == 0x87
    lasting = mqtt5.ConnectPacket(client_id="own-1", session_expiry_interval_sec=60)
    with with_certificate(server, authority, own, client_id=None, connect_options=lasting) as client:
        assert client.code == 0x87


@pytest.mark.parametrize("secret, is_right", [("a-secret", True), ("another", False)])
def test_signed_upgrades_of_the_sdk(server, authority, secret, is_right):
    """C41: WebSocket with SigV4 and a session token that is sent unsigned; with a wrong secret it is not upgraded."""
    provider = auth.AwsCredentialsProvider.new_static("AKIDEXAMPLE", secret, "a/session+token")
    build = mqtt5_client_builder.websockets_with_default_aws_signing
    with Client(build, server, authority, region="eu-west-1", credentials_provider=provider, client_id="ws") as client:
        assert client.code == (0 if is_right else None)
        if is_right:
            assert client.subscribe("heard/ws") == [1]
            assert client.publish("heard/ws", b"signed") < 0x80
            assert client.messages.get(timeout=WAIT).payload == b"signed"
