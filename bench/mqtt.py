#!/usr/bin/env python3
"""Fanfare's MQTT door beside Mosquitto, on this machine.

As peers.py: both servers get one core, the generator has another one, and runs alternate between the
servers, round after round. Prints tables, and writes them to results/<name>.md and every single
figure to results/<name>.json.

    bench/mqtt.py --fanfare target/release/fanfare --name mqtt-my-machine
    bench/mqtt.py --fanfare target/release/fanfare --quick --max-fanout-1 0.5   # a gate: exits 1 above

Needs Linux, taskset, mosquitto (apt-get install mosquitto) and nothing from PyPI.
"""

import argparse
import contextlib
import json
import pathlib
import resource
import sys
import time

import peers
import servers
import tables

NAMES = {"fanfare": "Fanfare", "mosquitto": "Mosquitto"}
# Kind, quality of service, burst.
CASES = [
    ("fanout", 0, 1),
    ("fanout", 0, 64),
    ("fanout", 1, 1),
    ("fanout", 1, 16),
    ("fanout", 1, 64),
    ("pairs", 0, 1),
    ("pairs", 1, 1),
]
# Where things lie says nothing about a measurement.
PATHS = ("fanfare", "mosquitto", "generator", "results")


def main():
    options = parse(sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    result = {
        "name": options.name,
        "servers": options.servers,
        "versions": versions(options),
        "options": {key: peers.plain(value) for key, value in vars(options).items() if key not in PATHS},
        "machine": peers.machine(),
        "cases": busy(options),
        "idle": idle(options),
    }
    result["machine"]["load_after"] = peers.load_average()
    page = markdown(result)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{options.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.results / f"{options.name}.md").write_text(page)
    print(page)
    complaints = list(judge(result, options))
    for complaint in complaints:
        print(f"above the threshold: {complaint}")
    return 1 if complaints else 0


def parse(arguments):
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--fanfare", type=peers.executable, required=True, help="release binary of Fanfare")
    words.add_argument("--mosquitto", type=peers.executable, help="Mosquitto's broker; looked for when absent")
    words.add_argument("--generator", type=peers.executable, help="the generator, when it is not `fanfare bench`")
    words.add_argument("--servers", type=lambda text: text.split(","), default=list(NAMES), help="of: fanfare,mosquitto")
    words.add_argument("--name", default=time.strftime("mqtt-%Y-%m-%d"), help="of the files in results/")
    words.add_argument("--results", type=pathlib.Path, default=servers.HERE / "results")
    words.add_argument("--only", choices=("fanout", "pairs", "idle"), help="leaves out the other cases")
    words.add_argument("--level", type=int, choices=(4, 5), default=5, help="4 is MQTT 3.1.1")
    words.add_argument("--subscribers", type=int, default=1_000, help="of a fan-out")
    words.add_argument("--pairs", type=int, default=200)
    words.add_argument("--rounds", type=int)
    words.add_argument("--seconds", type=int, help="measured in each run")
    words.add_argument("--size", type=int, default=100, help="payload bytes")
    words.add_argument("--idle", type=int, help="idle connections; 0 leaves that part out")
    words.add_argument("--idle-rounds", type=int, default=2)
    words.add_argument("--server-core", type=int, default=0)
    words.add_argument("--load-core", type=int, default=1)
    words.add_argument("--quick", action="store_true", help="two short rounds, fewer idle connections")
    for kind in ("fanout", "pairs"):
        for qos in (0, 1):
            help_text = f"CPU per delivery of {kind} at quality {qos}, Fanfare over Mosquitto, in every case"
            words.add_argument(f"--max-{kind}-{qos}", type=float, help=help_text)
    words.add_argument("--max-burst-0", type=float, help="the same of the largest bursts at quality 0 only")
    words.add_argument("--max-idle-ratio", type=float, help="idle memory, Fanfare over Mosquitto")
    words.add_argument("--max-idle-bytes", type=float, help="Fanfare's idle memory per connection")
    options = words.parse_args(arguments)
    quick = options.quick
    options.rounds = options.rounds or (2 if quick else 5)
    options.seconds = options.seconds or (2 if quick else 4)
    options.idle = (2_000 if quick else 10_000) if options.idle is None else options.idle
    if not set(options.servers) <= set(NAMES):
        words.error(f"--servers: one of {', '.join(options.servers)} is unknown")
    if "mosquitto" in options.servers and not options.mosquitto:
        options.mosquitto = servers.find_mosquitto()
    return options


def busy(options):
    """Fan-out and pairs; both servers live through a round, one of them at work."""
    cases = [case for case in CASES if options.only in (None, case[0])]
    runs = {case: {name: [] for name in options.servers} for case in cases}
    for number in range(options.rounds if cases else 0):
        with contextlib.ExitStack() as stack:
            live = [stack.enter_context(servers.start_mqtt(name, options)) for name in options.servers]
            for case in cases:
                # Every other round goes the other way round: neither is always the first.
                for server in live if number % 2 == 0 else reversed(live):
                    run = peers.generate(server, words_of(case, options), options)
                    runs[case][server.name].append(run)
                    cost = run["cost"]["server"]["cpu_us_per_delivery"]
                    peers.note(f"round {number + 1}: {title(case, options)}: {server.name} {cost:.3f} µs")
    return [
        {
            "kind": kind,
            "qos": qos,
            "burst": burst,
            "title": title((kind, qos, burst), options),
            "cells": {name: tables.fanout_cell(runs[kind, qos, burst][name]) for name in options.servers},
            "runs": runs[kind, qos, burst],
        }
        for kind, qos, burst in cases
    ]


def words_of(case, options):
    kind, qos, burst = case
    words = [kind, "--qos", qos, "--level", options.level, "--size", options.size]
    words += ["--seconds", options.seconds, "--messages", peers.MESSAGES_MAX]
    if kind == "fanout":
        return [*words, "--subscribers", options.subscribers, "--burst", burst]
    return [*words, "--pairs", options.pairs]


def title(case, options):
    kind, qos, burst = case
    if kind == "fanout":
        return f"QoS {qos}, fan-out to {options.subscribers:,}, bursts of {burst}"
    return f"QoS {qos}, {options.pairs:,} pairs"


def idle(options):
    """Memory is read from servers that have done nothing before."""
    if not options.idle or options.only not in (None, "idle"):
        return None
    runs = {name: [] for name in options.servers}
    for number in range(1 if options.quick else options.idle_rounds):
        for name in options.servers:
            with servers.start_mqtt(name, options) as server:
                words = ["idle", "--connections", options.idle, "--hold", 3 if options.quick else 10]
                run = peers.generate(server, [*words, "--level", options.level], options)
                runs[name].append(run)
                memory = run["server"]["anonymous_bytes_per_connection"]
                peers.note(f"round {number + 1}: idle {name} {memory:.0f} bytes")
    cells = {name: tables.idle_cell(runs[name]) for name in options.servers}
    return {"connections": options.idle, "cells": cells, "runs": runs}


def judge(result, options):
    """What is above the thresholds that were given. Other work on the machine only ever adds to a
    figure, so the lowest of the rounds is judged."""
    burst_most = max((case["burst"] for case in result["cases"]), default=0)
    for case in result["cases"]:
        limits = [getattr(options, f"max_{case['kind']}_{case['qos']}")]
        if case["qos"] == 0 and case["burst"] == burst_most:
            limits.append(options.max_burst_0)
        ratio = tables.ratio(case["cells"], "cpu_us", "min")
        if ratio and any(limit and ratio > limit for limit in limits):
            yield f"{case['title']}: {ratio:.2f} times Mosquitto"
    if result["idle"] and "fanfare" in result["idle"]["cells"]:
        cells = result["idle"]["cells"]
        ratio, memory = tables.ratio(cells, "anonymous_bytes", "min"), cells["fanfare"]["anonymous_bytes"]["min"]
        if options.max_idle_ratio and ratio and ratio > options.max_idle_ratio:
            yield f"idle memory: {ratio:.2f} times Mosquitto"
        if options.max_idle_bytes and memory > options.max_idle_bytes:
            yield f"idle memory: {memory:.0f} bytes per connection"


def versions(options):
    known = {"fanfare": lambda: servers.version_of(options.fanfare)}
    known["mosquitto"] = lambda: servers.mosquitto_version(options.mosquitto)
    return {name: known[name]() for name in options.servers}


def markdown(result):
    """The whole result as a page."""
    named = [NAMES[name] for name in result["servers"]]
    lines = [f"# {result['name']}", "", describe(result)]
    columns = {
        "CPU microseconds of the server per delivered message: median (lowest-highest).": shown_cost,
        "Deliveries per second (thousands) and latency p50 / p99 in milliseconds, medians.": tables.shown_speed,
        "How busy server and generator were (percent of a core), medians.": tables.shown_share,
    }
    for heading, shown in columns.items() if result["cases"] else ():
        is_cost = shown is shown_cost
        lines += ["", heading, ""]
        lines += tables.header(["", *named, *(["Fanfare / Mosquitto (of the lowest)"] if is_cost else [])])
        for case in result["cases"]:
            row = [case["title"], *(shown(case["cells"][name]) for name in result["servers"])]
            lines.append(tables.line([*row, *([tables.shown_ratio(case["cells"], "cpu_us")] if is_cost else [])]))
    if result["idle"]:
        lines += tables.idle_table(result["idle"], result["servers"], named)
    return "\n".join(lines) + "\n"


def shown_cost(cell):
    return tables.shown(cell["cpu_us"], "{:.3f}")


def describe(result):
    machine, options = result["machine"], result["options"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"{versions}; MQTT level {options['level']}. {machine['cpu']}, Linux {machine['kernel']}, "
        f"TCP {machine['congestion_control']}; server on core {options['server_core']}, generator on core "
        f"{options['load_core']}; {options['rounds']} rounds of {options['seconds']} s, interleaved; payloads of "
        f"{options['size']} bytes. Load average {machine['load_before']} before, {machine['load_after']} after. "
        "Fanfare runs with one shard and without history, Mosquitto without persistence."
    )


if __name__ == "__main__":
    sys.exit(main())
