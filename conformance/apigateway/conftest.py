"""API Gateway's WebSocket APIs, judged by the clients that people use with them.

The applications are in `app/`: serverless.yml files and templates of SAM and CloudFormation with handlers in Python and
JavaScript, as they would be deployed to AWS. What uses them is wscat, the package `websockets`, boto3, AWS's SDK for
JavaScript, npm's aws4, curl, and sockets where no client would do the wrong thing. Handlers write down every event in a
file, which tests read.

    FANFARE=target/release/fanfare pytest conformance/apigateway              # all of it
    FANFARE=target/release/fanfare pytest conformance/apigateway -m 'not slow'
    TARGET=serverless-offline pytest conformance/apigateway                   # the checks judge a peer
    python conformance/apigateway/checks.py                                   # which test proves which check
    python conformance/apigateway/compare.py                                  # both, as a table

It needs `requirements.txt` and `package.json` of the folder above. Functions in Python run on the interpreter that pytest
runs on, and so find its boto3. The peer is installed from `peer/package-lock.json` by `npm ci`, which compare.py does when
it is missing. Files may run at the same time: `-n 2 --dist loadfile`.

- A docstring begins with the numbers of its acceptance checks, or `More:`; see checks.py. Tests without either are about
  the suite itself.
- A target that does not claim to have something raises `NotOffered`; its test is skipped, and is `not offered` in the
  table.
- With RESULTS=FILE each test's outcome is added to a file, a JSON object a line.
"""

import json
import os
from contextlib import contextmanager

import checks
import pytest
import target
from clients import CLIENTS, Python, management
from senders import SENDERS


@pytest.fixture(scope="session")
def gateways():
    """Starts an application's gateway when it is first asked for: `gateways("serverless.yml")`."""
    running = {}

    def gateway(app, **options):
        key = (app, repr(sorted(options.items())))
        # One that a test has brought down is that test's failure, and no other's.
        if key in running and not running[key].is_alive():
            running.pop(key).close(failed=True)
        if key not in running:
            running[key] = target.start(app, **options)
        return running[key]

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


@pytest.fixture(scope="session", params=list(SENDERS))
def sending(request):
    """Makes senders of one SDK: each test that asks for it runs with boto3 and with the SDK for JavaScript."""
    made = []

    def sender(endpoint, *args, **options):
        made.append(SENDERS[request.param](endpoint, *args, **options))
        return made[-1]

    yield sender
    for one in made:
        one.close()


@pytest.fixture
def sender(gateway, sending):
    """A sender to the main application."""
    made = sending(gateway.endpoint)
    yield made
    made.close()


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


def pytest_collection_modifyitems(config, items):
    """A peer is judged by what stands in the table only."""
    if target.target() != "fanfare":
        others = [item for item in items if about(item).numbers is None]
        items[:] = [item for item in items if about(item).numbers is not None]
        config.hook.pytest_deselected(items=others)


def about(item):
    return checks.read(item.path.name, item.originalname, item.function.__doc__ or "")


@contextmanager
def skipping():
    try:
        yield
    except target.NotOffered as reason:
        pytest.skip(f"not offered: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with skipping():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with skipping():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.has_failed = getattr(item, "has_failed", False) or report.failed
    is_over = report.when == "call" or not report.passed
    if is_over and os.environ.get("RESULTS") and about(item).numbers is not None:
        write_down(item, report)
    return report


def write_down(item, report):
    reason = ""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = (crash.message if crash else str(report.longrepr)).strip().split("\n")[0][:200]
    elif report.skipped:
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    line = {"file": item.path.name, "test": item.originalname, "item": item.name, "outcome": report.outcome, "reason": reason}
    with open(os.environ["RESULTS"], "a") as file:
        file.write(json.dumps(line) + "\n")
