import pytest
from fanfare import Server
from wire import Client


@pytest.fixture(scope="module")
def server():
    """One for the whole file, in development mode and with all defaults."""
    with Server() as server:
        yield server


@pytest.fixture
def topic(request):
    """A topic that no other test uses."""
    return request.node.name.replace("[", "/").rstrip("]")


@pytest.fixture
def client(server):
    with Client(server) as client:
        yield client
