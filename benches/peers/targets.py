"""What we want of ourselves, and whether it holds. Nothing is ended by it: it is told."""

PIPELINED = ("50x16", "50x16-100k", "50x16-1m")
ONE_AT_A_TIME = ("50x1", "1000x1")

# How many times as fast as others, with so many clients.
TIMES = {
    "50x16": {"asyncio": 4, "uvloop": 4, "node": 3, "redis": 3},
    "50x16-100k": {"asyncio": 5, "uvloop": 5, "node": 5, "redis": 5},
    **{row: {"asyncio": 1.5, "uvloop": 1.5, "node": 1.5, "redis": 1.5} for row in ONE_AT_A_TIME},
}


def verdicts(cells):
    """Each target: what it is, the figure (None if it was not measured), its bound, and whether it holds."""
    for name, row, figure, bound, is_least in targets():
        cell = f"{name}/{row}"
        found = verdict(f"{name} {row} {figure}", value(cells, cell, figure), bound, is_least)
        yield {**found, "is_bound": figure == "ratio" and any(cells.get(cell, {}).get("is_bound", {}).values())}
    for row, others in TIMES.items():
        for other, bound in others.items():
            mine, theirs = (value(cells, f"{name}/{row}", "ratio") for name in ("callbacks", other))
            times = mine / theirs if mine is not None and theirs else None
            yield verdict(f"callbacks {row} ratio, times {other}'s", times, bound, True)


def targets():
    """Peer, row, figure, bound, and whether that is the least (or the most) it may be."""
    for row in ("50x1", "1000x1", "50x16"):
        yield "loop", row, "ratio", 0.97, True
    for row in ONE_AT_A_TIME:
        yield "callbacks", row, "ratio", 0.95, True
        yield "streams", row, "ratio", 0.90, True
    for row, bound in zip(PIPELINED, (0.70, 0.55, 0.45)):
        yield "callbacks", row, "ratio", bound, True
        yield "callbacks-logged", row, "ratio", 0.30, True
    yield "streams", "50x16", "ratio", 0.50, True
    yield "callbacks", "1000x1", "p99_ratio", 1.1, False
    yield "callbacks", "idle", "bytes_per_connection", 512, False
    yield "callbacks", "50x16-1m", "bytes_over_line", 200, False


def value(cells, name, figure):
    cell = cells.get(name, {})
    return cell.get("known", {}).get(figure) if figure == "bytes_over_line" else cell.get(figure)


def verdict(what, figure, bound, is_least):
    holds = None if figure is None else figure >= bound if is_least else figure <= bound
    return {"what": what, "figure": figure, "bound": bound, "is_least": is_least, "holds": holds, "is_bound": False}


def text(verdict):
    """A line of the list."""
    word = {None: "not measured", True: "holds", False: "FAILS"}[verdict["holds"]]
    figure = "" if verdict["figure"] is None else f": {verdict['figure']:,.2f}"
    doubt = "; but the load was at its limit" if verdict["is_bound"] else ""
    side = "least" if verdict["is_least"] else "most"
    return f"{word:12}  {verdict['what']}{figure} (at {side} {verdict['bound']}){doubt}"
