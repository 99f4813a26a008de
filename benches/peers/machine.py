"""What it is measured on: the machine, the system, and every runtime's version."""

import os
import platform
import re
import subprocess
from pathlib import Path

# How to ask each; the first number with a point in what it says is its version.
VERSIONS = {
    "rustc": ["rustc", "--version"],
    "gcc": ["gcc", "-dumpfullversion"],
    "Node": ["node", "--version"],
    "Java": ["java", "--version"],
}


def describe(commit_of, python_with_uvloop=None, redis=None):
    """Name by name, in the order in which it is told. What is not there is left out."""
    described = {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "proxy-herd": said(["git", "-C", commit_of, "describe", "--always", "--dirty"]),
    }
    questions = {name: version(said(words)) for name, words in VERSIONS.items()}
    questions["Python"] = platform.python_version()
    if python_with_uvloop:
        questions["uvloop"] = version(said([python_with_uvloop, "-c", "import uvloop; print(uvloop.__version__)"]))
    if redis:
        program, environment = redis
        questions["Redis"] = version(said([program, "--version"], environment))
    described.update(questions)
    return {name: what for name, what in described.items() if what}


def processor():
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def version(text):
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else ""


def said(words, environment=None):
    try:
        environment = {**os.environ, **(environment or {})}
        result = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return ""
    return result.stdout.strip()
