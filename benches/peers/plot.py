"""The plot, as SVG: a group of bars for each server, a bar for each load; readable on light and on dark."""

from xml.sax.saxutils import escape

# A load, what it is called, and its colour on light and on dark.
SERIES = (
    ("50x1", "50 connections, one line at a time", "#8a5a00", "#e0a84a"),
    ("1000x1", "1,000 connections, one line at a time", "#c98a1b", "#f3cf8e"),
    ("50x16", "50 connections, 16 lines in flight, 1,000 clients", "#0b4f8a", "#4aa3ea"),
    ("50x16-100k", "the same with 100,000 clients", "#2f86cf", "#8cc6f5"),
    ("50x16-1m", "the same with 1,000,000 clients", "#7db6e6", "#cbe5fb"),
)

WIDTH, LEFT, RIGHT = 860, 250, 60
TOP, BAR, GAP, LINE = 138, 11, 16, 18
TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.ours { font-weight: 700 }
.small { font-size: 11px; fill: #59636e }
.axis { stroke: #d1d9e0 }
.one { stroke: #59636e; stroke-dasharray: 3 3 }
"""
DARK = """\
text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #3d444d } .one { stroke: #9198a1 }
"""


def svg(results):
    """The whole picture."""
    groups = list(bars(results))
    highest = max((ratio for _, found in groups for _, ratio in found), default=1)
    scale = (WIDTH - LEFT - RIGHT) / max(highest, 1)
    parts, y = [], TOP
    for peer, found in groups:
        middle = y + len(found) * BAR / 2
        ours = ' class="ours"' if peer["title"].startswith("**") else ""
        parts.append(f'<text x="{LEFT - 10}" y="{middle + 4:g}" text-anchor="end"{ours}>{label(peer)}</text>')
        for series, ratio in found:
            width = max(ratio * scale, 1)
            parts.append(f'<rect class="s{series}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 1}"/>')
            parts.append(f'<text class="small" x="{LEFT + width + 5:.1f}" y="{y + BAR - 2}">{ratio:.2f}</text>')
            y += BAR
        y += GAP
    return page(parts, axis(scale, y - GAP / 2), y + 34)


def bars(results):
    """Of each peer the loads that it was measured under, with the ratios."""
    for peer in results["peers"]:
        cells = [results["cells"].get(f"{peer['name']}/{name}", {}) for name, *_ in SERIES]
        found = [(series, cell["ratio"]) for series, cell in enumerate(cells) if "ratio" in cell]
        if found:
            yield peer, found


def label(peer):
    kind = " echo" if peer["kind"] == "echo" else ""
    return escape(peer["title"].replace("**", "") + kind)


def axis(scale, bottom):
    for tick in TICKS:
        x = LEFT + tick * scale
        yield f'<line class="{"one" if tick == 1 else "axis"}" x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom:g}"/>'
        yield f'<text class="small" x="{x:.1f}" y="{bottom + 16:g}" text-anchor="middle">{tick:g}</text>'


def page(parts, lines, height):
    colours = "".join(f".s{number} {{ fill: {light} }} " for number, (_, _, light, _) in enumerate(SERIES))
    dark = "".join(f".s{number} {{ fill: {dark} }} " for number, (_, _, _, dark) in enumerate(SERIES))
    legend = []
    for number, (_, name, _, _) in enumerate(SERIES):
        column, row = divmod(number, 3)
        x, y = 20 + column * 400, 44 + row * LINE
        legend.append(f'<rect class="s{number}" x="{x}" y="{y}" width="12" height="12"/>')
        legend.append(f'<text x="{x + 18}" y="{y + 11}">{name}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{TITLE}">',
            f"<style>{STYLE}{colours}\n@media (prefers-color-scheme: dark) {{ {DARK}{dark}}}</style>",
            f'<text class="title" x="20" y="28">{TITLE}</text>',
            *legend,
            f'<text class="small" x="{LEFT}" y="{TOP - 16}">{AXIS}</text>',
            *lines,
            *parts,
            "</svg>\n",
        ]
    )


TITLE = "Requests a second, beside a bare epoll echo in C on the same core"
AXIS = "1 is as many as the echo; more is better"
