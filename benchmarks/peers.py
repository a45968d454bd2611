"""Times Keraunos beside its peers: one process a framework, all in turn, medians and ratios.

python benchmarks/peers.py --cases infer:cnn:1,infer:resnet50:1 --json result.json
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from frameworks import FRAMEWORKS, OURS, installed
from rich.console import Console
from rich.table import Table
from workloads import Case

WORKER = Path(__file__).with_name("worker.py")
DEFAULT_CASES = (
    "infer:cnn:1,infer:cnn:32,infer:cnn:256,infer:resnet20:1,infer:resnet20:32,"
    "infer:resnet50:1,infer:resnet50:8,infer:mobilenetv2:1,infer:mobilenetv2:8"
)
# Threads of the framework before may still spin, waiting for work, when the next one begins.
REST_S = 0.25
# More than sums in another order bring, and less than another padding does, about 1e-2.
AGREEMENT = 1e-3
# PyTorch pads symmetrically (torch_model.py), so its outputs are not comparable.
OWN_PADDING = ("torch", "torch.compile")


@dataclass
class Result:
    """One case: per framework the first run, the median of each round, or what went wrong."""

    case: str
    first_s: dict[str, float] = field(default_factory=dict)
    rounds_s: dict[str, list[float]] = field(default_factory=dict)
    outputs: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def median_s(self, name: str) -> float:
        return statistics.median(self.rounds_s[name])

    def spread(self, name: str) -> float:
        """Slowest minus fastest round, as a share of the median."""
        rounds = self.rounds_s[name]
        return (max(rounds) - min(rounds)) / self.median_s(name)

    @property
    def best_peer(self) -> str | None:
        peers = [name for name in self.rounds_s if name != OURS]
        return min(peers, key=self.median_s, default=None)

    @property
    def ratio(self) -> float | None:
        """Ours over the best peer's, the median of the rounds' ratios; below 1 we are faster."""
        if self.best_peer is None or OURS not in self.rounds_s:
            return None
        pairs = zip(self.rounds_s[OURS], self.rounds_s[self.best_peer], strict=True)
        ratios: list[float] = [ours / theirs for ours, theirs in pairs]
        return statistics.median(ratios)

    @property
    def disagreement(self) -> float | None:
        """How far apart the frameworks that pad alike are, as a share of the largest output."""
        outputs = [out for name, out in self.outputs.items() if name not in OWN_PADDING]
        if len(outputs) < 2:
            return None
        columns = list(zip(*outputs, strict=True))
        difference: float = max(max(column) - min(column) for column in columns)
        largest: float = max(max(column) for column in columns)
        return difference / largest


class Worker:
    """A framework's process. Its stderr goes to a file, named when the process dies."""

    def __init__(self, name: str, python: str, threads: int) -> None:
        self.name = name
        self.log = Path(tempfile.gettempdir()) / f"keraunos-bench-{os.getpid()}-{name}.log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [python, str(WORKER), name, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.import_s: float | None = self._read().get("import_s")

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._died()
        return self._read()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else self._died()
        return answer

    def _died(self) -> dict[str, Any]:
        return {"error": f"the process ended with {self._process.wait()}; see {self.log}"}


def measure(case: Case, workers: Sequence[Worker], rounds: int, seconds: float) -> Result:
    result = Result(str(case))
    ready = [worker for worker in workers if prepared(worker, result)]
    for _ in range(rounds):
        for worker in ready:
            time.sleep(REST_S)
            run_round(worker, seconds, result)
    for name in result.errors:
        result.rounds_s.pop(name, None)
    return result


def prepared(worker: Worker, result: Result) -> bool:
    answer = worker.ask(prepare=result.case)
    if "error" in answer:
        result.errors[worker.name] = answer["error"]
        return False
    result.first_s[worker.name] = answer["first_s"]
    result.outputs[worker.name] = answer["output"]
    return True


def run_round(worker: Worker, seconds: float, result: Result) -> None:
    answer = worker.ask(run=seconds)
    if "error" in answer:
        result.errors[worker.name] = answer["error"]
        return
    result.rounds_s.setdefault(worker.name, []).append(statistics.median(answer["times_s"]))


def table_of(results: Iterable[Result], names: Sequence[str]) -> Table:
    table = Table(title="ms a batch: median of the rounds (slowest - fastest, % of it; first run)")
    table.add_column("case")
    for name in [*names, "ours / best", "outputs differ by"]:
        table.add_column(name, justify="right")
    for result in results:
        cells = (cell(result, name) for name in names)
        table.add_row(result.case, *cells, ratio_cell(result), agreement_cell(result))
    return table


def cell(result: Result, name: str) -> str:
    if name not in result.rounds_s:
        return "[dim]-[/dim]"
    text = f"{result.median_s(name) * 1e3:.3f}"
    style = "bold" if name in (OURS, result.best_peer) else "default"
    extra = f"±{result.spread(name):.0%} {result.first_s[name]:.1f}s"
    return f"[{style}]{text}[/{style}] [dim]{extra}[/dim]"


def ratio_cell(result: Result) -> str:
    if result.ratio is None:
        return "-"
    colour = "green" if result.ratio <= 1 else "red"
    return f"[{colour}]{result.ratio:.2f}[/{colour}] {result.best_peer}"


def agreement_cell(result: Result) -> str:
    difference = result.disagreement
    if difference is None:
        return "-"
    return f"{difference:.0e}" if difference <= AGREEMENT else f"[red]{difference:.0e}[/red]"


def report(results: Sequence[Result], workers: Sequence[Worker], arguments: Any) -> dict[str, Any]:
    return {
        "machine": platform.platform(),
        "processors": os.cpu_count(),
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "import_s": {worker.name: worker.import_s for worker in workers},
        "results": [
            asdict(result)
            | {
                "ratio": result.ratio,
                "best_peer": result.best_peer,
                "disagreement": result.disagreement,
            }
            for result in results
        ],
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=DEFAULT_CASES, help="infer|train:workload:batch, ...")
    parser.add_argument("--only", help="names of frameworks; default: all that are installed")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="an interpreter of its own for a framework, such as keras-tf=tf/bin/python",
    )
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="for a framework in a round")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    return parser.parse_args()


def cases_of(text: str) -> list[Case]:
    try:
        return [Case.parse(part) for part in text.split(",")]
    except ValueError as error:
        sys.exit(str(error))


def interpreters(arguments: argparse.Namespace) -> dict[str, str]:
    """The frameworks to time and their interpreters: ours first, then as in FRAMEWORKS."""
    chosen = dict.fromkeys(installed(), sys.executable)
    chosen |= dict(pair.split("=", 1) for pair in arguments.python)
    wanted = arguments.only.split(",") if arguments.only else list(chosen)
    unknown = sorted({*wanted, *chosen} - FRAMEWORKS.keys())
    missing = sorted(set(wanted) - chosen.keys())
    if unknown or missing:
        sys.exit(
            f"expected frameworks among {', '.join(FRAMEWORKS)}, installed or given by --python; "
            f"unknown: {unknown}, not installed: {missing}"
        )
    return {name: chosen[name] for name in FRAMEWORKS if name in wanted}


def main() -> None:
    arguments = parse_arguments()
    cases = cases_of(arguments.cases)
    console = Console(width=None if sys.stdout.isatty() else 200)
    workers: list[Worker] = []
    results: list[Result] = []
    try:
        for name, python in interpreters(arguments).items():
            workers.append(Worker(name, python, arguments.threads))
        for case in cases:
            results.append(measure(case, workers, arguments.rounds, arguments.seconds))
            for name, error in results[-1].errors.items():
                console.print(f"{case}, {name}: {error}", style="yellow", markup=False)
    finally:
        for worker in workers:
            worker.stop()
    console.print(table_of(results, [worker.name for worker in workers]))
    if arguments.json:
        text = json.dumps(report(results, workers, arguments), indent=1)
        arguments.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
