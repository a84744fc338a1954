"""Calls of functions: warm, from zero, many at once, and none at all."""

import contextlib
import json
import os
import pathlib
import time

import crowd
import peers
import servers
from bareruntime import BareRuntime, Command

PATH = "/dev"
# A runtime may have to be installed before its first call.
FIRST_SECONDS_MAX = 300
SECONDS_MAX = 60
WARMUP_CALLS = 20
# Where many processes start at once, one core would be a bound of its own.
ALL_CORES = f"0-{(os.cpu_count() or 1) - 1}"


@contextlib.contextmanager
def gateway(options, cores=None):
    """A fresh server with the application of gateway-app, and a loop for its clients."""
    with servers.start_gateway(options, cores) as server:
        loop = crowd.Loop()
        try:
            patiently(lambda: probe(server))
            yield server, loop
        finally:
            loop.close()


def probe(server):
    """One connection, opened and closed. What becomes of it when it fails troubles nobody else."""
    loop = crowd.Loop()
    try:
        crowd.open_clients(server.port, PATH, 1, loop)
    finally:
        loop.close()


def warm(options):
    """How long a message takes until its function runs, and the answer from there to the client."""
    with gateway(options) as (server, loop):
        client = crowd.open_clients(server.port, PATH, 1, loop)[0]
        return {runtime: warm_runtime(runtime, server, client, options) for runtime in options.runtimes}


def warm_runtime(runtime, server, client, options):
    first_call(client, runtime)
    runs = {"fanfare": [], "bare": []}
    cpu_us = []
    with BareRuntime(command_of(server, runtime), {options.server_core}) as bare:
        calls = {"fanfare": lambda: call(client, runtime), "bare": bare.invoke}
        for number in range(options.rounds):
            # Every other round goes the other way round: neither is always the first.
            for name in list(calls) if number % 2 == 0 else reversed(list(calls)):
                # What has been idle may be stopped, and is awake after these.
                for _ in range(WARMUP_CALLS):
                    calls[name]()
                spent = cpu_ns(server.pid)
                runs[name] += [calls[name]() for _ in range(options.calls)]
                if name == "fanfare":
                    cpu_us.append((cpu_ns(server.pid) - spent) / 1_000 / options.calls)
            peers.note(f"round {number + 1}: warm {runtime}")
    cells = {name: ways(found) for name, found in runs.items()}
    cells["fanfare"]["cpu_us"] = quantiles(cpu_us)
    return cells


def ways(calls):
    """In and out, in microseconds, of calls that are (begun, ended, what the function said)."""
    return {
        "in_us": quantiles([(said["began"] - begun) / 1_000 for begun, _, said in calls]),
        "out_us": quantiles([(ended - said["done"]) / 1_000 for _, ended, said in calls]),
    }


def cold(options):
    """A message to a function without a process, beside the start of the same process alone."""
    with gateway(options) as (server, loop):
        client = crowd.open_clients(server.port, PATH, 1, loop)[0]
        return {runtime: cold_runtime(runtime, server, client, options) for runtime in options.runtimes}


def cold_runtime(runtime, server, client, options):
    first_call(client, runtime)
    command = command_of(server, runtime)
    began, answered, ready, bare_began = [], [], [], []
    for number in range(options.starts):
        until_zero(server, runtime)
        begun, ended, said = call(client, runtime)
        began.append((said["began"] - begun) / 1e6)
        answered.append((ended - begun) / 1e6)
        with BareRuntime(command, {options.server_core}) as bare:
            _, _, said = bare.invoke()
            ready.append((bare.ready - bare.started) / 1e6)
            bare_began.append((said["began"] - bare.started) / 1e6)
        peers.note(f"start {number + 1}: {runtime} {began[-1]:.1f} ms, bare {bare_began[-1]:.1f} ms")
    return {
        "fanfare": {"began_ms": quantiles(began), "answered_ms": quantiles(answered)},
        "bare": {"ready_ms": quantiles(ready), "began_ms": quantiles(bare_began)},
    }


def burst(options):
    """Many connections say something at once to a function that takes 100 ms."""
    found = {}
    with gateway(options, ALL_CORES) as (server, loop):
        clients = crowd.open_clients(server.port, PATH, options.burst, loop)
        for name in ("slow", "capped"):
            first_call(clients[0], name)
            until_zero(server, name)
            for state in ("from zero", "warm"):
                found[f"{name}, {state}"] = run = burst_of(name, clients, server, loop)
                peers.note(f"burst: {name}, {state} {run['seconds']:.2f} s")
    return found


def burst_of(name, clients, server, loop):
    message, loop.heard = json.dumps({"action": name}).encode(), 0
    begun = time.monotonic_ns()
    for client in clients:
        client.say(message)
    loop.run(lambda: loop.heard == len(clients), SECONDS_MAX, f"answers of {name}")
    answers = [json.loads(text) for client in clients for text in client.heard]
    return {
        "messages": len(clients),
        "answered": sum("began" in answer for answer in answers),
        "seconds": (max(client.at for client in clients) - begun) / 1e9,
        "processes": len(processes_of(server, name)),
    }


def idle(options):
    """Processes and memory before, with functions at work, and when all of them have gone."""
    with gateway(options, ALL_CORES) as (server, loop):
        clients = crowd.open_clients(server.port, PATH, 50, loop)
        until_zero(server)
        states = {"before": state(server)}
        for name in (*options.runtimes, "slow"):
            first_call(clients[0], name)
            burst_of(name, clients, server, loop)
        states["busy"] = state(server)
        until_zero(server)
        states["after"] = state(server)
        loop.heard = 0
        for client in clients:
            client.say(b'{"action": "nobody"}')
        loop.run(lambda: loop.heard == len(clients), SECONDS_MAX, "signs of life")
    return states


def state(server):
    children = crowd.children_of(server.pid)
    resident = sum(resident_bytes(child) for child in children)
    return {"processes": len(children), "server": resident_bytes(server.pid), "functions": resident}


def resident_bytes(pid):
    """0 for a process that has just gone."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def call(client, name):
    """When a message was said and when its answer was there, in ns, and what the function said."""
    heard = client.loop.heard
    begun = time.monotonic_ns()
    client.say(json.dumps({"action": name}).encode())
    client.loop.run(lambda: client.loop.heard > heard, SECONDS_MAX, f"the answer of {name}")
    said = json.loads(client.heard[-1])
    if "began" not in said:
        raise SystemExit(f"{name}: {said}")
    return begun, client.at, said


def first_call(client, name):
    return patiently(lambda: call(client, name))


def patiently(action):
    """Tries again what fails at first: a runtime may be on its way from the network."""
    deadline = time.monotonic() + FIRST_SECONDS_MAX
    while True:
        try:
            return action()
        except SystemExit as refusal:
            if time.monotonic() > deadline:
                raise
            peers.note(f"not yet: {str(refusal)[:200]}")
            time.sleep(2)


def processes_of(server, name=None):
    """The processes of one function, or of all. Names of functions end with those in serverless.yml."""
    found = []
    for pid in crowd.children_of(server.pid):
        # A process that has just gone has no command any more.
        with contextlib.suppress(OSError):
            command = Command(pid)
            if command.function and (name is None or command.function.split("-")[-1] == name):
                found.append(command)
    return found


def command_of(server, name):
    found = processes_of(server, name)
    if not found:
        raise SystemExit(f"no process below the server says that it is the function {name}")
    return found[0]


def until_zero(server, name=None):
    deadline = time.monotonic() + SECONDS_MAX
    while processes_of(server, name):
        if time.monotonic() > deadline:
            raise SystemExit(f"processes of {name or 'functions'} do not end within {SECONDS_MAX} s")
        time.sleep(0.05)


def cpu_ns(pid):
    """CPU time of all threads by the scheduler's clock."""
    total = 0
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(path.read_text().split()[0])
    return total


def quantiles(values):
    ordered = sorted(values)
    pick = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
    return {"p50": pick(0.5), "p99": pick(0.99), "min": ordered[0], "max": ordered[-1], "count": len(ordered)}
