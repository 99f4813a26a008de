"""Who is measured: how each is built or installed, and started.

Nothing is installed outside the workshop, `target/peers/`. Who cannot be had is skipped, with the reason.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Mapping, Tuple

from processes import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# What Redis is without Debian's own folders: itself, and the libraries that few have.
REDIS = "redis-server redis-tools libjemalloc2 liblua5.1-0 liblzf1 lua-cjson lua-bitop libatomic1".split()

IAMAT = b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n"


class Skipped(Exception):
    """A peer cannot be had here; why."""


@dataclasses.dataclass(frozen=True)
class Peer:
    """A server to measure. Its command takes a port and a folder to work in."""

    name: str
    title: str
    kind: str
    command: Callable
    # What it is asked to see whether it is there; anything that it answers will do.
    greeting: bytes = IAMAT
    # What the load is told of it.
    load: Tuple[str, ...] = ("--expect", "AT")
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # What is done between runs, with its folder.
    tidy: Callable = lambda folder: None


class Workshop:
    """Where what is needed is built; each of it once, when it is first asked for."""

    def __init__(self, folder, tell):
        self.folder, self.tell, self.built = folder, tell, {}
        folder.mkdir(parents=True, exist_ok=True)

    def make(self, what, how):
        """What `how` returns; if it has failed once, it fails again at once."""
        if what not in self.built:
            self.tell(f"makes {what}")
            try:
                self.built[what] = how()
            except Skipped as why:
                self.built[what] = why
        if isinstance(self.built[what], Skipped):
            raise self.built[what]
        return self.built[what]

    def project(self):
        """Our programs, by name."""
        return self.make("the project", lambda: cargo(ROOT, PROGRAMS))

    def rust(self):
        environment = {"CARGO_TARGET_DIR": str(self.folder / "rust")}
        return self.make("the servers in Rust", lambda: cargo(HERE / "rust", [], environment))

    def epoll(self):
        def build():
            program = self.folder / "echo"
            do(need("gcc"), "-O2", "-Wall", "-Wextra", "-o", program, HERE / "c/echo.c")
            return program

        return self.make("the echo in C", build)

    def java(self):
        def build():
            do(need("javac"), "-d", self.folder / "java", HERE / "java/Iamat.java")
            return self.folder / "java"

        need("java")
        return self.make("the server in Java", build)

    def uvloop(self):
        """A Python that has uvloop."""

        def build():
            python = self.folder / "venv/bin/python3"
            if not python.exists():
                do(sys.executable, "-m", "venv", self.folder / "venv")
            if subprocess.run([python, "-c", "import uvloop"], stderr=subprocess.DEVNULL).returncode != 0:
                do(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uvloop")
            return python

        return self.make("uvloop", build)

    def redis(self):
        """A `redis-server`, and where its libraries are."""

        def build():
            folder = self.folder / "redis"
            program = folder / "usr/bin/redis-server"
            if not program.exists():
                folder.mkdir(exist_ok=True)
                if subprocess.run(["apt-cache", "show", REDIS[0]], **QUIET).returncode != 0 and os.getuid() == 0:
                    do("apt-get", "update")
                do("apt-get", "download", *REDIS, cwd=folder)
                for package in folder.glob("*.deb"):
                    do("dpkg", "-x", package, folder)
            libraries = ":".join(str(each) for each in folder.glob("usr/lib/*-linux-*"))
            return program, {"LD_LIBRARY_PATH": libraries}

        if shutil.which("redis-server"):
            return Path(shutil.which("redis-server")), {}
        need("apt-get")
        need("dpkg")
        return self.make("Redis", build)


QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
EXAMPLES = ("echo_callbacks", "echo_streams")
PROGRAMS = ["--bin", "proxy-herd", *(word for name in EXAMPLES for word in ("--example", name))]


def need(program):
    found = shutil.which(program)
    if found is None:
        raise Skipped(f"there is no {program}")
    return found


def do(*words, cwd=None, environment=None):
    """Runs a command; what it prints. If it fails, its last words are the reason."""
    result = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if result.returncode != 0:
        words_said = (result.stderr or result.stdout).strip().splitlines() or ["it fails and says nothing"]
        raise Skipped(f"{Path(words[0]).name}: {words_said[-1]}")
    return result.stdout


def cargo(folder, arguments, environment=None):
    """Builds in release; the programs, by name."""
    message = "--message-format=json-render-diagnostics"
    said = do(need("cargo"), "build", "--release", message, *arguments, cwd=folder, environment=environment)
    artifacts = (json.loads(line) for line in said.splitlines())
    return {each["target"]["name"]: Path(each["executable"]) for each in artifacts if each.get("executable")}


def echo_server(name, title, program, *words):
    return Peer(name, title, "echo", lambda port, _: [program, *words, str(port)], load=("--expect", "IAMAT"))


def example(name, title, program):
    """An echo of ours, which is told a whole address."""
    command = lambda port, _: [program, f"127.0.0.1:{port}"]  # noqa: E731
    return Peer(name, title, "echo", command, load=("--expect", "IAMAT"))


def iamat_server(name, title, *words):
    return Peer(name, title, "iamat", lambda port, _: [*words, str(port)])


def ours(name, title, program, style, logged):
    """Our server, alone in its herd."""

    def command(port, folder):
        topology = {
            "herd": "peers",
            "servers": {"Goloman": {"clients": f"127.0.0.1:{port}", "peers": f"127.0.0.1:{free_port()}"}},
            "links": [],
            "places": {"provider": "embedded"},
        }
        (folder / "topology.json").write_text(json.dumps(topology))
        log = ["--log-dir", folder] if logged else ["-q"]
        return [program, "--topology", folder / "topology.json", "--style", style, *log, "Goloman"]

    def tidy(folder):
        """So that no disk is filled. The server appends, so it goes on at the beginning."""
        for log in folder.glob("*.log"):
            os.truncate(log, 0)

    return Peer(name, title, "iamat", command, tidy=tidy)


def redis(program, environment):
    settings = {"bind": "127.0.0.1", "save": "", "appendonly": "no", "maxclients": "20000"}
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return Peer(
        "redis",
        "Redis, GEOADD",
        "stranger",
        lambda port, _: [program, "--port", str(port), *words],
        greeting=b"PING\r\n",
        load=("--line", "GEOADD herd {longitude} {latitude} {client}", "--expect", ":"),
        environment=environment,
    )


def server(workshop, name, title, style, logged=False):
    return ours(name, title, workshop.project()["proxy-herd"], style, logged)


# What is there, by name: how to get each. All are held against the first.
PEERS = {
    "epoll": lambda workshop: echo_server("epoll", "epoll in C, itself", workshop.epoll()),
    "mio": lambda workshop: echo_server("mio", "mio", workshop.rust()["echo_mio"]),
    "tokio": lambda workshop: echo_server("tokio", "tokio", workshop.rust()["echo_tokio"]),
    "loop": lambda workshop: example("loop", "**our loop, callbacks**", workshop.project()[EXAMPLES[0]]),
    "loop-streams": lambda workshop: example("loop-streams", "**our loop, streams**", workshop.project()[EXAMPLES[1]]),
    "asyncio-echo": lambda workshop: echo_server(
        "asyncio-echo", "asyncio, Protocol", sys.executable, HERE / "python/echo.py"
    ),
    "callbacks": lambda workshop: server(workshop, "callbacks", "**proxy-herd, callbacks**", "callbacks"),
    "streams": lambda workshop: server(workshop, "streams", "**proxy-herd, streams**", "streams"),
    "callbacks-logged": lambda workshop: server(
        workshop, "callbacks-logged", "**proxy-herd, callbacks, logging**", "callbacks", logged=True
    ),
    "streams-logged": lambda workshop: server(
        workshop, "streams-logged", "**proxy-herd, streams, logging**", "streams", logged=True
    ),
    "asyncio": lambda workshop: iamat_server("asyncio", "asyncio, Protocol", sys.executable, HERE / "python/protocol.py"),
    "asyncio-streams": lambda workshop: iamat_server(
        "asyncio-streams", "asyncio, streams", sys.executable, HERE / "python/streams.py"
    ),
    "uvloop": lambda workshop: Peer(
        "uvloop",
        "uvloop, Protocol",
        "iamat",
        lambda port, _, python=workshop.uvloop(): [python, HERE / "python/protocol.py", str(port), "uvloop"],
    ),
    "node": lambda workshop: iamat_server("node", "Node, net", need("node"), HERE / "node/iamat.js"),
    "java": lambda workshop: iamat_server("java", "Java, NIO", need("java"), "-cp", workshop.java(), "Iamat"),
    "redis": lambda workshop: redis(*workshop.redis()),
}

# Those of them that have no clients to know.
ECHOES = ("epoll", "mio", "tokio", "loop", "loop-streams", "asyncio-echo")
