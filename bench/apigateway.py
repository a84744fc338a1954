#!/usr/bin/env python3
"""Fanfare's API Gateway door and the functions behind it, on this machine.

What a call of a function costs beside the least that can call one (bareruntime.py, which starts the very same
processes), what a start from zero adds, many messages at once, what is left when nothing happens, and one message to
many connections: by one call, and by a signed request for each as AWS has it. Runs alternate, round after round.
Prints tables, and writes them to results/<name>.md and every single figure to results/<name>.json.

    FANFARE=target/release/fanfare bench/apigateway.py --name apigateway-my-machine
    bench/apigateway.py --fanfare target/release/fanfare --quick --max-broadcast-ratio 0.5   # a gate: exits 1 above

Needs Linux, taskset, Node, and from PyPI botocore (it signs).
"""

import argparse
import json
import os
import pathlib
import resource
import sys
import time

import broadcast
import gatewaytables
import invocations
import peers
import servers

CASES = {
    "warm": invocations.warm,
    "cold": invocations.cold,
    "burst": invocations.burst,
    "idle": invocations.idle,
    "broadcast": broadcast.broadcast,
}
# Where things lie says nothing about a measurement.
PATHS = ("fanfare", "results")


def main():
    options = parse(sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    os.sched_setaffinity(0, {options.load_core})
    result = {
        "name": options.name,
        "version": servers.version_of(options.fanfare),
        "options": {key: peers.plain(value) for key, value in vars(options).items() if key not in PATHS},
        "machine": peers.machine(),
        **{case: CASES[case](options) for case in options.cases},
    }
    result["machine"]["load_after"] = peers.load_average()
    page = gatewaytables.markdown(result)
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
    words.add_argument("--fanfare", type=peers.executable, default=os.environ.get("FANFARE"), help="release binary")
    words.add_argument("--name", default=time.strftime("apigateway-%Y-%m-%d"), help="of the files in results/")
    words.add_argument("--results", type=pathlib.Path, default=servers.HERE / "results")
    words.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES), help=f"of: {','.join(CASES)}")
    words.add_argument("--runtimes", type=lambda text: text.split(","), default=["python", "node"])
    words.add_argument("--rounds", type=int)
    words.add_argument("--calls", type=int, help="of each round, one after the other")
    words.add_argument("--starts", type=int, help="from zero, of each runtime")
    words.add_argument("--burst", type=int, default=200, help="messages at once")
    words.add_argument("--connections", type=int, help="that one message goes to")
    words.add_argument("--senders", type=int, default=8, help="connections for requests, each with one on its way")
    words.add_argument("--server-core", type=int, default=0, help="of the server and its functions")
    words.add_argument("--load-core", type=int, default=1)
    words.add_argument("--quick", action="store_true", help="fewer rounds, calls and connections")
    words.add_argument("--max-warm-ms", type=float, help="p50 of a warm call beyond the bare one, both ways together")
    words.add_argument("--max-cold-ms", type=float, help="p50 of a start from zero beyond the bare one")
    words.add_argument("--max-idle-growth", type=float, help="memory at zero again over memory before, such as 1.1")
    words.add_argument("--max-broadcast-ratio", type=float, help="CPU of one call over that of a request for each")
    options = words.parse_args(arguments)
    if not options.fanfare:
        words.error("--fanfare is missing, and FANFARE is not set")
    if not set(options.cases) <= set(CASES):
        words.error(f"--cases: one of {', '.join(options.cases)} is unknown")
    quick = options.quick
    options.rounds = options.rounds or (2 if quick else 5)
    options.calls = options.calls or (100 if quick else 500)
    options.starts = options.starts or (3 if quick else 10)
    options.connections = options.connections or (1_000 if quick else 10_000)
    return options


def judge(result, options):
    """What is above the thresholds that were given."""
    for runtime, cells in result.get("warm", {}).items():
        beyond = sum(cells["fanfare"][way]["p50"] - cells["bare"][way]["p50"] for way in ("in_us", "out_us")) / 1_000
        if options.max_warm_ms and beyond > options.max_warm_ms:
            yield f"a warm call of {runtime}: {beyond:.2f} ms beyond the bare one"
    for runtime, cells in result.get("cold", {}).items():
        beyond = cells["fanfare"]["began_ms"]["p50"] - cells["bare"]["began_ms"]["p50"]
        if options.max_cold_ms and beyond > options.max_cold_ms:
            yield f"a start of {runtime} from zero: {beyond:.2f} ms beyond the bare one"
    for name, case in result.get("burst", {}).items():
        if case["answered"] != case["messages"]:
            yield f"{name}: {case['answered']} of {case['messages']} messages were answered"
    if "idle" in result:
        before, after = (result["idle"][when] for when in ("before", "after"))
        growth = gatewaytables.memory(after) / gatewaytables.memory(before)
        if options.max_idle_growth and growth > options.max_idle_growth:
            yield f"memory at zero again: {growth:.2f} times that before"
    if "broadcast" in result:
        for name, ratio in gatewaytables.ratios(result["broadcast"]).items():
            if options.max_broadcast_ratio and ratio > options.max_broadcast_ratio:
                yield f"{name}: {ratio:.3f} times the CPU of a request for each"


if __name__ == "__main__":
    sys.exit(main())
