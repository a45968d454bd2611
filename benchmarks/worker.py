"""One framework in one process: a JSON request a line on stdin, a JSON answer a line on stdout.

    {"prepare": "infer:cnn:32"}  ->  {"first_s": 0.41, "output": [...]}
    {"run": 0.5}                 ->  {"times_s": [...]}, as many runs as fit into half a second
    {"save": "outputs.npy"}      ->  {}, with the outputs of all samples in that file

Any of them may answer {"error": "..."} instead. Started by `peers.py` and `accuracy.py`:
python worker.py NAME THREADS.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np

WARMUP_RUNS = 2


def take_stdout() -> TextIO:
    """The real stdout; what libraries print goes to stderr from here on."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def limit_threads(threads: int) -> None:
    """Before any framework is imported, which is when most of them look."""
    processors = sorted(os.sched_getaffinity(0))[:threads]
    os.sched_setaffinity(0, processors)
    for name in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    os.environ["KERAUNOS_THREADS"] = str(threads)


class Runner:
    """Answers requests with the framework's adapter."""

    def __init__(self, prepare: Any, parse: Any) -> None:
        self._prepare, self._parse = prepare, parse
        self._step: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in request:
            return self._first_run(self._parse(request["prepare"]))
        if "save" in request:
            np.save(request["save"], self._step())
            return {}
        return {"times_s": list(timed(self._step, request["run"]))}

    def _first_run(self, case: Any) -> dict[str, Any]:
        self._step = None  # frees the last case before the next one
        start = time.perf_counter()
        self._step = self._prepare(case)
        output = self._step()
        first = time.perf_counter() - start
        for _ in range(WARMUP_RUNS):
            self._step()
        if not np.isfinite(output).all():
            return {"error": "the output is not finite"}
        # One sample's classes, or the loss.
        sample = output.reshape(-1, output.shape[-1])[0] if output.ndim else output[None]
        return {"first_s": first, "output": sample.tolist()}


def timed(step: Any, seconds: float) -> Iterator[float]:
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        step()
        now = time.perf_counter()
        yield now - start
        if now >= end:
            return


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    answers = take_stdout()
    limit_threads(threads)
    from frameworks import FRAMEWORKS
    from workloads import Case

    start = time.perf_counter()
    _, load = FRAMEWORKS[name]
    runner = Runner(load(threads), Case.parse)
    print(json.dumps({"import_s": time.perf_counter() - start}), file=answers)
    for line in sys.stdin:
        try:
            answer = runner.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001  the framework cannot do this case: say so, go on
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
