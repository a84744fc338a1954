import pytest
from fanfare import Server


def config(auth="", **keys):
    """The text of a configuration with these keys below `[mqtt]`."""
    shown = {name: f'"{value}"' if isinstance(value, str) else value for name, value in keys.items()}
    mqtt = "".join(f"{name} = {value}\n" for name, value in shown.items())
    return (f"[auth]\n{auth}\n" if auth else "") + f"[mqtt]\n{mqtt}"


@pytest.fixture(scope="module")
def server():
    """One for the whole file, in development mode and with all defaults."""
    with Server() as server:
        yield server


@pytest.fixture
def port(server):
    return server.mqtt_port


@pytest.fixture
def topic(request):
    """A topic that no other test uses; a client id, too."""
    name = "".join(letter if letter.isalnum() or letter in "_-" else "-" for letter in request.node.name)
    return name.strip("-")


@pytest.fixture
def started():
    """Starts servers with keys of `[mqtt]`, which end with the test."""
    servers = []

    def start(auth="", args=(), **keys):
        servers.append(Server(config=config(auth, **keys), args=args))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
