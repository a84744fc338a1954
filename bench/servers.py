"""The servers of the comparisons: how each is installed, started, pinned to a core and ended."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
WORK = HERE / ".work"
TONIC = HERE / "tonic-server"
# The cache that is the space of fanfare.toml.
MOMENTO_CACHE = "default"
BUN_VERSION = "1.4.5"
START_SECONDS_MAX = 15
STOP_SECONDS_MAX = 10


def install_bun():
    """The path of Bun's real executable, installed from npm if it is not there yet."""
    found = find_bun()
    if found:
        return found
    WORK.mkdir(exist_ok=True)
    (WORK / "package.json").write_text(json.dumps({"private": True}))
    command = ["npm", "install", "--prefix", str(WORK), "--no-audit", "--no-fund", f"bun@{BUN_VERSION}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
    found = find_bun()
    if not found:
        raise SystemExit(f"npm installed no bun {BUN_VERSION} that runs here")
    return found


def find_bun():
    """npm may leave a script in the place of the executable, so only an ELF file counts."""
    modules = WORK / "node_modules"
    candidates = [*modules.glob("@oven/*/bin/bun"), *modules.glob("bun/bin/bun*")]
    for path in candidates:
        if path.is_file() and path.read_bytes()[:4] == b"\x7fELF" and version_of(path) == BUN_VERSION:
            return path
    return None


def version_of(path):
    """What the program says of itself, or None if it does not run on this processor."""
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=30)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server. Use it in a `with` statement: it is ended by its process id."""

    def __init__(self, name, dialect, command, environment, port, core):
        self.name = name
        self.dialect = dialect
        self.port = port
        self.folder = tempfile.TemporaryDirectory(prefix="fanfare-bench-")
        self.command = ["taskset", "-c", str(core), *command]
        self.environment = {**os.environ, **environment}
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8", errors="replace")
        self.launch()

    def launch(self):
        """Starts the process, in the folder where an earlier one may have left its data."""
        self.process = subprocess.Popen(
            self.command, env=self.environment, cwd=self.folder.name, stdout=self.log, stderr=self.log
        )

    @property
    def pid(self):
        """taskset replaces itself, so its process is the server's."""
        return self.process.pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.05)
        said = self.said()
        self.stop()
        raise SystemExit(f"{self.name} did not start:\n{said}")

    def said(self):
        self.log.seek(0)
        return self.log.read()[-4000:]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def __enter__(self):
        try:
            return self.wait_until_ready()
        except BaseException:
            if self.process.poll() is None:
                self.stop()
            raise

    def __exit__(self, *_):
        self.stop()


def start(name, options):
    """Starts the server called `name`: fanfare, bun, or bun-turn (see bun-server.js)."""
    port = free_port()
    if name == "fanfare":
        command = [str(options.fanfare), "serve", "--config", str(HERE / "fanfare.toml")]
        command += ["--listen", f"127.0.0.1:{port}", "--data", "data"]
        return Server(name, "native", command, {}, port, options.server_core)
    command = [str(options.bun), str(HERE / "bun-server.js")]
    environment = {"PORT": str(port), "BUN_PUBLISH": "turn" if name == "bun-turn" else "handler"}
    return Server(name, "bun", command, environment, port, options.server_core)


def find_mosquitto():
    """Mosquitto's broker, which Debian keeps where only administrators look."""
    found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if not found:
        raise SystemExit("mosquitto is missing: apt-get install mosquitto, and stop the service that comes with it")
    return pathlib.Path(found)


def mosquitto_version(path):
    """It says its version on top of its help."""
    done = subprocess.run([str(path), "-h"], capture_output=True, text=True, timeout=30)
    return done.stdout.split("\n", 1)[0].removeprefix("mosquitto version ")


def start_mqtt(name, options, config="fanfare.toml"):
    """Starts fanfare or mosquitto with a listener for MQTT."""
    port = free_port()
    if name == "fanfare":
        command = [str(options.fanfare), "serve", "--config", str(HERE / config)]
        command += ["--listen", f"127.0.0.1:{free_port()}", "--mqtt-listen", f"127.0.0.1:{port}", "--data", "data"]
        return Server(name, "mqtt", command, {}, port, options.server_core)
    WORK.mkdir(exist_ok=True)
    settings = (HERE / "mosquitto.conf").read_text() + f"\nlistener {port} 127.0.0.1\n"
    # Read at the start and never again; the next one overwrites it.
    path = WORK / "mosquitto.conf"
    path.write_text(settings)
    return Server(name, "mqtt", [str(options.mosquitto), "-c", str(path)], {}, port, options.server_core)


def build_tonic():
    """The bare peer of Momento's door, a cargo package of its own. Cargo does nothing when it is built already."""
    target = WORK / "tonic-server"
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", str(TONIC / "Cargo.toml")]
    subprocess.run([*command, "--target-dir", str(target)], check=True, timeout=1_200)
    return target / "release" / "tonic-server"


def tonic_version():
    packages = tomllib.loads((TONIC / "Cargo.lock").read_text())["package"]
    return next(package["version"] for package in packages if package["name"] == "tonic")


def start_momento(name, options):
    """Starts fanfare or the bare server of tonic-server/."""
    port = free_port()
    if name == "fanfare":
        command = [str(options.fanfare), "serve", "--config", str(HERE / "fanfare.toml")]
        command += ["--listen", f"127.0.0.1:{port}", "--data", "data"]
        return Server(name, "momento", command, {}, port, options.server_core)
    return Server(name, "momento", [str(options.tonic)], {"PORT": str(port)}, port, options.server_core)


def start_gateway(options, cores=None):
    """Starts fanfare with the application of gateway-app, on other cores than its own if they are named. Runtimes are
    installed once."""
    port = free_port()
    command = [str(options.fanfare), "serve", "--config", str(HERE / "gateway.toml")]
    command += ["--app", str(HERE / "gateway-app" / "serverless.yml"), "--stage", "dev"]
    command += ["--listen", f"127.0.0.1:{port}", "--data", "data"]
    environment = {"FANFARE_RUNTIME__FOLDER": str(WORK / "runtimes")}
    return Server("fanfare", "gateway", command, environment, port, cores or options.server_core)
