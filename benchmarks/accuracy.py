"""How far outputs are from float64: Keraunos, unfused and fused, beside its peers.

python benchmarks/accuracy.py --models cnn,resnet50 --json accuracy.json

The reference is the traced graph, before any pass, evaluated by numpy in float64 on the float32
weights and images that everyone gets. The error of an output is its distance from that.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from frameworks import FRAMEWORKS, OURS, installed, keras_model
from peers import OWN_PADDING, Worker
from rich.console import Console
from rich.table import Table
from workloads import WORKLOADS, Array, Case

import keraunos
from keraunos.compiler.ir.evaluate import evaluate

PASSES = ("none", "default")
FUSED = f"{OURS}, default"
PEERS = [name for name in FRAMEWORKS if name != OURS and name not in OWN_PADDING]
BAR = 2.0  # times a peer's error: more is worse accuracy, less may be the order of the sums


@dataclass(frozen=True)
class Error:
    """Distances from the reference over all outputs: the largest, the root of the mean square."""

    largest: float
    root_mean_square: float

    @classmethod
    def of(cls, outputs: Array, reference: Array) -> "Error":
        apart = outputs.astype(np.float64) - reference
        return cls(float(np.abs(apart).max()), float(np.sqrt(np.square(apart).mean())))


@dataclass(frozen=True)
class Result:
    """One network: the largest output, and the errors by who computed it."""

    model: str
    images: int
    largest_output: float
    errors: Mapping[str, Error]

    def ratio(self, peer: str) -> float | None:
        """Our largest error over the peer's; below 1 we are closer."""
        if peer not in self.errors:
            return None
        return self.errors[FUSED].largest / self.errors[peer].largest

    def to_dict(self) -> dict[str, Any]:
        peers = [name for name in self.errors if not name.startswith(OURS)]
        return {
            **vars(self),
            "errors": {name: vars(error) for name, error in self.errors.items()},
            "ratios": {name: self.ratio(name) for name in peers},
        }


def measure(case: Case, workers: Sequence[Worker]) -> Result:
    """Raises ``RuntimeError`` naming a peer that cannot run the network."""
    model = keras_model(keraunos, case)
    images, _ = case.data()
    reference = in_float64(model, images)
    outputs: dict[str, Array] = {
        f"{OURS}, {passes}": np.asarray(keraunos.compile(model, passes=passes)(images))
        for passes in PASSES
    }
    outputs |= {worker.name: of_peer(worker, case) for worker in workers}
    errors = {name: Error.of(array, reference) for name, array in outputs.items()}
    return Result(case.workload, case.batch, float(np.abs(reference).max()), errors)


def in_float64(model: Any, images: Array) -> Array:
    weights = {
        f"{layer.name}.{weight.name}": weight.numpy()
        for layer in model.layers
        for weight in layer.weights
    }
    return evaluate(keraunos.trace(model), [images], weights, "float64")[0]


def of_peer(worker: Worker, case: Case) -> Array:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outputs.npy"
        for request in ({"prepare": str(case)}, {"save": str(path)}):
            answer = worker.ask(**request)
            if "error" in answer:
                raise RuntimeError(f"{case}, {worker.name}: {answer['error']}")
        outputs: Array = np.load(path)
        return outputs


def table_of(results: Iterable[Result], peers: Sequence[str]) -> Table:
    ours = [f"{OURS}, {passes}" for passes in PASSES]
    table = Table(title="distance from float64: the largest (root of the mean square)")
    table.add_column("model")
    for name in ["images", "largest output", *ours, *peers, *(f"ours / {p}" for p in peers)]:
        table.add_column(name, justify="right")
    for result in results:
        errors = (cell(result.errors[name]) for name in (*ours, *peers))
        ratios = (ratio_cell(result.ratio(peer)) for peer in peers)
        table.add_row(
            result.model, str(result.images), f"{result.largest_output:.3f}", *errors, *ratios
        )
    return table


def cell(error: Error) -> str:
    return f"{error.largest:.2e} [dim]({error.root_mean_square:.1e})[/dim]"


def ratio_cell(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"[{'green' if ratio <= BAR else 'red'}]{ratio:.2f}[/]"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Distance of the outputs from float64.")
    parser.add_argument("--models", default=",".join(WORKLOADS), help="names, with commas")
    parser.add_argument("--images", type=int, default=8, help="how many each network is given")
    parser.add_argument("--peers", help=f"among {', '.join(PEERS)}; default: those installed")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="an interpreter of its own for a peer, such as onnxruntime=ort/bin/python",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where to write every figure")
    return parser.parse_args()


def cases_of(models: str, images: int) -> list[Case]:
    try:
        return [Case.parse(f"infer:{model}:{images}") for model in models.split(",")]
    except ValueError as error:
        sys.exit(str(error))


def interpreters(arguments: argparse.Namespace) -> dict[str, str]:
    """The peers to run, and their interpreters."""
    chosen = {name: sys.executable for name in installed() if name in PEERS}
    chosen |= dict(pair.split("=", 1) for pair in arguments.python)
    wanted = arguments.peers.split(",") if arguments.peers else list(chosen)
    wrong = sorted({*wanted, *chosen} - set(PEERS)) or sorted(set(wanted) - chosen.keys())
    if wrong:
        sys.exit(
            f"expected peers among {', '.join(PEERS)}, installed or given by --python; got {wrong}"
        )
    return {name: chosen[name] for name in wanted}


def main() -> None:
    arguments = parse_arguments()
    cases = cases_of(arguments.models, arguments.images)
    workers: list[Worker] = []
    try:
        for name, python in interpreters(arguments).items():
            workers.append(Worker(name, python, arguments.threads))
        results = [measure(case, workers) for case in cases]
    finally:
        for worker in workers:
            worker.stop()
    peers = [worker.name for worker in workers]
    Console(width=None if sys.stdout.isatty() else 160).print(table_of(results, peers))
    if arguments.json:
        text = json.dumps([result.to_dict() for result in results], indent=1)
        arguments.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
