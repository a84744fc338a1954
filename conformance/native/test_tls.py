"""TLS and plain text, HTTP/1.1, HTTP/2, WebSocket and MQTT, all on one port."""

import json
import queue
import socket
import ssl
import subprocess

import paho.mqtt.client as paho
import pytest
import requests
from fanfare import Server, binary
from websockets.sync.client import connect

WAIT = 20


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A certificate for localhost that signs itself."""
    folder = tmp_path_factory.mktemp("pki")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def server(pki):
    tls = f'[tls]\ncert = "{pki}/cert.pem"\nkey = "{pki}/key.pem"\n'
    # Room for what a client that only writes for a while is owed.
    with Server(config=tls + "[limits]\noutbox_bytes = 16_777_216\n") as server:
        yield server


def trusting(pki):
    return ssl.create_default_context(cafile=str(pki / "cert.pem"))


def test_one_port_serves_all_of_them_on_one_topic(server, pki):
    heard = queue.Queue()
    mqtt = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311, reconnect_on_failure=False)
    mqtt.tls_set_context(trusting(pki))
    mqtt.on_connect = lambda client, *_: client.subscribe("tls")
    mqtt.on_subscribe = lambda *_: heard.put(b"subscribed")
    mqtt.on_message = lambda client, data, message: heard.put(message.payload)
    mqtt.connect("localhost", server.port)
    mqtt.loop_start()
    assert heard.get(timeout=WAIT) == b"subscribed"
    with connect(f"wss://localhost:{server.port}/v1/connect", ssl=trusting(pki)) as secure:
        secure.send(json.dumps({"type": "connect", "resume": [{"topic": "tls"}]}))
        assert json.loads(secure.recv(timeout=WAIT))["type"] == "welcome"
        secure.send(json.dumps({"type": "publish", "id": 1, "topic": "tls", "text": "from wss"}))
        encrypted = requests.post(f"https://localhost:{server.port}/v1/publish?topic=tls", data="from https", verify=str(pki / "cert.pem"))
        plain = requests.post(f"http://127.0.0.1:{server.port}/v1/publish?topic=tls", data="from http")
        assert (encrypted.status_code, plain.status_code) == (200, 200)
        mqtt.publish("tls", "from mqtts")
        texts = set()
        while len(texts) < 4:
            frame = json.loads(secure.recv(timeout=WAIT))
            texts |= {frame["text"]} if frame["type"] == "message" else set()
        assert texts == {"from wss", "from https", "from http", "from mqtts"}
    assert {heard.get(timeout=WAIT) for _ in range(4)} == {text.encode() for text in texts}
    mqtt.disconnect()
    mqtt.loop_stop()


def test_http2_is_chosen_by_alpn_and_by_prior_knowledge(server, pki):
    curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_version} %{response_code}"]
    alpn = subprocess.run(
        [*curl, "--cacert", pki / "cert.pem", f"https://localhost:{server.port}/healthz"], capture_output=True, text=True, check=True
    )
    prior = subprocess.run(
        [*curl, "--http2-prior-knowledge", f"http://127.0.0.1:{server.port}/healthz"], capture_output=True, text=True, check=True
    )
    assert (alpn.stdout, prior.stdout) == ("2 200", "2 200")


def test_large_messages_and_bursts_pass_through_tls(server, pki):
    payload = "x" * 900_000
    with connect(f"wss://localhost:{server.port}/v1/connect", ssl=trusting(pki), max_size=None) as secure:
        secure.send(json.dumps({"type": "connect", "resume": [{"topic": "large"}]}))
        secure.recv(timeout=WAIT)
        for _ in range(3):
            secure.send(json.dumps({"type": "publish", "topic": "large", "text": payload}))
        for number in range(500):
            secure.send(json.dumps({"type": "publish", "topic": "large", "data": number}))
        got = [json.loads(secure.recv(timeout=WAIT)) for _ in range(503)]
        assert [message["text"] == payload for message in got[:3]] == [True] * 3
        assert [message["data"] for message in got[3:]] == list(range(500))


def test_the_command_line_speaks_tls(server, pki):
    url, ca = f"https://localhost:{server.port}", str(pki / "cert.pem")
    subprocess.run([binary(), "pub", "cli", "over tls", "--url", url, "--ca", ca], check=True, timeout=WAIT)
    heard = subprocess.run(
        [binary(), "sub", "cli", "--since", "all", "--count", "1", "--url", url, "--ca", ca], check=True, capture_output=True, timeout=WAIT
    )
    assert heard.stdout == b"over tls\n"


def test_half_a_handshake_is_ended(pki):
    config = f'[tls]\ncert = "{pki}/cert.pem"\nkey = "{pki}/key.pem"\n[limits]\nhandshake_timeout_ms = 300\n'
    with Server(config=config) as server, socket.create_connection(("127.0.0.1", server.port)) as silent:
        silent.settimeout(WAIT)
        silent.sendall(b"\x16\x03\x01\x02\x00")
        assert silent.recv(1) == b""
