"""examples/momento-chat: browsers talk to each other with Momento's Web SDK, and may do what their tokens say."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager

import pytest
import requests
from examples import EXAMPLES, answers, free_port
from fanfare import binary, wait_until
from sseclient import SSEClient

FOLDER = EXAMPLES / "momento-chat"
INSTALL_SECONDS = 300
SECONDS = 20


class Chat:
    """The example as its one command starts it."""

    def __init__(self):
        self.gateway_port, self.port = free_port(), free_port()
        env = {**os.environ, "FANFARE": binary(), "GATEWAY_PORT": str(self.gateway_port), "PORT": str(self.port)}
        self.process = subprocess.Popen(["./run.sh"], cwd=FOLDER, env=env, stdout=subprocess.PIPE, text=True)

    @property
    def url(self):
        return f"http://localhost:{self.port}"

    def __enter__(self):
        try:
            assert any(self.url in line for line in self.process.stdout), "run.sh has ended"
            wait_until(lambda: answers(self.port), "the page's server", SECONDS)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(SECONDS)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def chat():
    with Chat() as chat:
        yield chat


@contextmanager
def entered(chromium, chat, name=""):
    page = chromium.open(chat.url)
    page.fill("#enter input", name)
    page.click("#enter button")
    page.waitForSelector(f"text=You are {name}." if name else "text=You read along.")
    try:
        yield page
        assert page.allMistakes() == []
    finally:
        page.close()


def say(page, text):
    page.fill("#say input", text)
    page.click("#say button")
    wait_until(lambda: page.inputValue("#say input") == "", f"the publish of {text}", SECONDS)


def shows(page, *texts):
    wait_until(lambda: page.allTextContents("#messages li") == list(texts), f"{texts} on the page", SECONDS)


def outcome(page, call):
    """How a call of the page's client ends: the SDK's code of an error, or the kind of the answer."""
    return page.evaluate(f"chat.topicClient.{call}.then(answer => answer.errorCode?.() ?? String(answer))")


@pytest.mark.timeout(INSTALL_SECONDS)
def test_browsers_talk_to_each_other(chat, chromium):
    with entered(chromium, chat, "ada") as ada, entered(chromium, chat, "bob") as bob:
        with entered(chromium, chat) as reader:
            say(ada, "hello")
            say(bob, "<b>hello</b> 🎈")
            for page in (ada, bob, reader):
                shows(page, "adahello", "bob<b>hello</b> 🎈")


def test_a_token_is_good_for_one_topic(chat, chromium):
    with entered(chromium, chat, "ada") as ada, entered(chromium, chat) as reader:
        assert outcome(reader, "publish('websocket', 'mychannel', 'x')") == "PERMISSION_ERROR"
        for page in (ada, reader):
            for place in ("'websocket', 'orders'", "'default', 'mychannel'"):
                subscribe = f"subscribe({place}, {{onItem() {{}}, onError() {{}}}})"
                assert outcome(page, subscribe) == "PERMISSION_ERROR", place
                assert outcome(page, f"publish({place}, 'x')") == "PERMISSION_ERROR", place
        # What was refused has ended nothing.
        say(ada, "still here")
        shows(reader, "adastill here")


def test_everybody_may_read_along_and_nobody_may_write_without_a_token(chat, chromium):
    gateway = f"http://localhost:{chat.gateway_port}"
    place = {"space": "websocket", "topic": "mychannel"}
    stream = requests.get(f"{gateway}/v1/sse", params=place, stream=True, timeout=SECONDS)
    events = SSEClient(stream).events()
    assert next(events).event == "ready"
    with entered(chromium, chat, "ada") as ada:
        say(ada, "hello, curl")
    heard = json.loads(next(event.data for event in events if event.event == "message"))
    assert json.loads(heard["text"]) == {"detail": "hello, curl"}
    # The interface of Momento, and our own.
    for url in (f"{gateway}/topics/websocket/mychannel", f"{gateway}/v1/publish?space=websocket&topic=mychannel"):
        assert requests.post(url, data="x", timeout=SECONDS).status_code in (401, 403), url


def test_names_that_cannot_be_in_a_token_are_refused(chat):
    refusal = requests.get(f"{chat.url}/token", params={"name": "x" * 65}, timeout=SECONDS)
    assert (refusal.status_code, "token" in refusal.json()) == (502, False)
    made = requests.get(f"{chat.url}/token", params={"name": "ada"}, timeout=SECONDS)
    assert json.loads(made.text)["gateway"] == f"http://localhost:{chat.gateway_port}"


def test_a_token_that_is_over_is_replaced(chat, chromium):
    page = chromium.open(chat.url)
    # What the server makes is good for half an hour; the first one of this page is not.
    key = [binary(), "key", "create", f"brief-{chat.port}", "--form", "disposable", "--ttl", "2s", "--token-id", "ada"]
    key += ["--role", "publishsubscribe", "--cache", "websocket", "--topic", "mychannel", "--data", ".work/gateway"]
    brief = subprocess.run(key, cwd=FOLDER, check=True, capture_output=True, text=True, timeout=SECONDS).stdout.strip()
    page.evaluate(f"chat.brief = '{brief}'")
    page.evaluate("chat.tokens = 0")
    page.evaluate(
        """(real => (window.fetch = async (...asked) => {
          const answer = await (await real(...asked)).json()
          return Response.json(chat.tokens++ ? answer : { ...answer, token: chat.brief })
        }, 0))(fetch)"""
    )
    page.fill("#enter input", "ada")
    page.click("#enter button")
    wait_until(lambda: page.evaluate("chat.tokens") == 2, "the second token", SECONDS)
    with entered(chromium, chat, "bob") as bob:
        wait_until(lambda: hears(bob, page), "the subscription with the second token", SECONDS)
        say(page, "back again")
        bob.waitForSelector("text=back again")
    assert page.allMistakes() == []
    page.close()


def hears(speaker, listener):
    say(speaker, "are you back?")
    return listener.allTextContents("#messages li")


def test_ctrl_c_ends_it_all(chat):
    chat.end()
    wait_until(lambda: not answers(chat.port) and not answers(chat.gateway_port), "the end of both")
