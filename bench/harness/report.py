# SPDX-License-Identifier: MIT
"""Tables: the same cells for the terminal and for Markdown."""
from harness import machine as machine_module
from harness.suites import title_of


def format_ns(ns):
    for limit, scale, unit in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if ns < limit:
            return f"{ns / scale:.3g} {unit}" if ns < limit / 10 else f"{ns / scale:.0f} {unit}"
    return f"{ns / 1e9:.3g} s"


def format_value(value, unit):
    if unit == "ns":
        return format_ns(value)
    if unit == "ratio":
        return f"{value:.3f}"
    return f"{value:.0f} {unit}"


def format_advantage(result):
    if result.advantage is None or result.peer == "heddle":
        return ""
    low, high = result.advantage_range
    return f"{result.advantage:.2f}x ({low:.2f} to {high:.2f})"


def _compute_cells(row, r):
    own_size = r.extra.get("measured_at")
    return [format_value(r.median, row.unit) + (f", from size {own_size}" if own_size else ""),
            format_ns(r.extra["ns_per_task"]), f"{r.spread:.0%}", format_advantage(r),
            f"{r.extra['peak_rss_kb'] / 1024:.0f} MB"]


def _memory_cells(row, r):
    frames = r.extra.get("frame_bytes_per_task")
    return [format_value(r.median, row.unit), f"{r.spread:.0%}", format_advantage(r),
            f"{frames:.0f} bytes" if frames else ""]


def _server_cells(row, r):
    e = r.extra
    return [format_value(r.median, row.unit), f"{r.spread:.0%}", format_advantage(r),
            f"{e['rate']:.0f}/s", f"{e['p50_us']:.0f} / {e['p99_us']:.0f} µs",
            f"{e['cpu_per_answer']:.2f}", f"{e['client_cpu']:.0%}"]


def _connection_cells(row, r):
    own_size = r.extra.get("measured_at")
    return [format_value(r.median, row.unit) + (f", of {own_size}" if own_size else ""),
            format_advantage(r)]


def _primitive_cells(row, r):
    return [format_value(r.median, row.unit), f"{r.spread:.0%}", format_advantage(r)]


def _micro_cells(row, r):
    return [format_value(r.median, row.unit), f"{r.spread:.0%}"]


def _fairness_cells(row, r):
    e = r.extra
    return [format_ns(e["p50_ns"]), format_value(r.median, row.unit),
            f"{format_ns(min(r.values))} to {format_ns(max(r.values))}", format_ns(e["max_ns"]),
            str(e["samples"])]


def _call_cells(row, r):
    e = r.extra
    return [format_value(r.median, row.unit), f"{r.spread:.0%}", format_advantage(r),
            f"{e['rate']:.0f}/s", f"{e['p50_us']:.0f} / {e['p99_us']:.0f} µs"]


TABLES = {}  # by suite: those whose tables are of their own making

COLUMNS = {
    "fork-join": (["time", "a task", "spread", "heddle is faster by", "peak RSS"], _compute_cells),
    "shapes": (["time", "a task", "spread", "heddle is faster by", "peak RSS"], _compute_cells),
    "io": (["time", "an operation", "spread", "heddle is faster by", "peak RSS"], _compute_cells),
    "memory": (["bytes a task", "spread", "heddle is smaller by", "of it frames"],
               _memory_cells),
    "servers": (["ratio to bare epoll", "spread", "heddle is ahead by", "rate", "p50 / p99",
                 "CPU an answer", "load's CPU"], _server_cells),
    "tls": (["ratio to bare OpenSSL", "spread", "heddle is ahead by", "rate", "p50 / p99",
             "CPU an answer", "load's CPU"], _server_cells),
    "websocket": (["ratio to bare loop", "spread", "heddle is ahead by", "rate", "p50 / p99",
                   "CPU an answer", "load's CPU"], _server_cells),
    "client": (["ratio to wrk", "spread", "heddle is ahead by", "rate", "p50 / p99",
                "CPU an answer", "its CPU"], _server_cells),
    "connections": (["bytes a connection", "heddle is smaller by"], _connection_cells),
    "fairness": (["p50", "p99", "p99 of each run", "max", "samples"], _fairness_cells),
    "cluster": (["time", "spread", "heddle is faster by", "rate", "p50 / p99"], _call_cells),
    "primitives": (["time", "spread", "heddle is faster by"], _primitive_cells),
    "micro": (["time", "spread"], _micro_cells),
}


def _missing(row):
    """(peer, message) of those that gave no figure."""
    return [*((peer, f"failed: {why}") for peer, why in row.failed.items()),
            *((peer, f"skipped: {why}") for peer, why in row.skipped.items())]


def by_problem(rows):
    """Rows that differ in their threads only, together: {title: rows}."""
    problems = {}
    for row in rows:
        problems.setdefault(row.title, []).append(row)
    return problems


def _table_over_threads(suite):
    """A line a peer, a column each number of threads."""
    threads = sorted({row.facts["threads"] for row in suite.rows})
    lines = []
    for title, rows in by_problem(suite.rows).items():
        told = title
        for peer in dict.fromkeys(r.peer for row in rows for r in row.results):
            found = {row.facts["threads"]: r for row in rows
                     if (r := row.result_of(peer)) is not None}
            lines.append([told, title_of(peer),
                          *(format_ns(found[n].extra["ns_per_task"]) if n in found else ""
                            for n in threads)])
            told = ""
        for peer, message in dict(entry for row in rows for entry in _missing(row)).items():
            lines.append([told, title_of(peer), message] + [""] * (len(threads) - 1))
            told = ""
    return ["a task of", "peer", *(f"{n} loops" if n > 1 else "1 loop" for n in threads)], lines


def table(suite):
    """(header, lines) of cells. A row's title and aim stand in its first line only."""
    if suite.name in TABLES:
        return TABLES[suite.name](suite)
    if suite.name == "scaling":
        return _table_over_threads(suite)
    columns, cells_of = COLUMNS[suite.name]
    several = suite.name not in ("micro", "fairness")
    header = ["problem"] + (["peer"] if several else []) + columns + ["aim"]
    lines = []
    for row in suite.rows:
        title, aim = row.title, row.aim
        entries = [(r.peer, cells_of(row, r)) for r in row.results]
        entries += [(peer, [message]) for peer, message in _missing(row)]
        for peer, cells in entries:
            cells = cells + [""] * (len(columns) - len(cells))
            lines.append([title] + ([title_of(peer)] if several else []) + cells + [aim])
            title = aim = ""
    return header, lines


def as_text(suite):
    header, lines = table(suite)
    # A long message in a cell must not widen its column for everybody.
    messages = ("failed: ", "skipped: ")
    told = [line for line in lines if not any(c.startswith(messages) for c in line)]
    widths = [max(len(line[i]) for line in [header, *told]) for i in range(len(header))]
    for i in (0, 1):
        widths[i] = max(len(line[i]) for line in [header, *lines])
    rows = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip()
            for line in [header, *lines]]
    rule = "  ".join("-" * w for w in widths)
    return "\n".join([f"{suite.title}. {suite.explanation}", "", rows[0], rule, *rows[1:], ""])


# Those whose rows have the same peers: they fit into a table of a line a row.
IN_SHORT = ("fork-join", "primitives", "memory")


def _in_short(suite):
    """A line a row and a column a peer: heddle's figure, and how many times that the others'."""
    peers = [p for p in dict.fromkeys(r.peer for row in suite.rows for r in row.results)
             if p != "heddle"]
    lines = []
    for row in suite.rows:
        ours = row.result_of("heddle")
        found = {r.peer: f"{r.advantage:.3g}" for r in row.results if r.advantage is not None}
        lines.append([row.title, format_value(ours.median, row.unit) if ours else "",
                      *(found.get(peer, "") for peer in peers), row.aim])
    return [suite.title, "heddle", *(title_of(p) for p in peers), "aim"], lines


def _markdown_table(header, lines):
    return ["| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *lines]]


def as_markdown(suites, machine, plots):
    parts = ["# heddle's bench", "", machine_module.in_words(machine), ""]
    short = [s for s in suites if s.name in IN_SHORT]
    if short:
        parts += ["## In short", "", "heddle's figure, and how many times that its peers take.", ""]
    for suite in short:
        parts += [*_markdown_table(*_in_short(suite)), ""]
    for suite in suites:
        header, lines = table(suite)
        parts += [f"## {suite.title}", "", suite.explanation, ""]
        parts += [*_markdown_table(header, lines), ""]
        if suite.name in plots:
            parts += [f"![{suite.title}]({plots[suite.name]})", ""]
    return "\n".join(parts)


def as_json(suites, machine):
    return dict(schema=1, machine=machine, suites=[s.to_json() for s in suites])
