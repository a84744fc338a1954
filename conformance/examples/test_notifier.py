"""examples/notifier end to end: a browser signs in and is shown what an outside service sends, whatever happens."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager

import pytest
import requests
from commands import run
from examples import EXAMPLES, INSTALL_SECONDS, RUNTIMES, answers, connect_patiently, free_port, serving
from fanfare import Server, binary, wait_until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

FOLDER = EXAMPLES / "notifier"
SECONDS = 20

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 60)


@pytest.fixture(scope="module", autouse=True)
def page():
    """The page is built as run.sh builds it."""
    if not (FOLDER / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=FOLDER, check=True, timeout=INSTALL_SECONDS)
    subprocess.run(["npm", "run", "--silent", "build"], cwd=FOLDER, check=True, timeout=SECONDS)


class Notifier:
    """The example at work. `url` is where its page is."""

    def __init__(self, server, url, folder):
        self.server, self.url, self.connections = server, url, folder / "connections.db"

    def post(self, path, body):
        answer = requests.post(self.url + path, json=body, timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def login(self, user):
        return self.post("/login", {"user": user})["url"]

    def notify(self, user, text):
        return self.post("/notify", {"user": user, "text": text})["delivered"]

    def rows(self, user):
        """Ids of the connections that the example believes a user to have."""
        found = self.query("SELECT connection_id FROM connections WHERE user_id = ?", user)
        return [connection_id for (connection_id,) in found]

    def keep(self, connection_id, user, connected_at):
        domain = f"localhost:{self.server.port}"
        self.query("INSERT INTO connections VALUES (?, ?, ?, ?, ?)", connection_id, user, domain, "dev", connected_at)

    def query(self, sql, *values):
        with closing(sqlite3.connect(self.connections, timeout=SECONDS)) as database, database:
            return database.execute(sql, values).fetchall()


@pytest.fixture(scope="module")
def notifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notifier")
    shared = {
        "JWT_SECRET": "a secret of thirty-two bytes or more",
        "CONNECTIONS_DB": str(folder / "connections.db"),
        **RUNTIMES,
    }
    with Server(args=["--app", str(FOLDER / "serverless.yml")], env=shared) as server:
        made = run(binary(), "credentials", "create", "notifier", "--policy", "manage-connections", "--data", server.data)
        port = free_port()
        env = {
            **shared,
            **dict(re.findall(r"^(AWS_\w+)=(.+)$", made.decode(), re.MULTILINE)),
            "AWS_CA_BUNDLE": str(server.data / "ca" / "ca.pem"),
            "WEBSOCKET_URL": f"ws://localhost:{server.port}/dev",
            "PORT": str(port),
        }
        with serving(FOLDER, ["serve.py"], port, env) as url:
            notifier = Notifier(server, url, folder)
            with connect_patiently(lambda: notifier.login("first")):
                pass
            yield notifier


@contextmanager
def signed_in(chromium, notifier, user):
    page = chromium.open(notifier.url)
    page.fill("#login input", user)
    page.click("#login button")
    page.waitForSelector("#state[data-state=open]")
    try:
        yield page
        assert page.allMistakes() == []
    finally:
        page.close()


def shows(page, *texts):
    wait_until(lambda: page.allTextContents("#notifications li") == list(texts), f"{texts} on the page", SECONDS)


def test_a_notification_reaches_every_page_of_its_user(notifier, chromium):
    with signed_in(chromium, notifier, "ada") as ada, signed_in(chromium, notifier, "bob") as bob:
        with signed_in(chromium, notifier, "ada") as other:
            assert notifier.notify("ada", "one") == 2
            shows(ada, "one")
            shows(other, "one")
        wait_until(lambda: len(notifier.rows("ada")) == 1, "the row of a closed page is deleted", SECONDS)
        bob.fill("#notify [name=user]", "ada")
        bob.fill("#notify [name=text]", "<b>two</b>")
        bob.click("#notify button")
        bob.waitForSelector("text=Sent to 1 open page(s) of ada.")
        shows(ada, "<b>two</b>", "one")
        shows(bob)
    assert notifier.notify("nobody", "hello") == 0


def test_who_has_no_valid_token_stays_outside(notifier):
    url = notifier.login("eve")
    for address in [url + "x", url.split("?")[0], url.split("=")[0] + "="]:
        with pytest.raises(InvalidStatus) as refusal:
            connect(address)
        assert refusal.value.response.status_code == 401, address
    assert notifier.rows("eve") == []


def test_two_way_routes(notifier):
    with connect(notifier.login("ada")) as socket:
        socket.send('{"action": "whoami"}')
        answer = json.loads(socket.recv(SECONDS))
        assert answer["user"] == "ada"
        assert answer["connection"] in notifier.rows("ada")
        socket.send("hello?")
        assert "error" in json.loads(socket.recv(SECONDS))


def test_a_connection_that_is_cut_leaves_no_row(notifier):
    with connect(notifier.login("cut")) as client:
        [row] = notifier.rows("cut")
        assert notifier.notify("cut", "hello") == 1
        assert json.loads(client.recv(SECONDS)) == {"text": "hello"}
        # As when a cable is pulled out of a machine that then resets: no close frame.
        client.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: row not in notifier.rows("cut"), "$disconnect", SECONDS)


def test_a_row_that_was_left_behind_goes_with_the_next_notification(notifier):
    with connect(notifier.login("left")) as client:
        [row] = notifier.rows("left")
        client.close()
    wait_until(lambda: notifier.rows("left") == [], "$disconnect", SECONDS)
    # As if $disconnect had never come; and one whose $connect might still be running.
    notifier.keep(row, "left", time.time() - 3600)
    notifier.keep("Qx1aadEfGhIcJkI=", "left", time.time())
    assert notifier.notify("left", "hello") == 0
    assert notifier.rows("left") == ["Qx1aadEfGhIcJkI="]


def test_the_page_comes_back_after_a_restart(notifier, chromium):
    with signed_in(chromium, notifier, "ada") as page:
        notifier.server.kill()
        page.waitForSelector("#state:not([data-state=open])")
        notifier.server.start()
        page.waitForSelector("#state[data-state=open]")
        assert notifier.notify("ada", "after the restart") >= 1
        shows(page, "after the restart")
        # The page has one connection, and of those before the crash nothing is left.
        wait_until(lambda: len(notifier.rows("ada")) == 1, "one row", SECONDS)


def test_one_command_starts_it_all_and_ctrl_c_ends_it():
    gateway_port, port = free_port(), free_port()
    env = {**os.environ, **RUNTIMES, "FANFARE": binary(), "GATEWAY_PORT": str(gateway_port), "PORT": str(port)}
    process = subprocess.Popen(["./run.sh"], cwd=FOLDER, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert any(f"http://localhost:{port}" in line for line in process.stdout)
        wait_until(lambda: answers(port), "the service", SECONDS)
        def url():
            login = requests.post(f"http://localhost:{port}/login", json={"user": "ada"}, timeout=SECONDS)
            return login.json()["url"]

        with connect_patiently(url) as client:
            body = {"user": "ada", "text": "hello"}
            sent = requests.post(f"http://localhost:{port}/notify", json=body, timeout=SECONDS)
            assert sent.json() == {"delivered": 1}, sent.text
            assert json.loads(client.recv(SECONDS)) == {"text": "hello"}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS)
        process.stdout.close()
    wait_until(lambda: not answers(port) and not answers(gateway_port), "the end of both")
