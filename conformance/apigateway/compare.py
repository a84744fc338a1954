"""Runs the checks against Fanfare and against serverless-offline, and prints what each of them does, as a table.

    FANFARE=target/release/fanfare python conformance/apigateway/compare.py > table.md

The interpreter is the one that has pytest. Each feature is a test, in the words of its docstring: `passed` if all its cases
pass, `failed` if one does not, `not offered` if the target does not claim to have it. The last lines count them.
Results of an earlier run are taken from `--results FOLDER` for targets that have a file there, such as
`serverless-offline.jsonl`; without `--results` they are thrown away.

The peer's packages are installed from `peer/package-lock.json` if they are not there; SERVERLESS_OFFLINE names another
folder that has them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import checks

HERE = Path(__file__).parent
TARGETS = {"fanfare": "Fanfare", "serverless-offline": "serverless-offline"}
RUN_SECONDS = 1_800
INSTALL_SECONDS = 600

# Of all cases of a test the worst counts.
WORST_FIRST = ("failed", "passed", "not offered")


def install_peer():
    """The folder that has the peer's packages."""
    folder = Path(os.environ.get("SERVERLESS_OFFLINE") or HERE / "peer")
    if not (folder / "node_modules/serverless-offline").is_dir():
        # serverless-offline names serverless 4 as its peer, and works with 3.
        command = ["npm", "ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, timeout=INSTALL_SECONDS, stdout=sys.stderr)
    return folder


def judge(target, results):
    """Runs the suite and leaves its results in a file. What fails is no mistake here."""
    env = {**os.environ, "TARGET": target, "RESULTS": str(results)}
    if target == "serverless-offline":
        env["SERVERLESS_OFFLINE"] = str(install_peer())
    command = [sys.executable, "-m", "pytest", str(HERE), "-q", "--tb=no", "--timeout=120"]
    done = subprocess.run(command, env=env, timeout=RUN_SECONDS, stdout=sys.stderr)
    if done.returncode not in (0, 1):
        raise SystemExit(f"the checks did not run against {target}: pytest ended with {done.returncode}")


def outcome_of(line):
    """One case's outcome, in the words of the table."""
    if line["outcome"] == "skipped":
        return "not offered" if "not offered" in line["reason"] else "skipped"
    return line["outcome"]


def read(path):
    """What became of each test, by file and name."""
    cases = defaultdict(list)
    for text in path.read_text().splitlines():
        line = json.loads(text)
        cases[line["file"], line["test"]].append(outcome_of(line))
    return {test: min(found, key=WORST_FIRST.index) for test, found in cases.items() if "skipped" not in found}


def table(results):
    """The table, and a summary."""
    lines = [f"| feature | {' | '.join(TARGETS[target] for target in results)} |", "| --- |" + " --- |" * len(results)]
    counts = {target: Counter() for target in results}
    tests = [test for test in checks.tests() if test.numbers is not None]
    for test in sorted(tests, key=lambda test: min(test.numbers, default=len(checks.NUMBERS) + 1)):
        values = [results[target].get((test.file, test.name), "not run") for target in results]
        for target, value in zip(results, values, strict=True):
            counts[target][value] += 1
        lines.append(f"| {test.feature} | {' | '.join(values)} |")
    lines.append("")
    for target, counted in counts.items():
        told = ", ".join(f"{number} {value}" for value, number in counted.most_common())
        lines.append(f"{TARGETS[target]}: {told}.")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, help="folder where results are kept, and taken from")
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="only this one; may repeat")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.results or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = {}
        for target in asked.target or TARGETS:
            path = folder / f"{target}.jsonl"
            if not path.exists():
                judge(target, path)
            results[target] = read(path)
    print(table(results))


if __name__ == "__main__":
    main()
