"""The figures of apigateway.py as a page."""

import tables

RUNTIMES = {"python": "Python", "node": "Node"}
SENDINGS = {
    "call": "one call, `POST /dev/@connections`",
    "topic": "one call, `POST /dev/@topics/everybody`",
    "each": "a signed `POST /dev/@connections/ID` for each",
}


def markdown(result):
    """The whole result as a page, with a part for each case that was run."""
    lines = [f"# {result['name']}", "", describe(result)]
    parts = {"warm": warm, "cold": cold, "burst": burst, "idle": idle, "broadcast": broadcast}
    for case, part in parts.items():
        if case in result:
            lines += ["", *part(result[case])]
    return "\n".join(lines) + "\n"


def describe(result):
    machine, options = result["machine"], result["options"]
    return (
        f"fanfare {result['version'].split()[-1]}. {machine['cpu']}, Linux {machine['kernel']}; server and functions "
        f"on core {options['server_core']}, clients on core {options['load_core']} (for many at once, and for the way to "
        f"zero, the server has all cores); {options['rounds']} rounds, interleaved. Load average "
        f"{machine['load_before']} before, {machine['load_after']} after."
    )


def warm(found):
    text = "from the client's message to the function, and from there to the client's frame."
    yield f"**A warm call**, microseconds, p50 / p99: {text}"
    yield ""
    yield from tables.header(["", "in", "out", "server CPU"])
    for runtime, cells in found.items():
        for name, title in (("fanfare", "Fanfare"), ("bare", "bare Runtime API")):
            cell = cells[name]
            cpu = f"{cell['cpu_us']['p50']:.0f}" if "cpu_us" in cell else ""
            yield tables.line([f"{RUNTIMES[runtime]}, {title}", both(cell["in_us"]), both(cell["out_us"]), cpu])


def cold(found):
    text = "from the client's message, or from the start of the process, to the handler."
    yield f"**From zero**, milliseconds, p50 / p99: {text}"
    yield ""
    bare_titles = ["bare: start to first /next", "bare: start to handler"]
    yield from tables.header(["", "message to handler", *bare_titles, "Fanfare's own (p50)"])
    for runtime, cells in found.items():
        own, bare = cells["fanfare"], cells["bare"]
        added = own["began_ms"]["p50"] - bare["began_ms"]["p50"]
        row = [both(own["began_ms"], 1), both(bare["ready_ms"], 1), both(bare["began_ms"], 1), f"{added:.1f}"]
        yield tables.line([RUNTIMES[runtime], *row])


def burst(found):
    yield "**Many messages at once** to a function that takes 100 ms (`capped` has a reserved concurrency of 20)."
    yield ""
    yield from tables.header(["function", "messages", "answered", "seconds", "processes"])
    for name, case in found.items():
        seconds = f"{case['seconds']:.2f}"
        yield tables.line([name, str(case["messages"]), str(case["answered"]), seconds, str(case["processes"])])


def idle(found):
    yield "**To zero**: processes and resident memory (MiB), with 50 connections open all the time."
    yield ""
    yield from tables.header(["", "function processes", "server", "functions", "together"])
    for when, state in found.items():
        sizes = [f"{size / 2**20:.1f}" for size in (state["server"], state["functions"], memory(state))]
        yield tables.line([when, str(state["processes"]), *sizes])


def memory(state):
    return state["server"] + state["functions"]


def broadcast(found):
    yield f"**One message of {found['bytes']} bytes to {found['connections']:,} connections**, medians."
    yield ""
    titles = ["until all have it, ms", "server CPU, ms", "CPU a delivery, µs", "of a request for each"]
    yield from tables.header(["", *titles])
    shares = ratios(found)
    for name, title in SENDINGS.items():
        cell = found["cells"][name]
        figures = [f"{cell['seconds']['p50'] * 1e3:.0f}", f"{cell['cpu_ms']['p50']:.1f}", f"{cell['cpu_us']['p50']:.2f}"]
        yield tables.line([title, *figures, f"{shares[name]:.3f}" if name in shares else ""])


def ratios(found):
    """CPU of each single call over that of a request for each, of the lowest: other work only ever adds."""
    lowest = {name: cell["cpu_us"]["min"] for name, cell in found["cells"].items()}
    return {name: lowest[name] / lowest["each"] for name in ("call", "topic")}


def both(cell, digits=0):
    return f"{cell['p50']:.{digits}f} / {cell['p99']:.{digits}f}"
