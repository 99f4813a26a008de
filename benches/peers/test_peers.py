"""Tests of the bench itself: its arithmetic, what it reads from /proc, and that what it writes is well-formed.

    benches/peers/run --self-test
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

import check
import figures
import plot
import processes
import rows
import table
import targets

# As Linux 6.1 tells them, of a process with an awkward name and of a kernel thread.
PROCESS = (
    "4711 (a) (b c) S 1 4711 4711 0 -1 4194560 5161 81 3 0 250 50 7 3 20 0 1 0 8651 233123840 2311 18446744073709551615 1 1 0 0 0 "
    "0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)
KERNEL = "15 (ksoftirqd/0) S 2 0 0 0 -1 69238848 0 0 0 0 0 911 0 0 20 0 1 0 11 0 0 18446744073709551615 0 0 0\n"
SYSTEM = "cpu  4688660 15983 709743 4606466 18770 0 55865 1479 0 0\ncpu0 2344330 7991 354871 2303233 9385 0 27932 739 0 0\n"
MEMORY = "55f0c8a00000-7ffd1c5f2000 ---p 00000000 00:00 0    [rollup]\nRss:    3508 kB\nAnonymous:     444 kB\nSwap:   0 kB\n"


def run(per_second=1000.0, p99_us=100.0, strangers=0.0, bottleneck=False):
    return {
        "per_second": per_second,
        "p99_us": p99_us,
        "strangers": strangers,
        "bottleneck": bottleneck,
        "cpu_us_per_request": 2.0,
    }


def pair(peer, echo, **both):
    return {"peer": run(peer, **both), "echo": run(echo)}


def results():
    """As many cells as make every kind of entry, one of them failed."""
    cell = {"pairs": [], "repeated": 2, **figures.summary([pair(500, 1000), pair(600, 1000)])}
    return {
        "command": "benches/peers/run",
        "date": "2025-01-31",
        "minutes": 1.5,
        "machine": {"processor": "<One & only>"},
        "plan": {"pairs": 2, "seconds": 1.0, "server_core": 1, "load_core": 0},
        "peers": [
            {"name": "loop", "title": "**our loop**", "kind": "echo"},
            {"name": "callbacks", "title": "**ours & yours**", "kind": "iamat"},
            {"name": "node", "title": "Node", "kind": "iamat"},
        ],
        "skipped": {"java": "there is no java"},
        "cells": {
            "loop/50x1": {**cell, "ratio": 9.0},
            "callbacks/50x1": cell,
            "callbacks/50x16-1m": {**cell, "known": {"bytes_over_line": 123.4}},
            "callbacks/idle": {"connections": 10_000, "bytes": 4_000_000, "bytes_per_connection": 400.0},
            "node/50x1": {"failed": "it does not listen"},
        },
    }


class Figures(unittest.TestCase):
    def test_the_figure_is_the_median_of_the_ratios_of_pairs(self):
        # Medians of each alone would give 300 / 300.
        pairs = [pair(100, 200), pair(300, 300), pair(900, 1000)]
        found = figures.summary(pairs)
        self.assertEqual([found[name] for name in ("lowest", "ratio", "highest")], [0.5, 0.9, 1.0])
        self.assertEqual(figures.summary([pair(1, 2), pair(1, 4)])["ratio"], 0.375)
        self.assertEqual(figures.summary([pair(1, 1, p99_us=150.0)])["p99_ratio"], 1.5)

    def test_who_is_bound_is_so_in_most_pairs(self):
        for are, wanted in (([True, False], False), ([True, True, False], True)):
            found = figures.summary([pair(1, 1, bottleneck=each) for each in are])
            self.assertEqual(found["is_bound"], {"peer": wanted, "echo": False})

    def test_a_pair_is_robbed_in_which_others_had_a_part_of_a_core(self):
        for share, wanted in ((0.0, False), (figures.ROBBED, False), (figures.ROBBED + 0.001, True)):
            self.assertEqual(figures.is_robbed(pair(1, 1, strangers=share)), wanted)
            self.assertEqual(figures.is_robbed({"peer": run(), "echo": run(strangers=share)}), wanted)

    def test_the_time_of_a_server_is_that_of_the_end(self):
        # A second of warm-up, in which it does nothing, and one in which it has a quarter of a core.
        samples = [(at / 10, max(0, at - 10) * 0.025) for at in range(21)]
        self.assertAlmostEqual(rows.busy(samples, 1.0), 0.25)
        self.assertEqual(rows.busy([(1.0, 0.5)], 1.0), 0)


class Proc(unittest.TestCase):
    def test_times_are_read_behind_any_name(self):
        self.assertEqual(processes.own_ticks(PROCESS), 300)
        self.assertEqual(processes.all_ticks(PROCESS), 310)
        self.assertFalse(processes.is_kernel(PROCESS))

    def test_kernel_threads_are_known(self):
        self.assertTrue(processes.is_kernel(KERNEL))

    def test_what_was_stolen_is_read(self):
        self.assertEqual(processes.stolen_ticks(SYSTEM), 1479)

    def test_memory_is_what_is_anonymous(self):
        self.assertEqual(processes.anonymous(MEMORY), 444 * 1024)

    def test_who_works_beside_us_is_found(self):
        strangers = processes.Strangers([])
        work = "import time\nwhile time.process_time() < 0.3: pass"
        # A child of a child: it ends, and somebody has waited for it.
        parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}]); print(); sys.stdin.read()"
        child = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with child:
            child.stdout.readline()
            self.assertGreater(strangers.ticks() - strangers.before, 0.25 / processes.TICK)
            child.stdin.close()


class Servers(unittest.TestCase):
    def test_a_server_is_started_passes_the_check_and_is_ended(self):
        here = Path(__file__).parent
        for kind, program in (("echo", "echo.py"), ("iamat", "protocol.py"), ("iamat", "streams.py")):
            words = lambda port, _, program=program: [sys.executable, here / "python" / program, str(port)]  # noqa: E731
            with tempfile.TemporaryDirectory() as folder:
                with processes.Server(program, words, Path(folder), processes.cores()[0]) as server:
                    check.check(type("Peer", (), {"kind": kind}), server.port)
                self.assertIsNotNone(server.process.returncode)
                self.assertFalse(os.path.exists(f"/proc/{server.pid}"))

    def test_the_check_finds_who_answers_wrongly(self):
        here = Path(__file__).parent
        words = lambda port, _: [sys.executable, here / "python/echo.py", str(port)]  # noqa: E731
        with tempfile.TemporaryDirectory() as folder:
            with processes.Server("echo", words, Path(folder), processes.cores()[0]) as server:
                with self.assertRaisesRegex(processes.Failed, "^to b'IAMAT kiwi"):
                    check.check(type("Peer", (), {"kind": "iamat"}), server.port)

    def test_who_does_not_listen_is_told_with_its_last_words(self):
        words = lambda *_: [sys.executable, "-c", "raise SystemExit('no port for you')"]  # noqa: E731
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(processes.Failed, "no port for you"):
                processes.Server("nobody", words, Path(folder), processes.cores()[0])


class Written(unittest.TestCase):
    def test_each_line_of_a_table_has_as_many_cells(self):
        for block in table.markdown(results()).split("\n\n"):
            lines = [line for line in block.splitlines() if line.startswith("|")]
            self.assertLessEqual(len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}), 1, block)

    def test_the_table_tells_what_went_otherwise(self):
        text = table.markdown(results())
        for part in ("| failed |", "0.55", "123 B", "400 B", "Skipped: java: there is no java.", "made again", "10,000"):
            self.assertIn(part, text)

    def test_the_table_takes_the_place_of_the_one_before(self):
        text = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
        wanted = f"before\n{table.BEGIN}\nnew\n{table.END}\nafter\n"
        self.assertEqual(table.put_into(text, "new\n"), wanted)
        self.assertEqual(table.put_into(wanted, "new\n"), wanted)
        for broken in ("", table.BEGIN, table.END + table.BEGIN):
            self.assertRaises(ValueError, table.put_into, broken, "new\n")

    def test_a_ratio_says_of_whom_the_load_asked_too_little(self):
        for peer, echo, wanted in ((0, 0, "0.50"), (0, 1, "≤ 0.50"), (1, 0, "≥ 0.50"), (1, 1, "~ 0.50")):
            cell = {"ratio": 0.5, "is_bound": {"peer": bool(peer), "echo": bool(echo)}}
            self.assertEqual(table.cell_text(cell, "ratio"), wanted)

    def test_the_plot_is_well_formed(self):
        root = xml.etree.ElementTree.fromstring(plot.svg(results()))
        bars = root.findall("{http://www.w3.org/2000/svg}rect")
        self.assertEqual(len(bars), len(plot.SERIES) + 3)
        self.assertTrue(all(plot.LEFT + float(bar.get("width")) <= plot.WIDTH for bar in bars[len(plot.SERIES) :]))
        self.assertIn("ours & yours", "".join(root.itertext()))
        xml.etree.ElementTree.fromstring(plot.svg({**results(), "cells": {}}))

    def test_targets_hold_fail_or_were_not_measured(self):
        cells = results()["cells"]
        found = {each["what"]: each["holds"] for each in targets.verdicts(cells)}
        self.assertEqual(found["callbacks 50x1 ratio"], False)
        self.assertEqual(found["callbacks 50x16-1m ratio"], True)
        self.assertEqual(found["callbacks 50x16-1m bytes_over_line"], True)
        self.assertEqual(found["callbacks idle bytes_per_connection"], True)
        self.assertEqual(found["callbacks 50x1 ratio, times node's"], None)
        self.assertTrue(all(targets.text(each) for each in targets.verdicts(cells)))
        json.dumps(list(targets.verdicts(cells)))


if __name__ == "__main__":
    unittest.main()
