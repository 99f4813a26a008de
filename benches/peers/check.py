"""Says the same to every server before it is measured: an echo has to echo it, an IAMAT server to answer it right.

    benches/peers/run --check

Each conversation is held whole, byte by byte and in pieces, then with the client's end closed.
"""

import re
import socket
import threading
import time
from decimal import Decimal

from processes import Failed

POSITION = b"+34.068930-118.445127"


def report(client, timestamp, position=POSITION):
    """An IAMAT that is right, and the pattern of its answer."""
    answer = rb"AT \S+ ([+-]\d+\.\d{9}) %b %b (%b)\n" % tuple(map(re.escape, (client, position, timestamp)))
    return b"IAMAT %b %b %b\n" % (client, position, timestamp), answer


def refused(line):
    """A line that is none, and the pattern of its answer: a copy, less white space at its ends."""
    return line + b"\n", b"\\? " + re.escape(line.strip(WHITE)) + b"\n"


WHITE = b" \t\r\n\f\v"

# A line, and the pattern of its answer.
LINES = [
    report(b"kiwi.cs.ucla.edu", b"1520023934.918963997"),
    # The very same, an older one, and one that is a nanosecond newer: each gets its own answer.
    report(b"kiwi.cs.ucla.edu", b"1520023934.918963997"),
    report(b"kiwi.cs.ucla.edu", b"1520023934.918963996"),
    report(b"kiwi.cs.ucla.edu", b"1520023934.918963998"),
    report(b"early", b"-1.5"),
    report(b"late", b"4000000000"),
    report(b"short", b"0."),
    report(b"\xff\xa0?\xc3\xa9", b"0"),
    report(b"c" * 255, b"1", b"-90.0+180/"),
    (b"\t IAMAT \f a\v +1-1  7 \r\n", rb"AT \S+ ([+-]\d+\.\d{9}) a \+1-1 (7)\n"),
    (b"\n \t\r\n", b""),
    *map(
        refused,
        [
            b"IAMAT",
            b"IAMAT a +1-1",
            b"IAMAT a +1-1 7 8",
            b"iamat a +1-1 7",
            b"IAMAT " + b"c" * 256 + b" +1-1 7",
            b"IAMAT a 1-1 7",
            b"IAMAT a +91-1 7",
            b"IAMAT a +1-181 7",
            b"IAMAT a +1-1x 7",
            b"IAMAT a +.5-1 7",
            b"IAMAT a +1-1 +7",
            b"IAMAT a +1-1 7e3",
            b"IAMAT a +1-1 nan",
            b"IAMAT a +1-1 .5",
            b"IAMAT a +1-1 1.0123456789",
            b"AT Goloman +0.000000001 a +1-1 7",
            b"  what \xff  is this?\t",
        ],
    ),
]

# As many bytes as no server should keep of one line, at the least.
ENDLESS = 8 << 20

# Who does not answer for so long never will. In seconds.
PATIENCE = 10

# By how much a clock may be off that is read here and there, in nanoseconds.
CLOCKS = 5_000_000_000


def check(peer, port):
    """Holds all conversations with a server. Raises if one goes wrong."""
    for pieces in ([1 << 20], [1], [7, 100, 1]):
        {"echo": echoes, "iamat": answers, "stranger": is_there}[peer.kind](peer, port, pieces)
    if peer.kind == "iamat":
        hangs_up(port)
    if peer.kind != "stranger":
        waits(peer, port)


def echoes(_peer, port, pieces):
    said = b"".join(line for line, _ in LINES) + b"and no end"
    expect(converse(port, said, pieces) == said, "the bytes that come back are others")


def answers(_peer, port, pieces):
    *lines, (last, pattern) = [*LINES, report(b"last", b"9")]
    # The last has no end of line, but ends with the connection.
    said = b"".join(line for line, _ in lines) + last.rstrip(b"\n")
    heard = converse(port, said, pieces)
    now, rest = time.time_ns(), heard
    for line, wanted in [*lines, (last, pattern)]:
        match = re.match(wanted, rest)
        expect(match, f"to {line!r} it answers {rest[:100]!r}")
        rest = rest[match.end() :]
        if match.groups():
            difference, timestamp = (int(Decimal(group.decode()).scaleb(9)) for group in match.groups())
            expect(abs(now - timestamp - difference) < CLOCKS, f"its clock is off: {match[0]!r}")
    expect(rest == b"", f"it says more than it was asked: {rest[:100]!r}")


def is_there(peer, port, _pieces):
    with dial(port) as connection:
        connection.sendall(peer.greeting)
        expect(connection.recv(100), "it closes")


def hangs_up(port):
    """A line without end ends the connection."""
    with dial(port) as connection:
        try:
            for _ in range(ENDLESS >> 16):
                connection.sendall(b"x" * (1 << 16))
            while connection.recv(1 << 16):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass
        except socket.timeout:
            raise Failed("it keeps a line without end") from None


def waits(peer, port):
    """Who does not read for a while loses nothing: first all is said that is taken, then all is heard."""
    line, pattern = report(b"patient", b"1")
    said = line * MANY
    with dial(port) as connection:
        taken = push(connection, said)
        rest = threading.Thread(target=finish, args=(connection, said[taken:]))
        rest.start()
        heard = bytearray()
        while data := connection.recv(1 << 20):
            heard += data
        rest.join()
    expect(peer.kind != "echo" or heard == said, f"of {len(said)} bytes {len(heard)} came back")
    expect(peer.kind != "iamat" or re.fullmatch(rb"(?:%b)*" % pattern, heard), "not every line is answered")
    expect(heard.count(b"\n") == MANY, f"of {MANY} lines {heard.count(NEWLINE)} are answered")


def push(connection, said):
    """Says what is taken without being read from; how much that was."""
    taken, refused_since = 0, None
    connection.setblocking(False)
    while taken < len(said):
        try:
            taken += connection.send(said[taken : taken + (1 << 16)])
            refused_since = None
        except BlockingIOError:
            refused_since = refused_since or time.monotonic()
            if time.monotonic() - refused_since > STUCK:
                break
            time.sleep(0.01)
    connection.settimeout(PATIENCE)
    return taken


NEWLINE = b"\n"

# More lines than all buffers between here and a server take.
MANY = 400_000

# Who takes nothing for so long waits to be read from. In seconds.
STUCK = 0.3


def finish(connection, rest):
    connection.sendall(rest)
    connection.shutdown(socket.SHUT_WR)


def converse(port, said, pieces):
    """All that a server answers until it closes. Pieces of these lengths, in turns, are sent at once."""
    heard = bytearray()
    with dial(port) as connection:
        at = turn = 0
        while at < len(said):
            length = pieces[turn % len(pieces)]
            connection.sendall(said[at : at + length])
            at, turn = at + length, turn + 1
        connection.shutdown(socket.SHUT_WR)
        try:
            while data := connection.recv(1 << 16):
                heard += data
        except socket.timeout:
            raise Failed(f"it does not close; it has said {bytes(heard[-100:])!r}") from None
    return bytes(heard)


def dial(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def expect(holds, otherwise):
    if not holds:
        raise Failed(otherwise)
