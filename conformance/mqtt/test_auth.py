"""Who is let in over MQTT: users, tokens, client certificates, signed upgrades."""

import datetime
import queue
import re
import signal
import socket
import ssl
import subprocess

import paho.mqtt.client as paho
import pytest
from fanfare import Server, binary, wait_until
from identities import Authority, signed_query, user_entry

WAIT = 20
SECRET = "0123456789abcdef0123456789abcdef"
PASSWORD = "correct-horse-battery"
AWS_SECRET = "a-secret-of-the-access-key"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("identities")


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder)


@pytest.fixture(scope="module")
def revoked(authority):
    return authority.issue("revoked")


@pytest.fixture(scope="module")
def server(folder, authority, revoked):
    users = folder / "users.toml"
    users.write_text(user_entry("ann", PASSWORD, 'allow = ["*:default/ann/#"]'))
    own = authority.issue("server")
    config = f"""
    [auth]
    keys = [{{ id = "one", secret = "{SECRET}" }}]
    [mqtt]
    users_file = "{users}"
    [[mqtt.certificates]]
    common_name = "lamp"
    allow = ["*:default/lamps/${{sub}}/#"]
    [[mqtt.certificates]]
    common_name = "revoked"
    allow = ["*:default/#"]
    [tls]
    cert = "{own.cert}"
    key = "{own.key}"
    client_ca = "{authority.file}"
    client_crl = "{authority.revoke(revoked)}"
    client_certificates = "optional"
    [[aws.credentials]]
    access_key_id = "AKIDEXAMPLE"
    secret = "{AWS_SECRET}"
    session_token = "a/session+token"
    allow = ["*:default/#"]
    """
    with Server(config=config) as server:
        yield server


class Client:
    """A paho client; `code` is what the server answered to CONNECT."""

    def __init__(self, server, user=None, password=None, protocol=paho.MQTTv5, tls=None, port=None):
        self.events = queue.Queue()
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=protocol, reconnect_on_failure=False)
        if user is not None:
            self.paho.username_pw_set(user, password)
        if tls:
            self.paho.tls_set_context(tls)
        self.paho.on_connect = lambda client, data, flags, code, properties: self.events.put(code.value)
        self.paho.on_publish = lambda client, data, mid, code, properties: self.events.put(code.value)
        self.paho.connect("127.0.0.1", port or server.mqtt_port, keepalive=30)
        self.paho.loop_start()
        self.code = self.events.get(timeout=WAIT)

    def publish(self, topic):
        """The reason code of the PUBACK."""
        self.paho.publish(topic, b"x", qos=1)
        return self.events.get(timeout=WAIT)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def code(server, *args, **options):
    client = Client(server, *args, **options)
    client.close()
    return client.code


def tls(authority, identity=None):
    context = ssl.create_default_context(cafile=str(authority.file))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if identity:
        context.load_cert_chain(str(identity.cert), str(identity.key))
    return context


def token(server, subject):
    command = [binary(), "token", "--sub", subject, "--allow", "publish:default/tokens/#", "--config", str(server.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def test_users_prove_themselves_with_a_password(server):
    """User names and passwords: what SDKs append to the name does not count; the rules of the entry do."""
    client = Client(server, "ann?SDK=IoTDeviceSDK", PASSWORD)
    assert client.code == 0
    assert client.publish("ann/a") < 0x80
    assert client.publish("bob/a") == 0x87
    client.close()
    assert code(server, "ann", "wrong") == 0x86
    assert code(server, "nobody", PASSWORD) == 0x86
    assert code(server, "ann", "wrong", protocol=paho.MQTTv311) in (0x86, 4)
    assert code(server) == 0x87, "anonymous"


def test_a_token_is_a_password(server):
    """JSON Web Tokens as the password, under any user name."""
    client = Client(server, "whoever", token(server, "bob"))
    assert client.code == 0
    assert client.publish("tokens/a") < 0x80
    assert client.publish("ann/a") == 0x87
    client.close()
    assert code(server, "whoever", token(server, "bob")[:-4] + "AAAA") == 0x86


def test_mosquitto_with_a_password(server):
    """mosquitto_pub with user and password, right and wrong."""
    def publish(password):
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(server.mqtt_port), "-u", "ann", "-P", password]
        return subprocess.run([*command, "-t", "ann/m", "-m", "x", "-q", "1"], capture_output=True, timeout=WAIT).returncode

    assert publish(PASSWORD) == 0
    assert publish("wrong") != 0


def test_certificates_stand_for_principals(server, authority):
    """Client certificates: one that a rule names, one that no rule names, none, and one of a stranger."""
    lamp = authority.issue("lamp")
    for port in (server.mqtt_port, server.port):
        client = Client(server, tls=tls(authority, lamp), port=port)
        assert client.code == 0
        assert client.publish("lamps/lamp/on") < 0x80
        assert client.publish("lamps/other/on") == 0x87
        client.close()
    assert code(server, tls=tls(authority, authority.issue("unnamed"))) == 0x87
    assert code(server, tls=tls(authority)) == 0x87
    assert code(server, "ann", PASSWORD, tls=tls(authority)) == 0


@pytest.mark.parametrize("who", ["revoked", "stranger"])
def test_bad_certificates_end_the_handshake(server, authority, revoked, folder, who):
    """A revoked certificate, and one of another authority, do not get past TLS."""
    other = Authority(folder, "other")
    identity = revoked if who == "revoked" else other.issue("stranger")
    with pytest.raises(OSError):
        with socket.create_connection(("127.0.0.1", server.mqtt_port), timeout=WAIT) as plain:
            with tls(authority, identity).wrap_socket(plain, server_hostname="localhost") as link:
                # With TLS 1.3 the client learns of it with the first bytes that it reads.
                link.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x1e\x00\x00")
                assert link.recv(4) == b"", "it was answered"
                raise OSError("closed")


def upgrade(server, query):
    """The head and body of the answer to an upgrade."""
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    lines = [
        f"GET /mqtt?{query} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: mqtt", "", "",
    ]
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT) as link:
        link.sendall("\r\n".join(lines).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += link.recv(4096)
        head, body = answer.split(b"\r\n\r\n", 1)
        if b"101" not in head.split(b"\r\n")[0]:
            while chunk := link.recv(4096):
                body += chunk
        return head.decode(), body.decode()


def test_only_the_right_signature_upgrades(server):
    """C43: one digit changed, signed 20 minutes ago, an unknown key, the wrong session token: 403 and no upgrade."""
    host = f"127.0.0.1:{server.port}"
    session = "a/session+token"
    right = signed_query(host, "AKIDEXAMPLE", AWS_SECRET, token=session)
    assert upgrade(server, right)[0].startswith("HTTP/1.1 101 ")
    digit = re.search("X-Amz-Signature=(.)", right)
    changed = right.replace(digit[0], digit[0][:-1] + ("0" if digit[1] != "0" else "1"))
    long_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=20)
    for query in (
        changed,
        signed_query(host, "AKIDEXAMPLE", AWS_SECRET, at=long_ago, token=session),
        signed_query(host, "AKIDOTHER", AWS_SECRET, token=session),
        signed_query(host, "AKIDEXAMPLE", AWS_SECRET, token="another"),
        signed_query(host, "AKIDEXAMPLE", AWS_SECRET),
        signed_query(host, "AKIDEXAMPLE", AWS_SECRET, service="execute-api", token=session),
    ):
        head, body = upgrade(server, query)
        assert head.startswith("HTTP/1.1 403 ")
        assert "application/json" in head.lower()
        assert re.fullmatch(r'\{"message":"Forbidden","traceId":"[0-9a-f-]{36}"\}', body), body


def test_changed_users_count_after_a_reload(folder):
    """SIGHUP reads the users file again: the old password does not count any more, remembered or not."""
    users = folder / "changing.toml"
    users.write_text(user_entry("ann", "old", 'allow = ["*:default/#"]'))
    with Server(config=f'[mqtt]\nusers_file = "{users}"\n') as server:
        assert [code(server, "ann", "old"), code(server, "ann", "new")] == [0, 0x86]
        users.write_text(user_entry("ann", "new", 'allow = ["*:default/#"]'))
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "were read again" in server.log(), "the reload")
        assert [code(server, "ann", "old"), code(server, "ann", "new")] == [0x86, 0]


def test_development_mode_takes_any_key(folder):
    """Without configured keys an SDK that has to sign is let in with whatever it signs with."""
    with Server() as server:
        query = signed_query(f"127.0.0.1:{server.port}", "AKIDANY", "anything", token="any")
        assert upgrade(server, query)[0].startswith("HTTP/1.1 101 ")


def test_nothing_secret_is_logged(server):
    """No password, token, secret or signature stands in the log of all that came before."""
    code(server, "ann", "a-wrong-password-that-must-not-be-logged")
    log = server.log()
    for secret in (PASSWORD, SECRET, AWS_SECRET, "must-not-be-logged", "session+token", "X-Amz-Signature", "argon2id", "eyJ"):
        assert secret not in log, secret
