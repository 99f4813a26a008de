"""What an IAMAT server answers: a line in, its answer out.

The servers on asyncio share it, as they would share a library. It does no I/O.
"""

import re
import time

NAME = b"Goloman"

# The longest line; who sends more without an end of line is left.
LIMIT = 4096

# Of bytes, `\s` is exactly the six characters of ASCII white space, and `\d` the ten digits.
IAMAT = re.compile(
    rb"IAMAT\s+(\S{1,255})"
    rb"\s+(([+-]\d+(?:\.\d*)?)([+-]\d+(?:\.\d*)?)/?)"
    rb"\s+((-?)(\d{1,18})(?:\.(\d{0,9}))?)"
)


class Herd:
    """What one server knows: of each client the newest report, as (nanoseconds, AT line)."""

    def __init__(self):
        self.reports = {}

    def answer(self, line):
        """What to say to this line; nothing to one of white space alone."""
        line = line.strip()
        match = IAMAT.fullmatch(line)
        if match is None or abs(float(match[3])) > 90 or abs(float(match[4])) > 180:
            return b"? %b\n" % line if line else b""
        client, position, _, _, timestamp, sign, seconds, decimals = match.groups()
        nanoseconds = int(sign + seconds + (decimals or b"").ljust(9, b"0"))
        difference = time.time_ns() - nanoseconds
        sign = b"-" if difference < 0 else b"+"
        report = b"AT %b %b%d.%09d %b %b %b\n" % (
            NAME, sign, *divmod(abs(difference), 10**9), client, position, timestamp
        )
        known = self.reports.get(client)
        if known is None or known[0] < nanoseconds:
            self.reports[client] = (nanoseconds, report)
        return report
