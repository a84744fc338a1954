import pytest
from fanfare import Server


def config(auth="", limits="", **keys):
    """The text of a configuration with these keys below `[mqtt]`, and lines of `[auth]` and `[limits]`."""
    shown = {name: f'"{value}"' if isinstance(value, str) else value for name, value in keys.items()}
    mqtt = "".join(f"{name} = {value}\n" for name, value in shown.items())
    others = "".join(f"[{name}]\n{lines}\n" for name, lines in (("auth", auth), ("limits", limits)) if lines)
    return f"{others}[mqtt]\n{mqtt}"


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

    def start(**keys):
        servers.append(Server(config=config(**keys)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
