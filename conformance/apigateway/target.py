"""Starts a gateway with an application: Fanfare, or a peer by which the checks themselves are judged.

TARGET names which: `fanfare` (the default) or `serverless-offline`, whose packages are in `peer/`, or in the folder that
SERVERLESS_OFFLINE names.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from awsgateway import CA_FILE
from fanfare import Server, wait_until

APPS = Path(__file__).parent / "app"
RUNTIMES = Path(__file__).parents[1] / ".work" / "runtimes"
INSTALL_SECONDS = 100
PEER = Path(__file__).parent / "peer"
STAGE = "dev"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a secret", "AWS_DEFAULT_REGION": "us-east-1"}


class NotOffered(Exception):
    """The target does not even claim to have it."""


def target():
    return os.environ.get("TARGET", "fanfare")


def start(app, **options):
    """A running gateway with one application of `app/`. `options` are those of the target's class."""
    return {"fanfare": Fanfare, "serverless-offline": ServerlessOffline}[target()](app, **options)


class Gateway:
    """What tests ask of any target.

    `app` is a file of `app/`: an application, or a fanfare.toml. Templates cannot name a variable of the environment, so
    words of `fill` are replaced in them, and RECORDS_FILE and CODE_FOLDER always; with that, or with `is_copied`, the
    application gets a folder of its own.
    """

    def __init__(self, app, fill=None, is_copied=False):
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-"))
        self.records_path = self.folder / "records.jsonl"
        self.app = self._laid_out(app, {**self._places(), **(fill or {})}, is_copied)

    def _places(self):
        return {"RECORDS_FILE": str(self.records_path), "CODE_FOLDER": str(self.folder)}

    def _laid_out(self, app, fill, is_copied):
        text = (APPS / app).read_text()
        if not is_copied and not any(word in text for word in fill):
            return APPS / app
        for source in APPS.glob("handlers.*"):
            shutil.copy(source, self.folder) if is_copied else (self.folder / source.name).symlink_to(source)
        # Packages are found from the folder of the code.
        (self.folder / "node_modules").symlink_to(APPS.parents[1] / "node_modules")
        for word, value in fill.items():
            text = text.replace(word, value)
        (self.folder / app).write_text(text)
        return self.folder / app

    def url(self, token="allow", base=None, **query):
        """Where clients connect; `token=None` leaves it out."""
        query = query if token is None else {"token": token, **query}
        return (base or self.ws_url) + (f"?{urlencode(query)}" if query else "")

    def records(self, function=None, connection=None, case=None):
        """What the handlers wrote down: of one function, one connection, or one value of the query's `case`."""
        if not self.records_path.exists():
            return []
        found = []
        for line in self.records_path.read_text().split("\n")[:-1]:
            record = json.loads(line)
            context, query = record["event"]["requestContext"], record["event"].get("queryStringParameters") or {}
            if function in (None, record["function"]) and connection in (None, context.get("connectionId")):
                if case in (None, query.get("case")):
                    found.append(record)
        return found

    def record(self, function, seconds=10, **where):
        """The first such record, once it is there."""
        return wait_until(lambda: self.records(function, **where), f"a record of {function}", seconds)[0]

    def event(self, function, seconds=10, **where):
        return self.record(function, seconds, **where)["event"]

    def is_alive(self):
        """Whether its process still runs."""
        return self.process.poll() is None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(failed=kind is not None)


class Fanfare(Gateway):
    """The binary that FANFARE names. Its own folder is the server's, which `restart` keeps."""

    def __init__(self, app, config=None, env=None, args=(), fill=None, is_copied=False):
        super().__init__(app, fill, is_copied)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {"CONFORMANCE_RECORDS": str(self.records_path), "PATH": path, **(env or {})}
        if self.app.suffix == ".toml":
            config = self.app.read_text() + (config or "")
        else:
            args = ["--app", str(self.app), *args]
        with self._runtimes(env) as is_new:
            # The server makes runtimes before it listens.
            seconds = {"start_seconds": INSTALL_SECONDS} if is_new else {}
            self.server = Server(args=args, config=config, env=env, **seconds)
            if is_new:
                is_there = re.compile(r'the runtime is ready.* runtime="?python')
                wait_until(lambda: is_there.search(self.log()), "the runtime of Python", INSTALL_SECONDS)
                (RUNTIMES / "python-is-there").touch()

    @contextmanager
    def _runtimes(self, env):
        """Packages of runtimes are installed once for all servers, and not while somebody counts seconds. Whether that
        is still to be done."""
        env["FANFARE_RUNTIME__FOLDER"] = str(RUNTIMES)
        RUNTIMES.mkdir(parents=True, exist_ok=True)
        if "python3" not in self.app.read_text():
            yield False
            return
        with open(RUNTIMES / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield not (RUNTIMES / "python-is-there").exists()

    @property
    def host(self):
        return f"127.0.0.1:{self.server.port}"

    @property
    def port(self):
        return self.server.port

    @property
    def ws_url(self):
        return f"ws://{self.host}/{STAGE}"

    @property
    def endpoint(self):
        return f"http://{self.host}/{STAGE}"

    @property
    def lambda_url(self):
        """Where functions are called by name."""
        return self.server.url

    @property
    def ca(self):
        """The authority that vouches for the same port's TLS."""
        return self.server.data / CA_FILE

    @property
    def process(self):
        return self.server.process

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.server.log()

    def close(self, failed=False):
        self.server.close(failed)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class ServerlessOffline(Gateway):
    """Its callbacks have no stage in their path, so the application is told the endpoint, as its users do."""

    def __init__(self, app, config=None, env=None, args=(), fill=None, is_copied=False):
        if not app.endswith(".yml"):
            raise NotOffered("it reads no templates of CloudFormation or SAM, and serves one API")
        if config:
            raise NotOffered("it has no settings for this: no access keys, policies or usage plans")
        super().__init__(app, fill, is_copied)
        home = Path(os.environ.get("SERVERLESS_OFFLINE") or PEER)
        self.log_path = self.folder / "log"
        for is_last in (False, False, True):
            self._start(home, env or {}, is_copied)
            try:
                wait_until(self._is_up, "the start of serverless-offline", 60)
                break
            except RuntimeError:
                # Somebody else may have taken a port that was free a moment ago.
                if is_last:
                    self.close(failed=True)
                    raise
            except BaseException:
                self.close(failed=True)
                raise

    def _start(self, home, env, is_copied):
        self.port, self.lambda_port = free_port(), free_port()
        ports = {"websocketPort": self.port, "httpPort": free_port(), "lambdaPort": self.lambda_port}
        command = ["node", home / "node_modules/serverless/bin/serverless.js", "offline", "-c", self.app.name, "--noSponsor"]
        command += ["--host", "127.0.0.1", "--terminateIdleLambdaTime", "2"]
        # Its word for hot reload, at the price of a new module for each call.
        command += ["--reloadHandler"] if is_copied else []
        command += [word for name, port in ports.items() for word in (f"--{name}", str(port))]
        told = {"CONFORMANCE_RECORDS": str(self.records_path), "CONFORMANCE_ENDPOINT": self.endpoint}
        quiet = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off"}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.app.parent,
                env={**os.environ, **KEYS, **told, **quiet, **env}, start_new_session=True,
            )

    def _is_up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"serverless-offline ended: {self.log()}")
        if not re.search(r"Offline \[http for websocket\] listening", self.log()):
            return False
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    @property
    def ws_url(self):
        return f"ws://{self.host}/{STAGE}"

    @property
    def endpoint(self):
        return f"http://{self.host}"

    @property
    def lambda_url(self):
        return f"http://127.0.0.1:{self.lambda_port}"

    @property
    def ca(self):
        raise NotOffered("it serves TLS only with certificates of one's own, and then nothing else")

    @property
    def server(self):
        raise NotOffered("it is no server that restarts")

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def close(self, failed=False):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if failed:
            print(f"--- log of serverless-offline\n{self.log()[-20_000:]}---")
        shutil.rmtree(self.folder, ignore_errors=True)


def case():
    """Tells one connection's records from all others'."""
    return uuid.uuid4().hex
