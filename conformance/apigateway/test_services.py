"""Integrations with services of AWS: a queue that checks signatures as AWS does, and events of another server."""

import json
from urllib.parse import parse_qs

import pytest
import target
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from clients import Python
from fanfare import Server, wait_until
from hooks import Hooks
from test_integrations import Backend, ask
from test_messages import frame_of

QUEUE = Credentials("AKIDSERVICE", "the secret of the service")
EVENTS = """
[events.destinations.hook]
url = "HOOK"
[[events.rules]]
name = "orders"
pattern = { source = ["shop"] }
targets = [{ api_destination = "hook" }]
"""


@pytest.fixture(scope="module")
def queue():
    made = Backend()
    yield made
    made.close()


@pytest.fixture(scope="module")
def hooks():
    with Hooks() as made:
        yield made


@pytest.fixture(scope="module")
def gateway(queue, hooks):
    with Server(config=EVENTS.replace("HOOK", hooks.url)) as events:
        places = {"SERVICE_HOST": queue.host, "EVENTS_HOST": f"127.0.0.1:{events.port}"}
        with target.start("services.toml", fill=places) as gateway:
            yield gateway


@pytest.fixture
def connected(gateway):
    with Python(f"ws://{gateway.host}/dev") as connected:
        yield connected


def signature_of(method, host, path, headers, body):
    """What botocore signs the request with, in the region of the endpoint."""
    signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    own = {name: headers[name] for name in signed if name not in ("host", "x-amz-date")}
    request = AWSRequest(method, f"http://{host}{path}", headers=own, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(QUEUE, "sqs", "eu-west-1")
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


def test_queue(connected, queue):
    """More: a message goes into a queue as a signed form, and the answer of the service comes back by a template."""
    queue.say(200, '{"id": 7}')
    message = {"action": "order", "text": "two & three"}
    assert json.loads(ask(connected, **message)) == {"kept": 7}
    method, path, headers, body = queue.last()
    assert (method, path) == ("POST", "/000000000000/orders")
    form = parse_qs(body)
    assert form["Action"] == ["SendMessage"] and json.loads(form["MessageBody"][0]) == message
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    signature = signature_of(method, queue.host, path, headers, body)
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert "/eu-west-1/sqs/aws4_request" in headers["authorization"]


def test_queue_refuses(connected, queue):
    """More: the status of a service chooses the template."""
    queue.say(403, '{"code": "AccessDenied"}')
    assert json.loads(ask(connected, action="order")) == {"refused": "AccessDenied"}


def test_events(connected, hooks):
    """More: a message becomes an event of a server that speaks as EventBridge does, which delivers it."""
    message = {"action": "event", "n": 1}
    assert json.loads(ask(connected, **message)) == {"failed": 0}
    [(_, _, body)] = hooks.wait()
    assert json.loads(body)["detail"] == message


def test_unknown_service(gateway, connected):
    """More: a service of which nobody has said where it is fails with a frame, and the log names what to set."""
    assert frame_of(ask(connected, action="nowhere"))[0] == "Internal server error"
    wait_until(lambda: "apigateway.endpoints.sns.url" in gateway.log(), "the line in the log")
