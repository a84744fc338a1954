"""One message to many connections: by one call, and by a signed request for each."""

import json
import time
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import crowd
import invocations
import peers

# As in gateway.toml.
KEY = Credentials("bench", "of this benchmark")
MESSAGE = b"x" * 100
SECONDS_MAX = 120
REST_SECONDS = 0.3


def broadcast(options):
    with invocations.gateway(options) as (server, loop):
        first = crowd.open_clients(server.port, invocations.PATH, 1, loop)
        started = time.monotonic()
        clients = first + crowd.open_clients(server.port, invocations.PATH, options.connections - 1, loop)
        peers.note(f"{len(clients):,} connections in {time.monotonic() - started:.1f} s")
        ids = ids_of(clients, loop)
        base = f"http://127.0.0.1:{server.port}{invocations.PATH}"
        each = [f"{base}/@connections/{quote(own, safe='')}" for own in ids]
        targets = {
            "call": [(f"{base}/@connections", MESSAGE)],
            "topic": [(f"{base}/@topics/everybody", MESSAGE)],
            "each": [(url, MESSAGE) for url in each],
        }
        runs = {name: [] for name in targets}
        for number in range(options.rounds):
            # Every other round goes the other way round: none is always the first.
            for name in list(targets) if number % 2 == 0 else reversed(list(targets)):
                run = send(targets[name], server, clients, loop, options)
                runs[name].append(run)
                peers.note(f"round {number + 1}: {name} {run['seconds']:.3f} s, {run['cpu_us']:.2f} µs CPU each")
    cells = {name: cell(found) for name, found in runs.items()}
    return {"connections": options.connections, "bytes": len(MESSAGE), "cells": cells, "runs": runs}


def ids_of(clients, loop):
    """No route takes this message, and the error tells each client its id."""
    loop.heard = 0
    for client in clients:
        client.say(b'{"action": "nobody"}')
    loop.run(lambda: loop.heard == len(clients), SECONDS_MAX, "ids")
    ids = [json.loads(client.heard[0])["connectionId"] for client in clients]
    if len(set(ids)) != len(ids):
        raise SystemExit("two connections have one id")
    return ids


def send(posts, server, clients, loop, options):
    """Sends to each URL its body. Requests are signed before the clock runs."""
    requests = [signed(url, body) for url, body in posts]
    senders = min(options.senders, len(requests))
    posters = [crowd.Poster(server.port, requests[n::senders], loop) for n in range(senders)]
    for client in clients:
        client.heard.clear()
    loop.heard = 0
    spent, begun = invocations.cpu_ns(server.pid), time.monotonic_ns()
    for poster in posters:
        poster.begin()
    is_over = lambda: loop.heard >= len(clients) and all(poster.is_done for poster in posters)  # noqa: E731
    loop.run(is_over, SECONDS_MAX, "the message")
    seconds = (max(client.at for client in clients) - begun) / 1e9
    # What comes twice would come now.
    until = time.monotonic() + REST_SECONDS
    loop.run(lambda: time.monotonic() > until, SECONDS_MAX, "rest")
    spent = invocations.cpu_ns(server.pid) - spent
    wrong = [client.heard for client in clients if client.heard != [MESSAGE]]
    if wrong:
        raise SystemExit(f"{len(wrong)} connections did not get the message once, as it was, but {wrong[0]}")
    for poster in posters:
        loop.remove(poster)
    return {"seconds": seconds, "cpu_ms": spent / 1e6, "cpu_us": spent / 1e3 / len(clients)}


def signed(url, body):
    """A POST in bytes, as botocore signs it."""
    request = AWSRequest(method="POST", url=url, data=body, headers={"Host": url.split("/")[2]})
    SigV4Auth(KEY, "execute-api", "local").add_auth(request)
    path = "/" + url.split("/", 3)[3]
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def cell(runs):
    return {figure: invocations.quantiles([run[figure] for run in runs]) for figure in runs[0]}
