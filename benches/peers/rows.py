"""What is measured: loads, each beside the echo, and memory; a cell is one of them for one peer."""

import dataclasses
import json
import os
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from figures import is_robbed, ratio, robbed, summary
from processes import TICK, Failed, Server, Strangers, prepare

# How long a load may take that is to fill a slow server, beyond the time it was told.
PATIENCE = 240

# How many connections are made at once: fewer than a listener's backlog.
CROWD = 100

# From how many clients on it is told what each of them costs.
MANY = 1_000_000

# What a run takes beside what it was told, in seconds.
AROUND = 0.3

# How often the server's time is read, in seconds.
EVERY = 0.1


@dataclasses.dataclass(frozen=True)
class Row:
    """A load: so many connections with so many lines in flight each, on behalf of so many clients."""

    name: str
    title: str
    connections: int
    pipeline: int
    clients: int
    # Who is measured.
    kinds: tuple


EVERYBODY = ("echo", "iamat", "stranger")
WITH_CLIENTS = ("iamat", "stranger")

ROWS = (
    Row("50x1", "50 × 1", 50, 1, 1_000, EVERYBODY),
    Row("1000x1", "1,000 × 1", 1_000, 1, 1_000, EVERYBODY),
    Row("50x16", "50 × 16, 1,000 clients", 50, 16, 1_000, EVERYBODY),
    Row("50x16-100k", "50 × 16, 100,000 clients", 50, 16, 100_000, WITH_CLIENTS),
    Row("50x16-1m", "50 × 16, 1,000,000 clients", 50, 16, 1_000_000, WITH_CLIENTS),
)

# The cell of idle connections, and how many there are if the system has as many files.
IDLE, IDLE_CONNECTIONS = "idle", 10_000
# What this process and a server need beside the connections.
OTHER_FILES = 100


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long, how often, and where."""

    seconds: float
    warm_up: float
    pairs: int
    # How many pairs of a cell are made again at the most.
    repeats: int
    server_core: int
    load_core: int
    open_files: int


class Bench:
    """Measures cells. `echo` is the peer that the others are held against, `load` the command of the load."""

    def __init__(self, plan, echo, load, tell):
        self.plan, self.echo, self.load, self.tell = plan, echo, load, tell

    def pairs(self, peer, row):
        """The cell of a load: pair after pair, whose order changes, until enough were not robbed; or those robbed least."""
        with self.serve(peer) as server, self.serve(self.echo) as echo:
            cell, wanted = {}, self.plan.pairs
            before = server.memory()
            # It does not count: so there is time for what is compiled as it runs.
            filled = self.once(peer, server, row, fill=True)
            if row.clients >= MANY and peer.kind == "iamat":
                cell["known"] = known(row.clients, server.memory() - before, filled["line_bytes"])
            made = []
            while sum(not is_robbed(pair) for pair in made) < wanted and len(made) < wanted + self.plan.repeats:
                measure = {
                    "peer": lambda: self.once(peer, server, row),
                    "echo": lambda: self.once(self.echo, echo, row),
                }
                order = ("peer", "echo") if len(made) % 2 == 0 else ("echo", "peer")
                pair = {who: measure[who]() for who in order}
                made.append(pair)
                self.tell(
                    f"{peer.name} {row.name}: {ratio(pair):.3f} ({pair['peer']['per_second']:,.0f}/s beside "
                    f"{pair['echo']['per_second']:,.0f}/s){', robbed' if is_robbed(pair) else ''}"
                )
            pairs = sorted(made, key=robbed)[:wanted]
            return {**cell, "pairs": pairs, "repeated": len(made) - wanted, **summary(pairs)}

    def idle(self, peer):
        """The cell of memory: what a connection costs that says nothing."""
        count = min(IDLE_CONNECTIONS, self.plan.open_files - OTHER_FILES)
        with self.serve(peer) as server, ExitStack() as stack:
            # The first may make what all share. It leaves again: some have a limit of just so many.
            with visit(server, peer, is_last=True):
                pass
            before = server.memory()
            for number in range(1, count + 1):
                # One that is answered is there, and those before it.
                is_last = number % CROWD == 0 or number == count
                stack.enter_context(visit(server, peer, is_last))
            grown = server.memory() - before
        self.tell(f"{peer.name} {IDLE}: {grown / count:,.0f} bytes for each of {count:,} connections")
        return {"connections": count, "bytes": grown, "bytes_per_connection": grown / count}

    @contextmanager
    def serve(self, peer):
        with tempfile.TemporaryDirectory(prefix="peers-") as folder:
            folder = Path(folder)
            with Server(peer.name, peer.command, folder, self.plan.server_core, peer.environment) as server:
                server.folder = folder
                yield server

    def once(self, peer, server, row, fill=False):
        """One run of the load; the first makes every client known."""
        seconds, warm_up = self.plan.seconds, self.plan.warm_up
        command = [
            *self.load, f"127.0.0.1:{server.port}",
            "--connections", str(row.connections), "--pipeline", str(row.pipeline), "--clients", str(row.clients),
            "--duration", str(seconds), "--warm-up", str(warm_up), *([] if fill else ["--no-fill"]),
            *peer.load, "--json",
        ]  # fmt: skip
        strangers = Strangers([server.pid])
        samples = []
        load = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: prepare(self.plan.load_core),
        )
        try:
            deadline = time.monotonic() + seconds + warm_up + PATIENCE
            while True:
                samples.append((time.monotonic(), server.seconds()))
                try:
                    said, errors = load.communicate(timeout=EVERY)
                    break
                except subprocess.TimeoutExpired:
                    if time.monotonic() > deadline:
                        raise Failed("the load does not end") from None
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
        share = strangers.share()
        peer.tidy(server.folder)
        server.expect_alive()
        if load.returncode != 0:
            raise Failed(f"the load says: {errors.decode(errors='replace').strip()[-300:]}")
        figures = json.loads(said)
        if figures["errors"] or not figures["requests"]:
            raise Failed(f"{figures['errors']} of {figures['requests']} requests were answered wrongly")
        return {
            "requests": figures["requests"],
            "per_second": figures["per_second"],
            "p50_us": figures["latency_us"]["p50"],
            "p99_us": figures["latency_us"]["p99"],
            "max_us": figures["latency_us"]["max"],
            "line_bytes": figures["line_bytes"],
            "load_busy": figures["load_busy"],
            "bottleneck": figures["bottleneck"],
            "cpu_us_per_request": busy(samples, seconds) / figures["per_second"] * 1e6,
            "strangers": share,
        }


def minutes(plan, cells):
    """About how long so many cells take if nobody disturbs."""
    return cells * (1 + 2 * plan.pairs) * (plan.seconds + plan.warm_up + AROUND) / 60


def known(clients, grown, line_bytes):
    """What a client costs that is known, over the length of its AT line."""
    at_line = line_bytes - len("IAMAT ") + len("AT Goloman +0.000000000 ")
    return {"clients": clients, "bytes": grown, "at_line": at_line, "bytes_over_line": grown / clients - at_line}


def busy(samples, seconds):
    """The part of a core that the server had while it was measured: that was last."""
    end = samples[-1]
    begin = next(sample for sample in samples if sample[0] > end[0] - seconds or sample is end)
    return (end[1] - begin[1]) / max(end[0] - begin[0], TICK)


@contextmanager
def visit(server, peer, is_last):
    """A connection that stays; asked something if it is the last for now. It leaves without waiting for anybody."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if is_last:
            connection.sendall(peer.greeting)
            if not connection.recv(4096):
                raise Failed("a connection was closed")
        yield
