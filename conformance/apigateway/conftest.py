"""One gateway for each application that tests ask for, and a record of what became of each check."""

import json
import os
import re
from contextlib import contextmanager

import pytest
import target
from clients import CLIENTS, Python, management

CHECK = re.compile(r"test_c(\d+)_(\w+)(?:\[(.*)\])?$")


@pytest.fixture(scope="session")
def gateways():
    """Starts an application's gateway when it is first asked for: `gateways("serverless.yml")`."""
    running = {}

    def gateway(app):
        if app not in running:
            running[app] = target.start(app)
        return running[app]

    yield gateway
    for one in running.values():
        one.close()


@pytest.fixture(params=["serverless.yml"])
def gateway(request, gateways):
    """The gateway with the main application."""
    found = gateways(request.param)
    yield found
    if getattr(request.node, "has_failed", False):
        print(f"--- end of the gateway's log\n{found.log()[-6_000:]}---")


@pytest.fixture(params=list(CLIENTS))
def client(request):
    """How clients connect: each test that asks for it runs with `wscat` and with `websockets`."""
    return CLIENTS[request.param]


@pytest.fixture
def connect(gateway):
    """Connects to the main application: `with connect() as (client, id)`."""
    return connecting(gateway)


def connecting(gateway):
    @contextmanager
    def connect(kind=Python, token="allow", options=None, **query):
        case = target.case()
        with kind(gateway.url(token, case=case, **query), **(options or {})) as client:
            yield client, gateway.event("connect", case=case)["requestContext"]["connectionId"]

    return connect


@pytest.fixture
def boto(gateway):
    """boto3's client of `@connections`, in development mode, where any key is taken."""
    return management(gateway.endpoint)


def pytest_collection_modifyitems(config, items):
    """A peer is judged by the numbered checks only: the rest is about Fanfare itself."""
    if target.target() != "fanfare":
        others = [item for item in items if not CHECK.match(item.name)]
        items[:] = [item for item in items if CHECK.match(item.name)]
        config.hook.pytest_deselected(items=others)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.has_failed = getattr(item, "has_failed", False) or report.failed
    return report


def pytest_runtest_logreport(report):
    path, found = os.environ.get("APIGATEWAY_RESULTS"), CHECK.search(report.nodeid)
    is_over = report.when == "call" or (report.when == "setup" and not report.passed)
    if not path or not found or not is_over or os.environ.get("PYTEST_XDIST_WORKER"):
        return
    reason = ""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = (crash.message if crash else str(report.longrepr)).strip().split("\n")[0][:200]
    line = {"check": int(found[1]), "test": found[2], "with": found[3] or "", "outcome": report.outcome, "reason": reason}
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")
