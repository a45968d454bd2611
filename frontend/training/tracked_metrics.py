"""The metrics that a model and its layers keep as attributes, beside those of ``compile``."""

from __future__ import annotations

from collections.abc import Iterator

from ..metrics import Metric
from ..weights import Weighted, all_layers, found_in

# What `compile` was given and has made is listed elsewhere.
_NOT_HELD = frozenset(
    {
        "given_arguments",
        "loss",
        "_compile_config",
        "_tracked_metrics",
        "_loss_tracker",
        "_output_trackers",
    }
)


def tracked_metrics(model: Weighted, is_model: type) -> list[Metric]:
    """The metrics among the attributes of a model and of its layers, lists and dicts included.

    Models within are trained by this one, so that metrics of theirs do not count.

    Args:
        is_model: the class of models.
    """
    holders = [model, *(each for each in all_layers(model) if not isinstance(each, is_model))]
    found = [metric for holder in holders for metric in _metrics_of(holder)]
    return list({id(metric): metric for metric in found}.values())


def _metrics_of(holder: Weighted) -> Iterator[Metric]:
    for name, value in vars(holder).items():
        if name not in _NOT_HELD:
            yield from found_in(value, Metric)
