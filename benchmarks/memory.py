"""The most memory that each framework holds while it runs a case: one process each.

python benchmarks/memory.py --cases train:cnn:32,train:cnn:256

Resident memory (`VmHWM` of Linux) after the import, and at its height after some steps. What is
held beyond the import is the case's own: weights, activations, gradients, compiled code.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from frameworks import FRAMEWORKS, OURS, installed
from rich.console import Console
from rich.table import Table
from workloads import Case

STEPS = 10
DEFAULT_CASES = "train:cnn:32,train:cnn:256,train:resnet20:32"


def peak_mb() -> float:
    """The most resident memory of this process so far, in MB."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("expected VmHWM in /proc/self/status; this needs Linux")


def child(name: str, case: str, threads: int) -> dict[str, float]:
    _, load = FRAMEWORKS[name]
    prepare = load(threads)
    imported = peak_mb()
    step = prepare(Case.parse(case))
    for _ in range(STEPS):
        step()
    return {"imported": imported, "peak": peak_mb()}


def measured(name: str, python: str, case: str, threads: int) -> dict[str, float] | None:
    """The figures of a process of its own; None where the framework cannot do the case."""
    command = [python, __file__, "--child", name, "--cases", case, "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        return None
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=DEFAULT_CASES, help="infer|train:workload:batch, ...")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def table_of(results: dict[str, dict[str, dict[str, float]]]) -> Table:
    table = Table(title="most MB held: the whole process (beyond the import)")
    table.add_column("case")
    names = list(dict.fromkeys(name for figures in results.values() for name in figures))
    for name in [*names, "ours / best"]:
        table.add_column(name, justify="right")
    for case, figures in results.items():
        cells = [
            f"{f['peak']:.0f} ({f['peak'] - f['imported']:.0f})"
            if (f := figures.get(name))
            else "-"
            for name in names
        ]
        table.add_row(case, *cells, ratio(figures))
    return table


def ratio(figures: dict[str, dict[str, float]]) -> str:
    peers = {name: f for name, f in figures.items() if name != OURS}
    if not peers or OURS not in figures:
        return "-"
    ours = figures[OURS]
    whole = ours["peak"] / min(f["peak"] for f in peers.values())
    least = min(f["peak"] - f["imported"] for f in peers.values())
    return f"{whole:.2f} ({(ours['peak'] - ours['imported']) / least:.2f})"


def main() -> None:
    arguments = parse_arguments()
    if arguments.child:
        print(json.dumps(child(arguments.child, arguments.cases, arguments.threads)))
        return
    pythons = dict.fromkeys(installed(), sys.executable)
    pythons |= dict(pair.split("=", 1) for pair in arguments.python)
    results: dict[str, Any] = {}
    for case in arguments.cases.split(","):
        found = {n: measured(n, p, case, arguments.threads) for n, p in pythons.items()}
        results[case] = {name: figures for name, figures in found.items() if figures}
    Console(width=None if sys.stdout.isatty() else 200).print(table_of(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
