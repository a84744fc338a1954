#!/usr/bin/env python3
"""Fanfare beside Bun, on this machine.

Both servers get one core and nothing else to do; the generator has another core. Each case runs on
one server and then at once on the other, round after round, so that a noisy machine is noisy for
both. Prints tables, and writes them to results/<name>.md and every single figure to
results/<name>.json.

    bench/peers.py --fanfare target/release/fanfare --name 2026-11-21
    bench/peers.py --servers bun,bun-turn --generator target/release/examples/bench
    bench/peers.py --fanfare target/release/fanfare --quick --max-ratio 1.5   # a gate: exits 1 above

Needs Linux, taskset, npm (for Bun) and nothing from PyPI.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

import servers
import tables

CASES = "100x1,100x16,100x32,100x33,100x64,100x256,1000x1,1000x16,1000x32,1000x33,1000x64,1000x256"
QUICK_CASES = "100x1,1000x1,1000x32,1000x33,1000x64"
MESSAGES_MAX = 1_000_000_000


def main():
    options = parse(sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if any(name.startswith("bun") for name in options.servers) and not options.bun:
        options.bun = servers.install_bun()
    result = {
        "name": options.name,
        "servers": options.servers,
        "versions": versions(options),
        "options": {key: plain(value) for key, value in vars(options).items() if key not in PATHS},
        "machine": machine(),
        "fanout": fanout(options),
        "idle": idle(options),
    }
    result["machine"]["load_after"] = load_average()
    page = tables.markdown(result)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{options.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.results / f"{options.name}.md").write_text(page)
    print(page)
    complaints = list(judge(result, options))
    for complaint in complaints:
        print(f"above the threshold: {complaint}")
    return 1 if complaints else 0


# Where things lie says nothing about a measurement.
PATHS = ("fanfare", "bun", "generator", "results")


def parse(arguments):
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--fanfare", type=executable, help="release binary of Fanfare")
    words.add_argument("--bun", type=executable, help="Bun's executable; installed from npm when absent")
    words.add_argument("--generator", type=executable, help="the generator, when it is not `fanfare bench`")
    words.add_argument("--servers", type=lambda text: text.split(","), help="of: fanfare,bun,bun-turn")
    words.add_argument("--name", default=time.strftime("%Y-%m-%d"), help="of the files in results/")
    words.add_argument("--results", type=pathlib.Path, default=servers.HERE / "results")
    words.add_argument("--cases", help="<subscribers>x<burst>,...")
    words.add_argument("--rounds", type=int)
    words.add_argument("--seconds", type=int, help="measured in each run")
    words.add_argument("--size", type=int, default=100, help="payload bytes")
    words.add_argument("--idle", type=int, help="idle connections; 0 leaves that part out")
    words.add_argument("--idle-rounds", type=int, default=2)
    words.add_argument("--server-core", type=int, default=0)
    words.add_argument("--load-core", type=int, default=1)
    words.add_argument("--quick", action="store_true", help="fewer cases, two short rounds")
    words.add_argument("--max-ratio", type=float, help="CPU per delivery, Fanfare over the best peer")
    words.add_argument("--max-idle-ratio", type=float, help="idle memory, Fanfare over the best peer")
    words.add_argument("--max-idle-bytes", type=float, help="Fanfare's idle memory per connection")
    words.add_argument("--max-cliff", type=float, help="CPU per delivery, a burst of 33 over one of 32")
    options = words.parse_args(arguments)
    quick = options.quick
    options.cases = read_cases(words, options.cases or (QUICK_CASES if quick else CASES))
    options.rounds = options.rounds or (2 if quick else 5)
    options.seconds = options.seconds or (2 if quick else 4)
    options.idle = (2_000 if quick else 10_000) if options.idle is None else options.idle
    options.servers = options.servers or (["fanfare", "bun"] if options.fanfare else ["bun", "bun-turn"])
    if not set(options.servers) <= set(tables.NAMES):
        words.error(f"--servers: one of {', '.join(options.servers)} is unknown")
    if "fanfare" in options.servers and not options.fanfare:
        words.error("--fanfare is missing")
    if not options.generator and not options.fanfare:
        words.error("--generator is missing")
    return options


def executable(text):
    path = pathlib.Path(text).resolve()
    if not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be executed")
    return path


def read_cases(words, text):
    try:
        return [tuple(int(number) for number in case.split("x", 1)) for case in text.split(",")]
    except ValueError:
        words.error(f"--cases: {text} is not <subscribers>x<burst>,...")


def fanout(options):
    """All fan-out cases; both servers live through a round, one of them at work."""
    runs = {case: {name: [] for name in options.servers} for case in options.cases}
    for number in range(options.rounds):
        with contextlib.ExitStack() as stack:
            live = [stack.enter_context(servers.start(name, options)) for name in options.servers]
            for subscribers, burst in options.cases:
                # Every other round goes the other way round: neither is always the first.
                for server in live if number % 2 == 0 else reversed(live):
                    words = ["fanout", "--subscribers", subscribers, "--burst", burst, "--size", options.size]
                    words += ["--seconds", options.seconds, "--messages", MESSAGES_MAX]
                    run = generate(server, words, options)
                    runs[subscribers, burst][server.name].append(run)
                    cost = run["cost"]["server"]["cpu_us_per_delivery"]
                    note(f"round {number + 1}: {subscribers} x {burst} {server.name} {cost:.3f} µs")
    return [
        {
            "subscribers": case[0],
            "burst": case[1],
            "cells": {name: tables.fanout_cell(runs[case][name]) for name in options.servers},
            "runs": runs[case],
        }
        for case in options.cases
    ]


def idle(options):
    """Memory is read from servers that have done nothing before."""
    if not options.idle:
        return None
    runs = {name: [] for name in options.servers}
    for number in range(1 if options.quick else options.idle_rounds):
        for name in options.servers:
            with servers.start(name, options) as server:
                words = ["idle", "--connections", options.idle, "--hold", 3 if options.quick else 10]
                run = generate(server, words, options)
                runs[name].append(run)
                note(f"round {number + 1}: idle {name} {run['server']['anonymous_bytes_per_connection']:.0f} bytes")
    cells = {name: tables.idle_cell(runs[name]) for name in options.servers}
    return {"connections": options.idle, "cells": cells, "runs": runs}


def generate(server, words, options):
    """One run of the generator against one server."""
    command = [options.generator] if options.generator else [options.fanfare, "bench"]
    command = ["taskset", "-c", options.load_core, *command, *words]
    command += ["--url", server.url, "--pid", server.pid, "--dialect", server.dialect, "--json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"{server.name}: {' '.join(map(str, words))}:\n{done.stderr}{server.said()}")
    return json.loads(done.stdout)


def judge(result, options):
    """What is above the thresholds that were given. Other work on the machine only ever adds to a
    figure, so the lowest of the rounds is judged."""
    for case in result["fanout"]:
        ratio = tables.ratio(case["cells"], "cpu_us", "min")
        if options.max_ratio and ratio and ratio > options.max_ratio:
            yield f"{case['subscribers']} subscribers, bursts of {case['burst']}: {ratio:.2f} times the best peer"
    own = {
        (case["subscribers"], case["burst"]): case["cells"]["fanfare"]["cpu_us"]["min"]
        for case in result["fanout"]
        if "fanfare" in case["cells"]
    }
    for (subscribers, burst), cost in own.items():
        below = own.get((subscribers, 32))
        if options.max_cliff and burst == 33 and below and cost > options.max_cliff * below:
            yield f"{subscribers} subscribers: a burst of 33 costs {cost / below:.2f} times one of 32"
    if result["idle"] and "fanfare" in result["idle"]["cells"]:
        cells = result["idle"]["cells"]
        ratio, memory = tables.ratio(cells, "anonymous_bytes", "min"), cells["fanfare"]["anonymous_bytes"]["min"]
        if options.max_idle_ratio and ratio and ratio > options.max_idle_ratio:
            yield f"idle memory: {ratio:.2f} times the best peer"
        if options.max_idle_bytes and memory > options.max_idle_bytes:
            yield f"idle memory: {memory:.0f} bytes per connection"


def versions(options):
    programs = {"fanfare": options.fanfare, "bun": options.bun}
    used = {name.split("-")[0] for name in options.servers}
    return {name: servers.version_of(programs[name]) for name in sorted(used, reverse=True)}


def machine():
    cpu = [text for text in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if "model name" in text]
    control = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")
    return {
        "cpu": f"{os.cpu_count()} x {cpu[0].split(':')[1].strip()}" if cpu else platform.machine(),
        "kernel": platform.release(),
        "congestion_control": control.read_text().strip(),
        "load_before": load_average(),
    }


def load_average():
    return f"{os.getloadavg()[0]:.2f}"


def plain(value):
    return str(value) if isinstance(value, pathlib.Path) else value


def note(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
