"""Figures of many runs, put side by side."""

import statistics

NAMES = {"fanfare": "Fanfare", "bun": "Bun", "bun-turn": "Bun, publishing after the turn"}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def fanout_cell(runs):
    """What is kept of the runs of one case on one server."""
    costs = [run["cost"] for run in runs]
    return {
        "cpu_us": spread([cost["server"]["cpu_us_per_delivery"] for cost in costs]),
        "rate": spread([cost["deliveries_per_second"] for cost in costs]),
        "p50_us": spread([run["latency"]["p50_us"] for run in runs]),
        "p99_us": spread([run["latency"]["p99_us"] for run in runs]),
        "server_share": spread([cost["server"]["cpu_share"] for cost in costs]),
        "server_wait_share": spread([cost["server"]["wait_share"] for cost in costs]),
        "generator_share": spread([cost["generator_share"] for cost in costs]),
    }


def idle_cell(runs):
    servers = [run["server"] for run in runs]
    return {
        "anonymous_bytes": spread([server["anonymous_bytes_per_connection"] for server in servers]),
        "resident_bytes": spread([server["resident_bytes_per_connection"] for server in servers]),
        "cpu_us_per_second": spread([run["cpu_us_per_second"] for run in runs]),
        "resident_before": spread([server["before"]["resident"] for server in servers]),
        "resident_closed": spread([server["closed"]["resident"] for server in servers]),
    }


def ratio(cells, figure, of="median"):
    """Fanfare's figure over that of the best peer, or None where one of them is missing."""
    peers = [cell[figure][of] for name, cell in cells.items() if name != "fanfare"]
    if "fanfare" not in cells or not peers or min(peers) <= 0:
        return None
    return cells["fanfare"][figure][of] / min(peers)


def markdown(result):
    """The whole result as a page."""
    servers = result["servers"]
    names = [NAMES[name] for name in servers]
    lines = [f"# {result['name']}", "", describe(result), ""]
    lines += ["CPU microseconds of the server per delivered message: median (lowest-highest).", ""]
    lines += header(["subscribers", "burst", *names, "Fanfare / best peer (of the lowest)"])
    for case in result["fanout"]:
        cells = case["cells"]
        row = [f"{case['subscribers']:,}", str(case["burst"])]
        row += [shown(cells[name]["cpu_us"], "{:.3f}") for name in servers]
        lines.append(line([*row, shown_ratio(cells, "cpu_us")]))
    lines += ["", "Deliveries per second (thousands) and latency p50 / p99 in milliseconds, medians.", ""]
    lines += header(["subscribers", "burst", *names])
    for case in result["fanout"]:
        row = [f"{case['subscribers']:,}", str(case["burst"])]
        lines.append(line([*row, *(shown_speed(case["cells"][name]) for name in servers)]))
    lines += ["", "How busy server and generator were (percent of a core), medians.", ""]
    lines += header(["subscribers", "burst", *names])
    for case in result["fanout"]:
        row = [f"{case['subscribers']:,}", str(case["burst"])]
        lines.append(line([*row, *(shown_share(case["cells"][name]) for name in servers)]))
    if result["idle"]:
        lines += idle_table(result["idle"], servers, names)
    return "\n".join(lines) + "\n"


def describe(result):
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"{versions}. {machine['cpu']}, Linux {machine['kernel']}, TCP {machine['congestion_control']}; "
        f"server on core {result['options']['server_core']}, generator on core {result['options']['load_core']}; "
        f"{result['options']['rounds']} rounds of {result['options']['seconds']} s, interleaved; "
        f"payloads of {result['options']['size']} bytes. Load average {machine['load_before']} before, "
        f"{machine['load_after']} after. Fanfare's frames carry an envelope (topic, position, time), "
        "Bun's the bare payload."
    )


def idle_table(idle, servers, names, what="connection", ratio_title="Fanfare / best peer (of the lowest)"):
    cells = idle["cells"]
    rows = [
        (f"heap and stacks per {what}, bytes", "anonymous_bytes", "{:,.0f}"),
        (f"resident per {what}, bytes", "resident_bytes", "{:,.0f}"),
        (f"CPU per {what}, µs per second", "cpu_us_per_second", "{:.3f}"),
    ]
    lines = ["", f"{idle['connections']:,} idle {what}s, each with one subscription.", ""]
    lines += header(["", *names, ratio_title])
    for title, figure, form in rows:
        row = [shown(cells[name][figure], form) for name in servers]
        lines.append(line([title, *row, shown_ratio(cells, figure)]))
    return lines


def header(titles):
    return [line(titles), line(["---"] * len(titles))]


def line(cells):
    return "| " + " | ".join(cells) + " |"


def shown(values, form):
    return "{} ({}-{})".format(*(form.format(values[key]) for key in ("median", "min", "max")))


def shown_ratio(cells, figure):
    median, lowest = (ratio(cells, figure, of) for of in ("median", "min"))
    return "" if median is None or lowest is None else f"**{median:.2f}** ({lowest:.2f})"


def shown_speed(cell):
    p50, p99 = (cell[key]["median"] / 1000 for key in ("p50_us", "p99_us"))
    return f"{cell['rate']['median'] / 1000:,.0f}, {p50:.2f} / {p99:.2f}"


def shown_share(cell):
    server, generator = (100 * cell[key]["median"] for key in ("server_share", "generator_share"))
    wait = 100 * cell["server_wait_share"]["median"]
    return f"{server:.0f} / {generator:.0f} (server waited for its core: {wait:.0f})"
