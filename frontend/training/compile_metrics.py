"""The arguments ``metrics`` and ``weighted_metrics`` of ``compile``: some for each output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...compiler.ir.graph import IRError
from .. import metrics as metrics_module
from .. import tree
from ..errors import SizesUnknown, UsageError, UsageTypeError, of_users, shown
from ..metrics import MeanMetricWrapper, Metric
from ..scope import entered
from ..variable import Variable
from .identifiers import identifiers_in, kind_of, name_of, shape_of
from .outputs import Outputs, at, flat_targets, flat_weights, outputs_of, per_output

_ACCURACIES = {
    "binary": metrics_module.BinaryAccuracy,
    "sparse": metrics_module.SparseCategoricalAccuracy,
    "categorical": metrics_module.CategoricalAccuracy,
}


@dataclass(frozen=True)
class OutputMetric:
    """A metric of one output.

    Attributes:
        index: of the output.
        output: its name, where there are several outputs; else empty.
        weighted: whether samples count by their weights.
    """

    index: int
    output: str
    metric: Metric
    weighted: bool

    def named(self, name: str) -> str:
        """``name`` after that of the output."""
        return f"{self.output}_{name}" if self.output else name


class CompileMetrics:
    """The metrics of a model, kept over batches; they are one entry of ``model.metrics``.

    Args:
        metrics: names, functions, instances or configs: a list for a single output; for several
            outputs a list in their order, a dict by their names, or nested as they are, with one
            metric or a list of them for each.
        weighted_metrics: the same; samples count by their weights.
        output_names: of the layers that make the outputs, if known.

    Attributes:
        name: as the entry is called.
        is_given: whether there are any.
        entries: the metrics by output, the weighted ones last; none before ``build``.

    Raises:
        ValueError: there is no such metric; something else than a list or a dict.
    """

    name = "compile_metrics"

    def __init__(
        self,
        metrics: Any = None,
        weighted_metrics: Any = None,
        output_names: list[str] | None = None,
    ) -> None:
        self.output_names = output_names
        given = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        self._given = {name: tree.copied(value) for name, value in given.items()}
        self.is_given = any(identifiers_in(value) for value in self._given.values())
        self.entries: tuple[OutputMetric, ...] = ()
        self.built = False
        for argument, value in self._given.items():
            if value is not None and not isinstance(value, (list, tuple, Mapping)):
                raise UsageError(
                    f"{argument}: expected a list or a dict of metrics; received {shown(value)}"
                )
            for each in identifiers_in(value):
                metrics_module.get("accuracy" if _is_accuracy(each) else each)

    @property
    def metrics(self) -> list[Metric]:
        """All metrics, in the order of the results; none before ``build``."""
        return [entry.metric for entry in self.entries]

    @property
    def variables(self) -> list[Variable]:
        """What the metrics keep."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Makes the metrics of each output; the arguments are nestings of shaped leaves.

        Raises:
            ValueError: the metrics or the targets are not nested as the outputs are, or a metric
                is for a name that no output has, or for an output without targets.
        """
        self.outputs = outputs_of(y_pred, self.output_names)
        several = {
            argument: _per_output(value, self.outputs, argument)
            for argument, value in self._given.items()
        }
        self._wanted = [any(found) for found in zip(*several.values(), strict=True)]
        # Without metrics it does not matter how targets are nested.
        targets = self._targets(y_true) if any(self._wanted) else [None] * len(self.outputs)
        predictions = [at(y_pred, path) for path in self.outputs.paths]
        labels = self.outputs.labels() if len(self.outputs) > 1 else [""]
        self.entries = tuple(
            OutputMetric(
                index,
                labels[index] if self.outputs.names[index] else "",
                _made(identifier, targets[index], predictions[index]),
                argument == "weighted_metrics",
            )
            for argument, per_index in several.items()
            for index, identifiers in enumerate(per_index)
            for identifier in identifiers
        )
        with entered(None):  # one's own metric may have counted for another model before
            self.reset_state()
        self.built = True

    def _targets(self, y_true: Any) -> list[Any]:
        targets = flat_targets(y_true, self.outputs, self._wanted)
        for label, target, used in zip(self.outputs.labels(), targets, self._wanted, strict=True):
            if used and target is None:
                raise UsageError(
                    f"expected targets for each output with metrics; received none for {label!r}. "
                    "Pass them as y, or give this output no metrics"
                )
        return targets

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch to every metric.

        Raises:
            ValueError: shapes do not fit a metric; as ``build``.
        """
        if not self.built:
            self.build(y_true, y_pred)
        if not self.entries:
            return
        targets, weights = self._targets(y_true), flat_weights(sample_weight, self.outputs)
        for entry in self.entries:
            prediction = at(y_pred, self.outputs.paths[entry.index])
            _update(entry, targets[entry.index], prediction, weights[entry.index])

    def result(self) -> dict[str, Any]:
        """The results by name; those of a name that is taken get a number, or ``weighted_``."""
        results: dict[str, Any] = {}
        counts: Counter[str] = Counter()
        for entry in self.entries:
            name = entry.named(entry.metric.name)
            if name in counts and entry.weighted:
                name = entry.named(f"weighted_{entry.metric.name}")
            number = counts[name]
            counts[name] += 1
            results[f"{name}_{number}" if number else name] = entry.metric.result()
        return results

    def reset_state(self) -> None:
        """Forgets all batches."""
        for metric in self.metrics:
            metric.reset_state()


def _per_output(value: Any, outputs: Outputs, argument: str) -> list[list[Any]]:
    """The metrics of each output."""
    if not value:
        return [[] for _ in outputs.paths]
    if len(outputs) > 1:
        return [identifiers_in(each) for each in per_output(value, outputs, argument)]
    name = outputs.names[0]
    if isinstance(value, Mapping) and name is not None and set(value) != {name}:
        raise UsageError(
            f"{argument}: expected the name of the output, {name!r}, as the key; received "
            f"{', '.join(map(repr, value))}"
        )
    return [identifiers_in(value)]


def _is_accuracy(identifier: Any) -> bool:
    return isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc")


def _made(identifier: Any, y_true: Any, y_pred: Any) -> Metric:
    """The metric meant by what ``compile`` was given, once shapes are known."""
    if _is_accuracy(identifier):
        return _ACCURACIES[kind_of(y_true, y_pred)](name=identifier)
    found: Any = metrics_module.get(identifier)
    name = identifier if isinstance(identifier, str) else name_of(found)
    if not isinstance(found, Metric):
        return MeanMetricWrapper(found, name=name)
    found.name = name
    return found


def _update(entry: OutputMetric, y_true: Any, y_pred: Any, weight: Any) -> None:
    # One's own metric needs no argument sample_weight if it is not among the weighted ones.
    weights = (weight,) if entry.weighted else ()
    try:
        of_users(entry.metric.update_state, "the step", y_true, y_pred, *weights)
    except SizesUnknown:
        raise
    except (UsageError, UsageTypeError, IRError) as error:
        kind = UsageTypeError if isinstance(error, UsageTypeError) else UsageError
        raise kind(
            f'metric "{entry.named(entry.metric.name)}" of predictions of shape '
            f"{shape_of(y_pred)} and targets of shape {shape_of(y_true)}: {error}"
        ) from error
