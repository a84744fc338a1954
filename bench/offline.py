#!/usr/bin/env python3
"""Fanfare's offline queues: what durable MQTT sessions cost that are away, and that nothing is lost.

Sessions subscribe to one topic and leave; messages are published; all sessions come back, some at
once, and each one checks every byte of every message, in order. The data folder is to grow with the
messages, whoever waits for them.

    bench/offline.py --fanfare target/release/fanfare
    bench/offline.py --fanfare target/release/fanfare --sessions 1000 --kill   # kill -9 half-way

With --kill the server dies when half of the messages have come back, and is started again: messages
may come twice then, marked with DUP. Prints lines, and writes every figure to results/<name>.json.
Needs Linux, taskset and nothing from PyPI.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import time

import peers
import servers

DRAIN_SECONDS_MAX = 3_600
# The log writes its ends; a folder is at rest when it stays as it is for this long.
REST_SECONDS = 1.0


def main():
    options = parse(sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with servers.start_mqtt("fanfare", options, "offline.toml") as server:
        result = {
            "name": options.name,
            "version": servers.version_of(options.fanfare),
            "sessions": options.sessions,
            "messages": options.messages,
            "size": options.size,
            "at_once": options.at_once,
            "was_killed": options.kill,
            "machine": peers.machine(),
            "steps": steps(server, options),
        }
    result["machine"]["load_after"] = peers.load_average()
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{options.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    complaints = list(judge(result, options))
    for complaint in complaints:
        print(f"not as it should be: {complaint}")
    return 1 if complaints else 0


def parse(arguments):
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--fanfare", type=peers.executable, required=True, help="release binary of Fanfare")
    words.add_argument("--generator", type=peers.executable, help="the generator, when it is not `fanfare bench`")
    words.add_argument("--name", default=time.strftime("offline-%Y-%m-%d"), help="of the file in results/")
    words.add_argument("--results", type=pathlib.Path, default=servers.HERE / "results")
    words.add_argument("--sessions", type=int, default=10_000)
    words.add_argument("--messages", type=int, default=1_000)
    words.add_argument("--size", type=int, default=200, help="payload bytes")
    words.add_argument("--at-once", type=int, default=1_000, help="sessions that are connected at once")
    words.add_argument("--kill", action="store_true", help="kill -9 when half of the messages have come back")
    words.add_argument("--server-core", type=int, default=0)
    words.add_argument("--load-core", type=int, default=1)
    words.add_argument("--max-disk-ratio", type=float, help="growth of the data folder over the bytes published")
    words.add_argument("--max-peak-bytes", type=float, help="the server's peak of resident memory")
    return words.parse_args(arguments)


def steps(server, options):
    """All parts of the run, with the server's figures after each."""
    fresh = state("fresh", server)
    left = part("leave", server, options)
    published = part("publish", server, options)
    drained = part("drain", server, options)
    found = [fresh, left, published, drained]
    if not options.kill:
        # Whoever asks again gets nothing: no message is left over, none comes twice.
        found.append(part("drain", server, options, "again", messages=0))
    grown = published["disk"] - left["disk"]
    payload = options.messages * options.size
    show(f"the data folder grew by {grown:,} bytes for {payload:,} bytes published, {options.sessions:,} waiting")
    return found


def part(phase, server, options, name=None, messages=None):
    """Runs one part of `fanfare bench offline`; the server is started again if that part kills it."""
    kills = options.kill and phase == "drain"
    command = [options.generator] if options.generator else [options.fanfare, "bench"]
    command = ["taskset", "-c", options.load_core, *command, "offline", "--phase", phase, "--run", "offline"]
    command += ["--sessions", options.sessions, "--size", options.size, "--at-once", options.at_once]
    command += ["--messages", options.messages if messages is None else messages, *(["--kill"] if kills else [])]
    command += ["--url", server.url, "--pid", server.pid, "--dialect", "mqtt", "--qos", 1, "--json"]
    worker = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if kills:
            revive(server, worker)
        said, complaint = worker.communicate(timeout=DRAIN_SECONDS_MAX)
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
    if worker.returncode != 0:
        raise SystemExit(f"{phase}:\n{complaint}{server.said()}")
    return state(name or phase, server, json.loads(said))


def revive(server, worker):
    """Waits until the generator has killed the server, and starts it again."""
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    while server.process.poll() is None and worker.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if server.process.poll() is not None:
        started = time.monotonic()
        server.launch()
        server.wait_until_ready()
        show(f"killed; up again after {time.monotonic() - started:.2f} s")


def state(name, server, report=None):
    """Disk and memory of the server, and what the generator found."""
    memory = memory_of(server.pid)
    found = {"step": name, "disk": disk_at_rest(server), **memory, "report": report}
    line = f"{name:8} disk {found['disk']:>13,}  resident {memory['resident']:>13,}  peak {memory['peak']:>13,}"
    cost = report and (report["draining"] or report["publishing"])
    if cost and not cost["deliveries"]:
        line += f"  nothing more for {report['sessions']:,} sessions"
    elif cost:
        line += f"  {cost['deliveries']:,} deliveries in {cost['seconds']:.1f} s"
        if cost["server"]:
            line += f", {cost['server']['cpu_us_per_delivery']:.3f} µs CPU each"
        line += f" (generator {cost['generator_us_per_delivery']:.3f} µs)"
    elif report:
        line += f"  {report['sessions']:,} sessions left in {report['leaving_seconds']:.1f} s"
    if report and report["duplicates"]:
        line += f", {report['duplicates']:,} came twice"
    if report and report["unmarked_duplicates"]:
        line += f", {report['unmarked_duplicates']:,} more without DUP"
    show(line)
    return found


def memory_of(pid):
    """Resident bytes now and at most. The peak starts again with the next part."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    figures = {"resident": "VmRSS", "peak": "VmHWM"}
    found = {name: int(fields[field].split()[0]) * 1024 for name, field in figures.items()}
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    return found


def disk_at_rest(server):
    """Bytes that the data folder takes on the disk, once it has come to rest."""
    folder = pathlib.Path(server.folder.name) / "data"
    used = disk(folder)
    for _ in range(10):
        time.sleep(REST_SECONDS)
        earlier, used = used, disk(folder)
        if used == earlier:
            break
    return used


def disk(folder):
    """Blocks, not lengths: files may be made longer than what is in them."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            pass
    return total


def judge(result, options):
    steps_by_name = {step["step"]: step for step in result["steps"]}
    unmarked = sum((step["report"] or {}).get("unmarked_duplicates", 0) for step in result["steps"])
    if unmarked:
        yield f"{unmarked:,} messages came twice without DUP"
    grown = steps_by_name["publish"]["disk"] - steps_by_name["leave"]["disk"]
    ratio = grown / max(1, options.messages * options.size)
    if options.max_disk_ratio and ratio > options.max_disk_ratio:
        yield f"the data folder grew by {ratio:.2f} times the bytes published"
    peak = max(step["peak"] for step in result["steps"])
    if options.max_peak_bytes and peak > options.max_peak_bytes:
        yield f"peak of resident memory: {peak:,} bytes"


def show(text):
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
