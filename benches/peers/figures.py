"""What the pairs come to: medians of ratios, and which pairs do not count."""

import statistics

# Of a core: a run in which others had more is robbed.
ROBBED = 0.03


def robbed(pair):
    """What part of a core others had in one of its runs, the worse of both."""
    return max(pair[who]["strangers"] for who in ("peer", "echo"))


def is_robbed(pair):
    """Whether that is too much."""
    return robbed(pair) > ROBBED


def ratio(pair, figure="per_second"):
    """The peer's figure as a multiple of the echo's beside it."""
    return pair["peer"][figure] / pair["echo"][figure]


def summary(pairs):
    """Of the pairs of one cell. Who is bound could have done more: in most pairs the load was at its limit."""
    ratios = sorted(map(ratio, pairs))
    return {
        "ratio": statistics.median(ratios),
        "lowest": ratios[0],
        "highest": ratios[-1],
        "p99_ratio": statistics.median(ratio(pair, "p99_us") for pair in pairs),
        "per_second": statistics.median(pair["peer"]["per_second"] for pair in pairs),
        "echo_per_second": statistics.median(pair["echo"]["per_second"] for pair in pairs),
        "cpu_us_per_request": statistics.median(pair["peer"]["cpu_us_per_request"] for pair in pairs),
        "echo_cpu_us_per_request": statistics.median(pair["echo"]["cpu_us_per_request"] for pair in pairs),
        "is_bound": {who: 2 * sum(pair[who]["bottleneck"] for pair in pairs) > len(pairs) for who in ("peer", "echo")},
        "robbed": sum(map(is_robbed, pairs)),
    }
