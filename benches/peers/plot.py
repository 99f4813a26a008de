"""The plot, as SVG: a group of bars for each server, a bar for each load; readable on light and on dark."""

from xml.sax.saxutils import escape

# A load, what it is called, and its colours: of the bar and of what is written on it, on light and on dark.
SERIES = (
    ("50x1", "50 connections, one line at a time", ("#8a5a00", "#fff"), ("#e0a84a", "#1f2328")),
    ("1000x1", "1,000 connections, one line at a time", ("#d9a441", "#1f2328"), ("#f3cf8e", "#1f2328")),
    ("50x16", "50 connections, 16 lines in flight, 1,000 clients", ("#0b4f8a", "#fff"), ("#3f97dd", "#1f2328")),
    ("50x16-100k", "the same with 100,000 clients", ("#2f7fc4", "#fff"), ("#85c1f2", "#1f2328")),
    ("50x16-1m", "the same with 1,000,000 clients", ("#9cc8ec", "#1f2328"), ("#cbe5fb", "#1f2328")),
)
KINDS = {"echo": "Echo servers", "iamat": "IAMAT servers", "stranger": "Of another kind"}

WIDTH, LEFT, RIGHT = 860, 262, 24
TOP, BAR, GAP, LINE, HEADING = 132, 13, 14, 18, 26
TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)

# What is longer ends here; what is shorter than that has its figure beside it.
LONGEST, SHORT = 1.2, 0.1

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.ours, .kind { font-weight: 700 }
.small, .figure { font-size: 11px }
.small { fill: #59636e }
.axis { stroke: #d1d9e0 }
.one { stroke: #59636e; stroke-dasharray: 3 3 }
"""
DARK = """\
text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #3d444d } .one { stroke: #9198a1 }
"""

TITLE = "Requests a second, beside a bare epoll echo in C on the same core"
AXIS = "1 is as many as the echo; more is better"


def svg(results):
    """The whole picture."""
    parts, y, kind = [], TOP, None
    for peer, found in measured(results):
        if peer["kind"] != kind:
            kind = peer["kind"]
            y += HEADING
            parts.append(f'<text class="kind" x="20" y="{y - 9}">{KINDS[kind]}</text>')
        parts.extend(group(peer, found, y))
        y += len(found) * BAR + GAP
    return page([*axis(y - GAP / 2), *parts], y + 26)


def measured(results):
    """Of each peer the loads that it was measured under, with the ratios."""
    for peer in results["peers"]:
        cells = [results["cells"].get(f"{peer['name']}/{name}", {}) for name, *_ in SERIES]
        found = [(series, cell["ratio"]) for series, cell in enumerate(cells) if "ratio" in cell]
        if found:
            yield peer, found


def at(ratio):
    """Where a ratio is, from the left."""
    return LEFT + min(ratio, LONGEST) / LONGEST * (WIDTH - LEFT - RIGHT)


def group(peer, found, y):
    """The bars of one peer, and its name."""
    ours = ' class="ours"' if peer["title"].startswith("**") else ""
    name = escape(peer["title"].replace("**", ""))
    yield f'<text x="{LEFT - 10}" y="{y + len(found) * BAR / 2 + 4:g}" text-anchor="end"{ours}>{name}</text>'
    for series, ratio in found:
        end = at(ratio)
        yield f'<rect class="s{series}" x="{LEFT}" y="{y}" width="{max(end - LEFT, 1):.1f}" height="{BAR - 1}"/>'
        if ratio < SHORT:
            yield f'<text class="small" x="{end + 4:.1f}" y="{y + BAR - 3}">{ratio:.2f}</text>'
        else:
            place = f'x="{end - 4:.1f}" y="{y + BAR - 3}" text-anchor="end"'
            yield f'<text class="figure t{series}" {place}>{ratio:.2f}</text>'
        y += BAR


def axis(bottom):
    for tick in TICKS:
        kind = "one" if tick == 1 else "axis"
        yield f'<line class="{kind}" x1="{at(tick):.1f}" y1="{TOP}" x2="{at(tick):.1f}" y2="{bottom:g}"/>'
        yield f'<text class="small" x="{at(tick):.1f}" y="{bottom + 16:g}" text-anchor="middle">{tick:g}</text>'


def page(parts, height):
    legend = []
    for number, (_, name, *_) in enumerate(SERIES):
        column, row = divmod(number, 3)
        x, y = 20 + column * 400, 44 + row * LINE
        legend.append(f'<rect class="s{number}" x="{x}" y="{y}" width="12" height="12"/>')
        legend.append(f'<text x="{x + 18}" y="{y + 11}">{name}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{TITLE}">',
            f"<style>{STYLE}{colours(2)}\n@media (prefers-color-scheme: dark) {{ {DARK}{colours(3)} }}</style>",
            f'<text class="title" x="20" y="28">{TITLE}</text>',
            *legend,
            f'<text class="small" x="{LEFT}" y="{TOP - 8}">{AXIS}</text>',
            *parts,
            "</svg>\n",
        ]
    )


def colours(which):
    """The rules of one scheme."""
    pairs = [series[which] for series in SERIES]
    return " ".join(f".s{n} {{ fill: {bar} }} .t{n} {{ fill: {text} }}" for n, (bar, text) in enumerate(pairs))
