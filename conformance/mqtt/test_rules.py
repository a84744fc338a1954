"""Topic rules: Mosquitto's clients and paho publish, and rules do what they say with it."""

import base64
import json
import queue
from contextlib import ExitStack, contextmanager

import paho.mqtt.client as paho
import pytest
import requests
from commands import lines_of, mosquitto_pub, mosquitto_sub, subscribers
from fanfare import Server, wait_until
from hooks import Hooks
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOT = """
[[iot.rules]]
name = "R"
sql = "SELECT temp*2 AS t2, topic(2) AS dev FROM 's/+/t' WHERE temp > 20"
actions = [{ kind = "republish", topic = "out/${topic(2)}", qos = 1 }]
"""


class Client:
    """A paho client that is connected and keeps what it hears."""

    def __init__(self, server, version=paho.MQTTv5, **options):
        self.heard = queue.Queue()
        self.subacks = queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=version, **options)
        self.client.on_message = lambda _, __, message: self.heard.put(message)
        self.client.on_subscribe = lambda _, __, ___, codes, ____: self.subacks.put(codes)
        self.client.connect("127.0.0.1", server.mqtt_port)
        self.client.loop_start()
        wait_until(self.client.is_connected, "the connection")

    def subscribe(self, topic, qos=1):
        self.client.subscribe(topic, qos)
        return self.subacks.get(timeout=10)

    def publish(self, topic, payload, qos=1, **properties):
        """Returns when it is acknowledged."""
        said = None
        if properties:
            said = Properties(PacketTypes.PUBLISH)
            for name, value in properties.items():
                setattr(said, name, value)
        text = payload if isinstance(payload, (str, bytes)) else json.dumps(payload)
        self.client.publish(topic, text, qos, properties=said).wait_for_publish(10)

    def next(self):
        return self.heard.get(timeout=10)

    def next_json(self):
        message = self.next()
        return message.topic, json.loads(message.payload)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def running(config, *filters):
    """A server with these rules, and a client that subscribes to the filters."""
    with ExitStack() as stack:
        server = stack.enter_context(Server(config=config))
        client = Client(server)
        stack.callback(client.close)
        for filter in filters:
            client.subscribe(filter)
        yield server, client


def test_c57_republish():
    """C57: only what WHERE lets through is republished, as SELECT makes it."""
    with Server(config=HOT) as server, subscribers(server, lambda: mosquitto_sub(server, "out/#", 2, "-v")) as [reader]:
        for device, temp in [("d1", 20), ("d1", 21), ("d2", 19.5), ("d2", 22.5)]:
            mosquitto_pub(server, f"s/{device}/t", json.dumps({"temp": temp}).encode(), is_counted=False)
        mosquitto_pub(server, "s/d3", b'{"temp": 99}', is_counted=False)
        heard = [line.split(" ", 1) for line in lines_of(reader)]
        found = sorted((topic, json.loads(payload)["t2"], json.loads(payload)["dev"]) for topic, payload in heard)
        assert found == [("out/d1", 42, "d1"), ("out/d2", 45, "d2")]


def test_c57_republish_keeps_the_order():
    """C57: one client's messages are republished in their order."""
    with running(HOT, "out/#") as (_, client):
        for temp in range(21, 221):
            client.client.publish("s/d/t", json.dumps({"temp": temp}), 1)
        assert [client.next_json()[1]["t2"] for _ in range(200)] == [2 * temp for temp in range(21, 221)]


def test_c58_basic_ingest():
    """C58: a message to $aws/rules/R/.. runs that rule, and nobody else sees it."""
    with ExitStack() as stack:
        server = stack.enter_context(Server(config=HOT))
        clients = subscribers(
            server, lambda: mosquitto_sub(server, "#", 2, "-v"), lambda: mosquitto_sub(server, "s/#", 1, "-v")
        )
        everything, devices = stack.enter_context(clients)
        mosquitto_pub(server, "$aws/rules/R/s/1/t", b'{"temp": 30}', "-q", "1")
        wait_until(lambda: history(server, "out/1"), "the rule's output")
        # A mark: nothing came before it but the rule's own output.
        mosquitto_pub(server, "s/mark", b"mark")
        first, last = lines_of(everything)
        topic, payload = first.split(" ", 1)
        assert (topic, json.loads(payload)) == ("out/1", {"t2": 60, "dev": "1"})
        assert last == "s/mark mark"
        assert lines_of(devices) == ["s/mark mark"]


def history(server, topic):
    url = f"{server.url}/v1/topics/{requests.utils.quote(topic, '')}/history?limit=1000"
    answer = requests.get(url, timeout=10)
    return answer.json()["messages"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_c58_basic_ingest_is_acknowledged(qos):
    """C58: Basic Ingest works at every quality, and also for a rule that does not exist."""
    with running(HOT, "out/#") as (_, client):
        client.publish("$aws/rules/unknown/s/1/t", {"temp": 30}, qos)
        client.publish("$aws/rules/R/s/1/t", {"temp": 30}, qos)
        assert client.next_json() == ("out/1", {"t2": 60, "dev": "1"})


@pytest.mark.parametrize("filter", ["$aws/rules/#", "$aws/rules/R/s/1/t", "$aws/rules/+/x"])
def test_c58_nobody_subscribes_to_basic_ingest(filter):
    """C58: subscriptions to $aws/rules are refused."""
    with Server(config=HOT) as server:
        for version, code in [(paho.MQTTv5, 0x87), (paho.MQTTv311, 0x80)]:
            client = Client(server, version)
            assert [answer.value for answer in client.subscribe(filter)] == [code]
            client.close()


def test_native_publish_runs_rules():
    """C57: rules act on the messages of every door."""
    with running(HOT, "out/#") as (server, client):
        body = {"topic": "s/web/t", "data": {"temp": 50}}
        requests.post(f"{server.url}/v1/publish", json=body, timeout=10).raise_for_status()
        assert client.next_json() == ("out/web", {"t2": 100, "dev": "web"})


def test_republish_headers():
    """C57: a republished message has the MQTT 5 properties that the rule gives it, and no others."""
    config = """
[[iot.rules]]
name = "headers"
sql = "SELECT * FROM 'in'"
[[iot.rules.actions]]
kind = "republish"
topic = "$$aws/things/x/out"
[iot.rules.actions.headers]
content_type = "application/json"
response_topic = "answers/${clientid()}"
correlation_data = "aGVsbG8="
message_expiry = "60"
payload_format_indicator = "UTF8_DATA"
user_properties = [{ key = "device", value = "${get_user_properties('from')[0]}" }]
"""
    with running(config, "$aws/things/x/out") as (_, client):
        client.publish("in", {"a": 1}, UserProperty=("from", "me"))
        properties = client.next().properties
        assert properties.ContentType == "application/json"
        assert properties.ResponseTopic.startswith("answers/")
        assert properties.CorrelationData == b"hello"
        assert 0 < properties.MessageExpiryInterval <= 60
        assert properties.PayloadFormatIndicator == 1
        assert len(properties.UserProperty) == 1 and properties.UserProperty[0][0] == "device"


def test_function_and_http_actions():
    """C57: a rule calls a function and posts to a web server, with retries where they help."""
    with Hooks() as function, Hooks(answers=[503, 429, 200]) as web:
        config = f"""
[functions.notify]
url = "{function.url}/notify"
[iot]
http_allow = ["127.0.0.1:{web.port}"]
[[iot.rules]]
name = "both"
sql = "SELECT a, topic() AS topic FROM 'in/#'"
[[iot.rules.actions]]
kind = "function"
name = "arn:aws:lambda:eu-central-1:000000000000:function:notify"
[[iot.rules.actions]]
kind = "http"
url = "{web.url}/${{topic(2)}}"
headers = [{{ key = "x-device", value = "${{topic(2)}}" }}]
"""
        with running(config) as (_, client):
            client.publish("in/d1", {"a": 1, "b": 2})
            [(path, headers, body)] = function.wait()
            assert (path, headers["content-type"], json.loads(body)) == (
                "/notify", "application/json", {"a": 1, "topic": "in/d1"}
            )
            tries = web.wait(3)
            assert [path for path, _, _ in tries] == ["/d1"] * 3
            assert tries[2][1]["x-device"] == "d1"
            assert json.loads(tries[2][2]) == {"a": 1, "topic": "in/d1"}


def test_error_action():
    """C57: one message tells of everything that failed for one input; this machine's addresses are out of reach."""
    with Hooks() as web:
        config = f"""
[[iot.rules]]
name = "failing"
sql = "SELECT * FROM 'in'"
actions = [
  {{ kind = "http", url = "{web.url}/x" }},
  {{ kind = "http", url = "http://localhost:{web.port}/x" }},
  {{ kind = "function", name = "nobody" }},
]
error_action = {{ kind = "republish", topic = "errors" }}
"""
        with running(config, "errors") as (_, client):
            client.publish("in", {"a": 1})
            _, document = client.next_json()
            assert (document["ruleName"], document["topic"]) == ("failing", "in")
            assert base64.b64decode(document["base64OriginalPayload"]) == b'{"a": 1}'
            failed = sorted((one["failedAction"], one["failedResource"]) for one in document["failures"])
            assert failed == [
                ("HttpAction", f"{web.url}/x"), ("HttpAction", f"http://localhost:{web.port}/x"), ("LambdaAction", "nobody")
            ]
            client.publish("errors", "mark")
            assert client.next().payload == b"mark", "there is one message of errors for one input"
        assert web.seen == []


def test_rules_do_not_go_in_circles():
    """C57: a rule does not run on its own output, and a chain of rules has an end."""
    rule = """
[[iot.rules]]
name = "{name}"
sql = "SELECT * FROM '{of}'"
actions = [{{ kind = "republish", topic = "{to}" }}]
"""
    chain = "".join(rule.format(name=f"hop{n}", of=f"chain/{n}", to=f"chain/{n + 1}") for n in range(10))
    circle = rule.format(name="ping", of="circle/a", to="circle/b") + rule.format(name="pong", of="circle/b", to="circle/a")
    with running(chain + circle, "chain/#", "circle/#") as (_, client):
        client.publish("chain/0", {"n": 1})
        assert [client.next().topic for _ in range(9)] == [f"chain/{n}" for n in range(9)]
        client.publish("circle/a", {"n": 1})
        heard = [client.next() for _ in range(3)]
        assert [message.topic for message in heard] == ["circle/a", "circle/b", "circle/a"]
        assert all(not getattr(message.properties, "UserProperty", []) for message in heard)
        client.publish("circle/mark", "mark")
        assert client.next().topic == "circle/mark"


def test_rules_write_and_read_shadows():
    """C57: a republish to a shadow's topic changes the shadow, and statements can look it up."""
    config = """
[[iot.rules]]
name = "writes"
sql = "SELECT VALUE {'state': {'reported': {'temp': temp}}} FROM 'raw/+'"
actions = [{ kind = "republish", topic = "$$aws/things/${topic(2)}/shadow/update" }]
[[iot.rules]]
name = "reads"
sql = "SELECT get_thing_shadow(topic(2)).state.reported.temp AS was FROM 'ask/+'"
actions = [{ kind = "republish", topic = "told" }]
"""
    with running(config, "$aws/things/d1/shadow/update/accepted", "told") as (_, client):
        client.publish("raw/d1", {"temp": 21})
        topic, accepted = client.next_json()
        assert (topic, accepted["state"]) == ("$aws/things/d1/shadow/update/accepted", {"reported": {"temp": 21}})
        client.publish("ask/d1", {})
        assert client.next_json() == ("told", {"was": 21})


def test_channel_and_event_actions():
    """C57: a rule publishes for the subscribers of other doors, and puts events on a bus."""
    config = """
[[iot.rules]]
name = "both"
sql = "SELECT artist, seats FROM 'sales/+'"
actions = [
  { kind = "channel", topic = "web/${topic(2)}" },
  { kind = "event_bridge", source = "shop.${topic(2)}", detail_type = "Sold" },
]
[[events.rules]]
name = "sold"
pattern = { source = ["shop.tickets"], detail = { seats = [{ numeric = [">", 0] }] } }
targets = [{ topic = "artists/${$.detail.artist}", input_path = "$.detail" }]
"""
    with running(config, "web/#", "artists/#") as (_, client):
        client.publish("sales/tickets", {"artist": "ada", "seats": 3, "secret": 1})
        heard = dict(client.next_json() for _ in range(2))
        expected = {"artist": "ada", "seats": 3}
        assert heard == {"web/tickets": expected, "artists/ada": expected}


def test_a_crash_loses_nothing_of_a_durable_rule():
    """C57: what was acknowledged runs every rule at least once, also when the server is killed."""
    config = """
[[iot.rules]]
name = "all"
sql = "SELECT n FROM 'numbers'"
actions = [{ kind = "republish", topic = "copy", qos = 1 }]
"""
    with Server(config=config) as server:
        for round in range(3):
            client = Client(server)
            for n in range(20):
                client.publish("numbers", {"n": 20 * round + n})
            server.restart()
            client.client.loop_stop()
        copied = lambda: {message["data"]["n"] for message in history(server, "copy")}  # noqa: E731
        wait_until(lambda: copied() == set(range(60)), "every number", 20)
