"""Momento's SDKs, each with the same few words: subscribe, publish, token.

Each runs outside of pytest: Node, Python, Rust and jsdom as a process that is asked line by line, the Web SDK in a page of
Chromium. What happens to a subscription is an `Event` by the name of the SDK's own callback, with the time at which the
application saw it.
"""

import base64
import fcntl
import itertools
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import Empty, Queue

from fanfare import wait_until

HERE = Path(__file__).parent
WORK = HERE.parent / ".work" / "momento"
BUILD_SECONDS = 900
SECONDS = 10


@dataclass
class Outcome:
    """What a call came to, in the words of the SDK: `code` and `message` of an error, `more` of a success."""

    type: str
    code: str | None = None
    message: str = ""
    more: dict = field(default_factory=dict)

    @staticmethod
    def of(told):
        told = {name: value for name, value in told.items() if name != "answer"}
        return Outcome(told.pop("type"), told.pop("code", None), told.pop("message", ""), told)

    @property
    def is_ok(self):
        return self.code is None

    def must(self):
        """Itself, where it is a success."""
        assert self.is_ok, (self.type, self.code, self.message)
        return self


@dataclass
class Event:
    """`kind` is `item`, `error`, `heartbeat`, `discontinuity`, `lost` or `end`; `at` in seconds since 1970."""

    kind: str
    at: float
    value: str | bytes | None = None
    number: int = 0
    token: str = ""
    code: str = ""
    more: dict = field(default_factory=dict)

    @staticmethod
    def of(told):
        known = {name: told.pop(name) for name in ("number", "token", "code") if name in told}
        value = base64.b64decode(told["binary"]) if "binary" in told else told.get("text")
        return Event(told.pop("event"), told.pop("at"), value, **known, more=told)


class Subscription:
    """What an application has subscribed to, and all that it was told since."""

    def __init__(self, sdk, name):
        self.sdk, self.name, self.events = sdk, name, []

    def all(self, kind="item"):
        self.sdk.look()
        return [event for event in list(self.events) if event.kind == kind]

    def wait(self, kind="item", count=1, seconds=SECONDS):
        """The events of a kind, once there are `count` of them."""
        wait_until(lambda: len(self.all(kind)) >= count, f"{count} x {kind} at {self.sdk.name}: {self.kinds}", seconds)
        return self.all(kind)

    def value(self, seconds=SECONDS):
        """The value of the only item."""
        items = self.wait(seconds=seconds)
        assert len(items) == 1, items
        return items[0].value

    @property
    def values(self):
        return [event.value for event in self.all()]

    @property
    def kinds(self):
        return [event.kind for event in list(self.events)]

    def unsubscribe(self):
        self.sdk.ask("unsubscribe", name=self.name)


class Client:
    """An application that uses an SDK with one key; `None` for none."""

    def __init__(self, sdk, port, key=None, tls=False):
        self.sdk, self.given = sdk, {"port": port, "key": key, "tls": tls}

    def ask(self, do, seconds=SECONDS, **words):
        return self.sdk.ask(do, seconds, **self.given, **words)

    def publish(self, cache, topic, value, seconds=SECONDS):
        payload = {"text": value} if isinstance(value, str) else {"binary": base64.b64encode(value).decode()}
        return self.ask("publish", seconds, cache=cache, topic=topic, **payload)

    def try_subscribe(self, cache, topic):
        """The outcome, and the subscription, which hears of nothing if it failed."""
        subscription = self.sdk.expecting()
        return self.ask("subscribe", cache=cache, topic=topic, name=subscription.name), subscription

    def subscribe(self, cache, topic):
        outcome, subscription = self.try_subscribe(cache, topic)
        assert outcome.must().type == "Subscription", outcome
        return subscription

    def refusal(self, cache, topic):
        """The code of the error by which a subscription is refused."""
        return self.try_subscribe(cache, topic)[0].code

    def token(self, *permissions, lifetime=300, id=None):
        """Asks for a disposable token, with permissions as JavaScript writes them."""
        return self.ask("token", permissions=permissions, lifetime=lifetime, id=id)

    def token_to_subscribe(self, cache, topic, lifetime=300):
        """Asks for one by the shorthand of the SDKs for Python and Rust."""
        return self.ask("token", cache=cache, topic=topic, lifetime=lifetime)


class Sdk:
    """An SDK that runs outside. Its subclasses know how it is asked."""

    name = ""

    def __init__(self):
        self.numbers, self.subscriptions = itertools.count(1), {}

    def at(self, server, key=None, tls=False):
        """An application. `server` is anything with a port. TLS needs a key, and a process that trusts the server."""
        return Client(self, server.port, key, tls)

    def expecting(self):
        name = f"s{next(self.numbers)}"
        self.subscriptions[name] = Subscription(self, name)
        return self.subscriptions[name]

    def heard(self, told):
        self.subscriptions[told.pop("of")].events.append(Event.of(told))

    def look(self):
        """Takes in what was told since; nothing to do where that happens by itself."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Process(Sdk):
    """One that is asked by lines of JSON and may answer out of turn. `roots` is a file of authorities that it trusts."""

    def __init__(self, *command, roots=None):
        super().__init__()
        pipe = subprocess.PIPE
        self.answers = {}
        command = [str(part) for part in command]
        env = {**os.environ, **({"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(roots)} if roots else {})}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1, env=env)
        self.readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_mistakes)]
        self.mistakes = ""
        for reader in self.readers:
            reader.start()

    def _read(self):
        for line in self.process.stdout:
            told = json.loads(line)
            if "answer" in told:
                self.answers[told["answer"]].put(told)
            else:
                self.heard(told)

    def _read_mistakes(self):
        for line in self.process.stderr:
            self.mistakes = (self.mistakes + line)[-4_000:]

    @property
    def pid(self):
        return self.process.pid

    def ask(self, do, seconds=SECONDS, **words):
        number, answer = next(self.numbers), Queue()
        self.answers[number] = answer
        self.process.stdin.write(json.dumps({"number": number, "do": do, **words}) + "\n")
        self.process.stdin.flush()
        try:
            return Outcome.of(answer.get(timeout=seconds))
        except Empty:
            raise TimeoutError(f"{self.name} does not answer {do} within {seconds} s: {self.mistakes}") from None

    def close(self):
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


class Node(Process):
    name = "node"

    def __init__(self, roots=None):
        super().__init__("node", HERE / "node.mjs", roots=roots)


class Python(Process):
    name = "python"

    def __init__(self, roots=None):
        super().__init__(sys.executable, HERE / "sdk.py", roots=roots)


class Rust(Process):
    name = "rust"

    def __init__(self):
        super().__init__(rust_program())

    def at(self, server, key=None):
        """It has no word for "no key": an empty one says so."""
        return Client(self, server.port, wrapped("") if key is None else key)

    def counts(self):
        """How often the SDK's log told of what its applications do not see."""
        return self.ask("counts").must().more["counts"]


class Jsdom(Process):
    """The Web SDK in jsdom."""

    name = "jsdom"

    def __init__(self, url):
        super().__init__("node", HERE / "jsdom.mjs", bundle(), url)

    def look(self):
        self.ask("look")


class Page(Sdk):
    """The Web SDK in a page of Chromium."""

    name = "web"

    def __init__(self, chromium, url):
        super().__init__()
        self.page = chromium.open(url)

    def ask(self, do, seconds=SECONDS, **words):
        line = json.dumps(json.dumps({"do": do, **words}))
        late = f"new Promise((_, fail) => setTimeout(() => fail(new Error('no answer')), {seconds * 1000}))"
        try:
            answer = json.loads(self.page.evaluate(f"Promise.race([ask({line}), {late}])"))
        except AssertionError as error:
            if "no answer" in str(error):
                raise TimeoutError(f"{self.name} does not answer {do} within {seconds} s") from None
            raise
        for told in answer["told"]:
            self.heard(told)
        return Outcome.of(answer["outcome"])

    def look(self):
        self.ask("look")

    def close(self):
        self.page.close()


def wrapped(key, endpoint="gateway.test"):
    """A key in the shape in which SDKs take one: Base64 of JSON. One that has the shape already stays as it is."""
    if key and "." not in key:
        return key
    return base64.b64encode(json.dumps({"endpoint": endpoint, "api_key": key}).encode()).decode()


def unwrapped(key):
    """The key itself, as the server gets it."""
    return key if "." in key else json.loads(base64.b64decode(key))["api_key"]


@cache
def bundle():
    """page.mjs and the Web SDK as one script."""
    made = WORK / "page.js"
    esbuild = HERE.parent / "node_modules/.bin/esbuild"
    command = [esbuild, HERE / "page.mjs", "--bundle", "--format=iife", "--define:global=globalThis", f"--outfile={made}", "--log-level=error"]
    with locked("page"):
        subprocess.run([str(part) for part in command], check=True, timeout=60)
    return made


@cache
def rust_program():
    """The program in rust/, built when it is first asked for."""
    target = WORK / "rust"
    command = ["cargo", "build", "--quiet", "--locked", "--manifest-path", HERE / "rust/Cargo.toml", "--target-dir", target]
    with locked("rust"):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-4_000:]
    return target / "debug/momento-driver"


def locked(name):
    """A lock between processes that make the same thing."""
    WORK.mkdir(parents=True, exist_ok=True)
    lock = open(WORK / f"{name}.lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def cpu_seconds(pid):
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
