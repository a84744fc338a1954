"""examples/ticket-alerts: one rule brings "tickets are on sale" to everybody who follows the artist."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import boto3
import paho.mqtt.client as mqtt
import pytest
import requests
from botocore.exceptions import ClientError
from examples import EXAMPLES, INSTALL_SECONDS, RUNTIMES, connect_patiently, free_port, serving
from fanfare import Server, wait_until
from sseclient import SSEClient
from websockets.sync.client import connect

SECONDS = 20


class Shop:
    """The example's files in a folder of their own, and a Fanfare that runs with them."""

    def __init__(self, folder, args=()):
        shutil.copytree(EXAMPLES / "ticket-alerts", folder, ignore=shutil.ignore_patterns(".*", "shop.secret"))
        self.folder = folder
        secret = folder / "shop.secret"
        secret.write_text("a secret of the tests\n")
        config = (folder / "fanfare.toml").read_text().replace('"shop.secret"', json.dumps(str(secret)))
        self.page_port = free_port()
        env = {"FANFARE_AUTH__ALLOWED_ORIGINS": f"http://localhost:{self.page_port}", **RUNTIMES}
        self.server = Server(config=config, args=args, env=env)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)

    def sell(self, artist, seats):
        env = {**os.environ, "FANFARE_URL": self.server.url}
        command = [sys.executable, "sell.py", artist, str(seats)]
        subprocess.run(command, cwd=self.folder, env=env, check=True, timeout=SECONDS, stdout=subprocess.DEVNULL)


@pytest.fixture
def shop(tmp_path):
    with Shop(tmp_path / "shop") as shop:
        yield shop


@contextmanager
def mqtt_follower(server, artist):
    """What a client of MQTT hears that follows an artist."""
    heard, ready = [], []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _userdata, message: heard.append(json.loads(message.payload))
    client.on_subscribe = lambda *_: ready.append(True)
    client.on_connect = lambda *_: client.subscribe(f"tickets/{artist}", qos=1)
    client.connect("127.0.0.1", server.mqtt_port)
    client.loop_start()
    try:
        wait_until(lambda: ready, "the MQTT subscription")
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def websocket_follower(server, artist):
    with connect(f"{server.ws_url}/v1/connect") as socket:
        socket.send(json.dumps({"type": "connect"}))
        socket.send(json.dumps({"type": "subscribe", "id": 1, "topic": f"tickets/{artist}"}))
        while json.loads(socket.recv(SECONDS))["type"] != "subscribed":
            pass
        yield socket


def sse_follower(server, *artists):
    query = [("topic", f"tickets/{artist}") for artist in artists]
    stream = requests.get(f"{server.url}/v1/sse", params=query, stream=True, timeout=SECONDS)
    events = SSEClient(stream).events()
    assert next(events).event == "ready"
    return (json.loads(event.data)["data"] for event in events if event.event == "message")


def test_everybody_who_follows_the_artist_hears_of_it(shop):
    both = sse_follower(shop.server, "adele", "ed-sheeran")
    followers = mqtt_follower(shop.server, "ed-sheeran"), websocket_follower(shop.server, "ed-sheeran")
    with followers[0] as heard, followers[1] as socket:
        shop.sell("adele", 1)
        shop.sell("taylor-swift", 2)
        shop.sell("ed-sheeran", 3)
        expected = {"artist": "ed-sheeran", "seats": 3}
        assert json.loads(socket.recv(SECONDS))["data"] == expected
        assert [next(both), next(both)] == [{"artist": "adele", "seats": 1}, expected]
        wait_until(lambda: heard, "the MQTT message")
        assert heard == [expected]


def test_only_the_shop_may_tell(shop):
    url = f"{shop.server.url}/v1/publish?topic=tickets/adele"
    assert requests.post(url, data="free tickets", timeout=SECONDS).status_code == 403
    assert requests.get(f"{shop.server.url}/v1/sse?topic=orders", timeout=SECONDS).status_code == 403
    keys = {"aws_access_key_id": "shop", "aws_secret_access_key": "guessed"}
    events = boto3.client("events", endpoint_url=shop.server.url, region_name="local", **keys)
    entry = {"Source": "shop.tickets", "DetailType": "Tickets On Sale", "Detail": '{"artist": "adele"}'}
    with pytest.raises(ClientError) as failure:
        events.put_events(Entries=[entry])
    assert failure.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_the_page_misses_nothing(shop, chromium):
    pages = serving(shop.folder, ["-m", "http.server", str(shop.page_port), "--directory", "page"], shop.page_port)
    with pages as url:
        page = chromium.open(f"{url}?fanfare={shop.server.url}")
        page.check("input[value=adele]")
        page.waitForSelector("text=Following adele.")
        shop.sell("ed-sheeran", 1)
        shop.sell("adele", 2)
        page.waitForSelector("text=adele: 2 tickets are on sale")
        # Another choice is another stream, which goes on where the first one was.
        page.check("input[value=ed-sheeran]")
        page.waitForSelector("text=Following adele, ed-sheeran.")
        shop.sell("ed-sheeran", 3)
        page.waitForSelector("text=ed-sheeran: 3 tickets are on sale")
        # Sold before the browser is back: it says where it was, and gets what it has missed.
        shop.server.restart()
        shop.sell("adele", 4)
        page.waitForSelector("text=adele: 4 tickets are on sale")
        shown = [text.split(" tickets")[0] for text in page.allTextContents("#alerts li")]
        assert shown == ["adele: 4", "ed-sheeran: 3", "adele: 2"]
        assert page.allMistakes() == []


@pytest.mark.timeout(INSTALL_SECONDS + 60)
def test_clients_of_api_gateway_follow_as_well(tmp_path):
    app = tmp_path / "shop" / "serverless.yml"
    with Shop(app.parent, args=["--app", str(app)]) as shop:
        with connect_patiently(lambda: f"{shop.server.ws_url}/dev?artist=adele") as socket:
            shop.sell("ed-sheeran", 1)
            shop.sell("adele", 2)
            assert json.loads(socket.recv(SECONDS)) == {"artist": "adele", "seats": 2}
            socket.send('{"action": "follow", "artist": "ed-sheeran"}')
            # The route is one-way and says nothing; that it subscribed shows in what comes.
            wait_until(lambda: hears(shop, socket, "ed-sheeran"), "the subscription by the route")


def hears(shop, socket, artist):
    shop.sell(artist, 3)
    try:
        return json.loads(socket.recv(0.5)) == {"artist": artist, "seats": 3}
    except TimeoutError:
        return False
