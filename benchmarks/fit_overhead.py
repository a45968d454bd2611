"""What the loop of `fit` costs over the bare steps of an epoch: shuffling, batches, the history.

python benchmarks/fit_overhead.py --samples 60000 --batch 32 --json result.json

An epoch of `fit`, then as many steps on slices of the same arrays, in turn, round after round: the
overhead is the median of the rounds' ratios.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from workloads import WORKLOADS, Array, Case


def epoch_of_fit(model: Any, images: Array, labels: Array, batch: int) -> Callable[[], None]:
    def run() -> None:
        model.fit(images, labels, batch_size=batch, verbose=0)

    return run


def bare_steps(model: Any, images: Array, labels: Array, batch: int) -> Callable[[], None]:
    from keraunos.frontend.training.batch import Batch

    # Slices, not one batch again and again, which would lie in every core's cache.
    slices = [slice(start, start + batch) for start in range(0, len(images), batch)]
    batches = [Batch(images[rows], labels[rows]) for rows in slices]

    def run() -> None:
        for data in batches:
            model.train_step_on(data, check=False)

    return run


def seconds_of(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(workload: str, samples: int, batch: int, rounds: int) -> dict[str, Any]:
    import keraunos as keras

    model = WORKLOADS[workload].build(keras)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images, labels = Case("train", workload, samples).data()
    loop = epoch_of_fit(model, images, labels, batch)
    steps = bare_steps(model, images, labels, batch)
    seconds_of(loop)  # compiles
    pairs = [(seconds_of(loop), seconds_of(steps)) for _ in range(rounds)]
    count = -(-samples // batch)
    ratio = statistics.median(whole / bare for whole, bare in pairs)
    return {
        "workload": workload,
        "steps": count,
        "fit_s": statistics.median(whole for whole, _ in pairs),
        "bare_s": statistics.median(bare for _, bare in pairs),
        "overhead": ratio - 1,
        "rounds": pairs,
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workload", choices=WORKLOADS, default="cnn")
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="where to write every figure")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    result = measure(arguments.workload, arguments.samples, arguments.batch, arguments.rounds)
    table = Table("steps", "fit, s", "bare, s", "overhead", title=f"{result['workload']}, an epoch")
    table.add_row(
        str(result["steps"]),
        f"{result['fit_s']:.3f}",
        f"{result['bare_s']:.3f}",
        f"{result['overhead']:.1%}",
    )
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
