"""The table, in Markdown: a line for each peer, a column for each load, all as ratios to the echo beside it."""

KINDS = (
    ("echo", "Echo servers"),
    ("iamat", "IAMAT servers"),
    ("stranger", "Another kind of server, for scale"),
)

COLUMNS = (
    ("50 × 1", "50x1", "ratio"),
    ("1,000 × 1", "1000x1", "ratio"),
    ("p99 at 1,000 × 1", "1000x1", "p99_ratio"),
    ("50 × 16", "50x16", "ratio"),
    ("100,000 clients", "50x16-100k", "ratio"),
    ("1,000,000 clients", "50x16-1m", "ratio"),
    ("idle connection", "idle", "bytes_per_connection"),
    ("known client", "50x16-1m", "known"),
)

LEGEND = """\
Each figure is the median of the ratios of {pairs} pairs of runs, {seconds:g} s each: requests a second of the server, and of a bare
echo server on epoll in C that is measured right before or after it with the same lines; 1 is as fast as that. `50 × 16`: 50
connections with 16 lines in flight each, of 1,000 clients unless another number is said. At p99 less is better: its ratio is that of
latencies. Servers have one core, the load {load_core}.
"""
MEMORY = """\
Memory is what a server has taken for itself (anonymous pages): bytes for each of {idle:,} connections that say nothing; and bytes
for each of 1,000,000 known clients, less the length of the client's AT line.
"""

# Where the page goes in another one.
BEGIN, END = "<!-- the table of benches/peers/run -->", "<!-- its end -->"

# By who is bound, the peer and the echo.
SIGNS = {(False, False): "", (False, True): "≤ ", (True, False): "≥ ", (True, True): "~ "}

BOUND = "≤, ≥, ~: the load was at its limit, so the echo (≤), the server (≥) or both (~) could have done more.\n"


def markdown(results):
    """The whole page."""
    cells, plan = results["cells"], results["plan"]
    same = plan["server_core"] == plan["load_core"]
    idle = next((cell["connections"] for name, cell in cells.items() if name.endswith("/idle") and "bytes" in cell), 0)
    load_core = "the same, as there is no other" if same else "another"
    machine = "; ".join(f"{name} {what}" for name, what in results["machine"].items())
    lines = [
        f"`{results['command']}` on {results['date']}, {results['minutes']:.0f} minutes: {machine}.",
        "",
        LEGEND.format(pairs=plan["pairs"], seconds=plan["seconds"], load_core=load_core),
        *([MEMORY.format(idle=idle)] if idle else []),
    ]
    for kind, heading in KINDS:
        peers = [peer for peer in results["peers"] if peer["kind"] == kind]
        lines.extend(block(heading, peers, COLUMNS, cells))
    if any(any(cell.get("is_bound", {}).values()) for cell in cells.values()):
        lines.append(BOUND)
    columns = [(title, row, "cpu") for title, row, figure in COLUMNS if figure == "ratio"]
    lines.extend(block("Processor time of each request, µs (the echo's beside it)", results["peers"], columns, cells))
    lines.extend(notes(results))
    return "\n".join(lines).rstrip() + "\n"


def put_into(text, page):
    """The text with the page between its marks, in place of what was there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"there is no {BEGIN} with {END} after it")
    return f"{before}{begin}\n{page}{end}{after}"


def block(heading, peers, columns, cells):
    """A table: its head, a line for each peer; without lines and columns in which there would be nothing."""
    columns = [column for column in columns if any(f"{peer['name']}/{column[1]}" in cells for peer in peers)]
    peers = [peer for peer in peers if any(f"{peer['name']}/{row}" in cells for _, row, _ in columns)]
    if not peers:
        return
    yield f"| {heading} | {' | '.join(title for title, _, _ in columns)} |"
    yield "| --- |" + " ---: |" * len(columns)
    for peer in peers:
        found = [cell_text(cells.get(f"{peer['name']}/{row}"), figure) for _, row, figure in columns]
        yield f"| {peer['title']} | {' | '.join(found)} |"
    yield ""


def cell_text(cell, figure):
    """A figure; nothing where none is to be had."""
    if cell is None:
        return ""
    if "failed" in cell:
        return "failed"
    if figure == "known":
        return f"{cell['known']['bytes_over_line']:,.0f} B" if "known" in cell else ""
    if figure == "cpu":
        return f"{cell['cpu_us_per_request']:.2f} ({cell['echo_cpu_us_per_request']:.2f})"
    if figure == "bytes_per_connection":
        return f"{cell[figure]:,.0f} B"
    sign = SIGNS[cell["is_bound"]["peer"], cell["is_bound"]["echo"]] if figure == "ratio" else ""
    return f"{sign}{cell[figure]:.2f}"


def notes(results):
    """What went otherwise than planned."""
    cells = results["cells"]
    repeated = sum(cell.get("repeated", 0) for cell in cells.values())
    robbed = sum(cell.get("robbed", 0) for cell in cells.values())
    if repeated or robbed:
        yield (
            f"Of all pairs {repeated} were made again because others took a part of a core meanwhile, and {robbed} are among the "
            "figures though they did."
        )
    for name, why in results["skipped"].items():
        yield f"Skipped: {name}: {why}."
    for name, cell in cells.items():
        if "failed" in cell:
            yield f"Failed: {name}: {cell['failed']}."
