#!/usr/bin/env python3
"""Fanfare's Momento door beside a bare tonic server, on this machine.

As peers.py: both servers get one core, the generator has another one, and runs alternate between the
servers, round after round. Prints tables, and writes them to results/<name>.md and every single
figure to results/<name>.json.

    bench/momento.py --fanfare target/release/fanfare --name momento-my-machine
    bench/momento.py --fanfare target/release/fanfare --quick --max-ratio 1.5 --max-stream-bytes 6144   # a gate

Needs Linux, taskset, cargo (for tonic-server/) and nothing from PyPI.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import time

import peers
import servers
import tables

NAMES = {"fanfare": "Fanfare", "tonic": "tonic"}
# Publishes that are under way at once.
BURSTS = [1, 16, 64]
# Where things lie says nothing about a measurement.
PATHS = ("fanfare", "tonic", "generator", "results")


def main():
    options = parse(sys.argv[1:])
    if "tonic" in options.servers and not options.tonic:
        options.tonic = servers.build_tonic()
    result = {
        "name": options.name,
        "servers": options.servers,
        "versions": versions(options),
        "options": {key: peers.plain(value) for key, value in vars(options).items() if key not in PATHS},
        "machine": peers.machine(),
        "fanout": fanout(options),
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
    words.add_argument("--fanfare", type=peers.executable, help="release binary of Fanfare")
    words.add_argument("--tonic", type=peers.executable, help="the bare server; built when absent")
    words.add_argument("--generator", type=peers.executable, help="the generator, when it is not `fanfare bench`")
    words.add_argument("--servers", type=lambda text: text.split(","), default=list(NAMES), help="of: fanfare,tonic")
    words.add_argument("--name", default=time.strftime("momento-%Y-%m-%d"), help="of the files in results/")
    words.add_argument("--results", type=pathlib.Path, default=servers.HERE / "results")
    words.add_argument("--bursts", type=lambda text: [int(burst) for burst in text.split(",")], default=BURSTS)
    words.add_argument("--subscribers", type=int, default=5_000, help="streams, of a fan-out and idle")
    words.add_argument("--streams", type=int, default=100, help="on each connection")
    words.add_argument("--rounds", type=int)
    words.add_argument("--seconds", type=int, help="measured in each run")
    words.add_argument("--size", type=int, default=100, help="payload bytes")
    words.add_argument("--idle-rounds", type=int, default=2, help="0 leaves that part out")
    words.add_argument("--server-core", type=int, default=0)
    words.add_argument("--load-core", type=int, default=1)
    words.add_argument("--quick", action="store_true", help="two short rounds")
    words.add_argument("--max-ratio", type=float, help="CPU per delivery, Fanfare over tonic, in every case")
    words.add_argument("--max-stream-bytes", type=float, help="Fanfare's memory of an idle stream")
    options = words.parse_args(arguments)
    quick = options.quick
    options.rounds = options.rounds or (2 if quick else 5)
    options.seconds = options.seconds or (2 if quick else 4)
    if not set(options.servers) <= set(NAMES):
        words.error(f"--servers: one of {', '.join(options.servers)} is unknown")
    if not options.fanfare and ("fanfare" in options.servers or not options.generator):
        words.error("--fanfare is missing")
    return options


def shape(options):
    return ["--streams", options.streams, "--space", servers.MOMENTO_CACHE]


def fanout(options):
    """Both servers live through a round, one of them at work."""
    runs = {burst: {name: [] for name in options.servers} for burst in options.bursts}
    for number in range(options.rounds):
        with contextlib.ExitStack() as stack:
            live = [stack.enter_context(servers.start_momento(name, options)) for name in options.servers]
            for burst in options.bursts:
                # Every other round goes the other way round: neither is always the first.
                for server in live if number % 2 == 0 else reversed(live):
                    words = ["fanout", *shape(options), "--subscribers", options.subscribers, "--burst", burst]
                    words += ["--size", options.size, "--seconds", options.seconds, "--messages", peers.MESSAGES_MAX]
                    run = peers.generate(server, words, options)
                    runs[burst][server.name].append(run)
                    cost = run["cost"]["server"]["cpu_us_per_delivery"]
                    peers.note(f"round {number + 1}: bursts of {burst} {server.name} {cost:.3f} µs")
    return [
        {
            "burst": burst,
            "cells": {name: tables.fanout_cell(runs[burst][name]) for name in options.servers},
            "runs": runs[burst],
        }
        for burst in options.bursts
    ]


def idle(options):
    """Memory is read from servers that have done nothing before."""
    runs = {name: [] for name in options.servers}
    for number in range(min(options.idle_rounds, 1) if options.quick else options.idle_rounds):
        for name in options.servers:
            with servers.start_momento(name, options) as server:
                # Longer than two heartbeats of Fanfare.
                hold = 3 if options.quick else 30
                words = ["idle", *shape(options), "--connections", options.subscribers, "--hold", hold]
                run = peers.generate(server, words, options)
                runs[name].append(run)
                memory = run["server"]["anonymous_bytes_per_connection"]
                peers.note(f"round {number + 1}: idle {name} {memory:.0f} bytes")
    if not any(runs.values()):
        return None
    cells = {name: tables.idle_cell(runs[name]) for name in options.servers}
    return {"connections": options.subscribers, "cells": cells, "runs": runs}


def judge(result, options):
    """What is above the thresholds that were given. Other work on the machine only ever adds to a
    figure, so the lowest of the rounds is judged."""
    for case in result["fanout"]:
        ratio = tables.ratio(case["cells"], "cpu_us", "min")
        if options.max_ratio and ratio and ratio > options.max_ratio:
            yield f"bursts of {case['burst']}: {ratio:.2f} times tonic"
    if result["idle"] and "fanfare" in result["idle"]["cells"]:
        memory = result["idle"]["cells"]["fanfare"]["anonymous_bytes"]["min"]
        if options.max_stream_bytes and memory > options.max_stream_bytes:
            yield f"idle memory: {memory:.0f} bytes per stream"


def versions(options):
    known = {"fanfare": lambda: servers.version_of(options.fanfare), "tonic": servers.tonic_version}
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
    for heading, shown in columns.items():
        is_cost = shown is shown_cost
        lines += ["", heading, ""]
        lines += tables.header(["burst", *named, *(["Fanfare / tonic (of the lowest)"] if is_cost else [])])
        for case in result["fanout"]:
            row = [str(case["burst"]), *(shown(case["cells"][name]) for name in result["servers"])]
            lines.append(tables.line([*row, *([tables.shown_ratio(case["cells"], "cpu_us")] if is_cost else [])]))
    if result["idle"]:
        ratio_title = "Fanfare / tonic (of the lowest)"
        lines += tables.idle_table(result["idle"], result["servers"], named, "stream", ratio_title)
    return "\n".join(lines) + "\n"


def shown_cost(cell):
    return tables.shown(cell["cpu_us"], "{:.3f}")


def describe(result):
    machine, options = result["machine"], result["options"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"{versions}. {machine['cpu']}, Linux {machine['kernel']}, TCP {machine['congestion_control']}; "
        f"server on core {options['server_core']}, generator on core {options['load_core']}; "
        f"{options['subscribers']:,} subscriptions, {options['streams']} on each connection; "
        f"{options['rounds']} rounds of {options['seconds']} s, interleaved; payloads of {options['size']} bytes. "
        f"Load average {machine['load_before']} before, {machine['load_after']} after. "
        "Fanfare runs with one shard and without history; tonic broadcasts the same message and does nothing else."
    )


if __name__ == "__main__":
    sys.exit(main())
