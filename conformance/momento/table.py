"""What applications see when something fails, as a table for docs/momento.md: runs test_failures.py.

    FANFARE=target/release/fanfare python conformance/momento/table.py             # prints it
    FANFARE=target/release/fanfare python conformance/momento/table.py --write     # and puts it into docs/momento.md
    python conformance/momento/table.py --results FILE                             # from a run with RESULTS=FILE
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs/momento.md"
BEGIN, END = "<!-- table of failures: by conformance/momento/table.py -->", "<!-- end of the table -->"
SDKS = {"node": "Node", "web": "Web", "python": "Python", "rust": "Rust"}
FAILURES = {
    "expires": "token expires",
    "revoked": "key is revoked",
    "deleted": "cache is deleted",
    "stops": "server stops in good order, starts again",
    "crashes": "server crashes, starts again",
    "forgets": "server starts again with an empty data folder",
    "cut": "connections reset, none for 2 s",
    "silent": "nothing gets through for 8 s",
}
CALLBACKS = {"lost": "`onConnectionLost`", "discontinuity": "`onDiscontinuity`", "end": "`onSubscriptionEnd`"}


def sentence(found):
    """An observation in words."""
    if not found["answers"]:
        return "hears nothing more; its event loop is busy for ever"
    told = []
    for one in found["told"]:
        kind, _, code = one.partition(" ")
        word = f"`onError` `{code}`" if kind == "error" else CALLBACKS.get(kind, kind)
        if word not in told:
            told.append(word)
    if not found["goes_on"]:
        end = "and it ends" if found["error"] else f"hears nothing more; asks again {found['asks']:g} times a second"
        return ", ".join([*told, end])
    rest = ["nothing is lost" if not found["missed"] else f"{found['missed']} lost"]
    rest += ["the last item comes again"] if found["twice"] else []
    return f"{', '.join([*told, 'goes on'])}; {', '.join(rest)}"


def table(observations):
    found = {(one["failure"], one["sdk"]): sentence(one) for one in observations}
    lines = ["| | " + " | ".join(SDKS.values()) + " |", "| --- |" + " --- |" * len(SDKS)]
    for failure, words in FAILURES.items():
        lines.append(f"| {words} | " + " | ".join(found.get((failure, sdk), "not tried") for sdk in SDKS) + " |")
    return "\n".join(lines)


def observe(results):
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", str(HERE / "test_failures.py")]
    subprocess.run(command, env={**os.environ, "RESULTS": str(results)}, stdout=sys.stderr, check=False)


def put(text):
    begin, rest = DOCS.read_text().split(BEGIN, 1)
    DOCS.write_text(f"{begin}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=Path)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = asked.results or Path(folder) / "results"
        if not asked.results:
            observe(results)
        made = table([json.loads(line) for line in results.read_text().splitlines()])
    print(made)
    if asked.write:
        put(made)


if __name__ == "__main__":
    main()
