"""Processes: each on its core, its time and memory read, and all of them ended whatever happens.

What `/proc` says is taken for granted: this is for Linux. Times are in seconds, memory in bytes.
"""

import ctypes
import os
import random
import resource
import signal
import socket
import subprocess
import time

TICK = 1 / os.sysconf("SC_CLK_TCK")

# Below the ports that clients get, so that none of theirs is taken.
PORTS = range(15_000, 30_000)

# How long a server may take until it listens, and until it has ended.
START, END = 15, 2

KERNEL_THREAD = 0x0020_0000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failed(Exception):
    """A server or a load did not do what it should; why."""


def cores():
    """The core of the servers and that of the load: the same one, if there is no other."""
    allowed = sorted(os.sched_getaffinity(0))
    # The first has the most interrupts.
    return allowed[-1], allowed[0]


def allow_many_files():
    """Raises the limit of open files as far as it goes; how far that is. Children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port():
    """A port that nobody has on loopback, now."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Server:
    """A server that listens; a context, at the end of which it has ended."""

    def __init__(self, name, command, folder, core, environment=None):
        """`command` makes a list of words of a port and a folder to work in."""
        self.name = name
        for _ in range(3):
            self.port = free_port()
            self.said = open(folder / "said.txt", "w+b")
            self.process = subprocess.Popen(
                command(self.port, folder),
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=self.said,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: prepare(core),
            )
            if self.listens():
                return
            why = self.last_words()
            self.stop()
        raise Failed(f"{name} does not listen: {why}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def listens(self):
        """Waits until it listens; or has ended, or takes too long."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            except OSError:
                time.sleep(0.01)
        return False

    def last_words(self):
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it says nothing"

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.said.close()

    def seconds(self):
        """Time on a core, so far."""
        with open(f"/proc/{self.pid}/stat") as file:
            return own_ticks(file.read()) * TICK

    def memory(self):
        """Anonymous memory: what it has taken for itself, neither program nor files."""
        self.expect_alive()
        with open(f"/proc/{self.pid}/smaps_rollup") as file:
            return anonymous(file.read())

    def expect_alive(self):
        if self.process.poll() is not None:
            raise Failed(f"the server has ended by itself ({self.process.returncode}): {self.last_words()}")


def prepare(core):
    """In a child, before it begins: its core, and what ends it with us."""
    os.sched_setaffinity(0, {core})
    # Ctrl-C is for us, who end it then; and if we are killed, the system does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def own_ticks(stat):
    """Of a `/proc/PID/stat`: ticks on a core, those of its children left out."""
    return sum(map(int, fields(stat)[11:13]))


def all_ticks(stat):
    """The same with the children that it has waited for; so no tick is lost when a process ends."""
    return sum(map(int, fields(stat)[11:15]))


def is_kernel(stat):
    return int(fields(stat)[6]) & KERNEL_THREAD != 0


def fields(stat):
    """Those after the name, which may hold spaces and parentheses; the first is the state."""
    return stat.rpartition(")")[2].split()


def stolen_ticks(stat):
    """Of `/proc/stat`: ticks in which the machine under this one did something else."""
    return int(stat.split("\n", 1)[0].split()[8])


def anonymous(smaps):
    """Of a `smaps_rollup`."""
    [line] = [line for line in smaps.splitlines() if line.startswith("Anonymous:")]
    return int(line.split()[1]) * 1024


class Strangers:
    """Everybody but us and those we measure, and the machine under this one: how much of a core they had.

    The sum of all processes is taken, not the total of `/proc/stat`: whether that counts what the network does for a process as
    the process's own depends on the kernel. Kernel threads are left out, as they work for those we measure, too.
    """

    def __init__(self, measured):
        self.measured = {os.getpid(), *measured}
        self.begun = time.monotonic()
        self.before = self.ticks()

    def ticks(self):
        with open("/proc/stat") as file:
            total = stolen_ticks(file.read())
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) in self.measured:
                continue
            try:
                with open(f"/proc/{name}/stat") as file:
                    stat = file.read()
            except OSError:
                continue  # It has ended meanwhile.
            total += 0 if is_kernel(stat) else all_ticks(stat)
        return total

    def share(self):
        """Of one core, since the beginning."""
        return max(0, self.ticks() - self.before) * TICK / (time.monotonic() - self.begun)
