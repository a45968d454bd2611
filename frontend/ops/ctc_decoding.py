"""Labels out of the logits of a model trained by CTC: by steps alone, or by a beam search."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..accepted import Count, Natural
from ..arguments import checked
from ..dtypes import as_array
from ..errors import UsageError
from ..scope import current_scope
from ..tensor import KerasTensor

Decoded = tuple[np.ndarray, np.ndarray]


@checked
def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: Literal["greedy", "beam_search"] = "greedy",
    beam_width: Count = 100,
    top_paths: Count = 1,
    merge_repeated: bool = True,
    mask_index: Natural | None = 0,
) -> Decoded:
    """The labels that logits say, blanks left out: of what ``predict`` gives, as arrays.

    Args:
        inputs: logits, shape ``(N, steps, classes)``.
        sequence_lengths: how many steps of each sample count, shape ``(N,)``.
        strategy: "greedy" takes the likeliest class of each step. "beam_search" looks for the
            likeliest labels, summed over all ways to spread them over the steps, and goes on with
            ``beam_width`` beginnings at each step.
        top_paths: how many of the likeliest to return, of "beam_search".
        merge_repeated: whether equal neighbours are one label; a search always takes them as one.
        mask_index: the class that is the blank; None is the last.

    Returns:
        Labels, int32, then -1, of shape ``(paths, N, steps)``; and scores. Of "greedy", one path,
        they are minus the sum of the logits taken, shape ``(N, 1)``; else the logarithms of the
        probabilities, ``(N, top_paths)``.

    Raises:
        ValueError: the shapes are others; it is called on tensors, within a model.
    """
    if current_scope() is not None or isinstance(inputs, KerasTensor):
        raise UsageError(
            "ctc_decode: expected arrays, such as predict gives; received tensors of a model. It "
            "runs in Python: decode the outputs, as in ctc_decode(model.predict(x), lengths)"
        )
    logits = as_array(inputs)
    logits = logits.astype(np.float64 if logits.dtype == np.float64 else np.float32)
    lengths = as_array(sequence_lengths)
    if logits.ndim != 3 or lengths.shape != logits.shape[:1]:
        raise UsageError(
            "ctc_decode: expected logits of shape (N, steps, classes) and lengths of shape (N,); "
            f"received {logits.shape} and {lengths.shape}"
        )
    blank = logits.shape[-1] - 1 if mask_index is None else mask_index
    if blank >= logits.shape[-1]:
        raise UsageError(
            f"ctc_decode: expected mask_index below {logits.shape[-1]} classes; received {blank}"
        )
    if strategy == "greedy":
        return _greedy(logits, lengths, merge_repeated, blank)
    if not merge_repeated:
        raise UsageError(
            "ctc_decode: expected merge_repeated=True with a search, which is for labels that a "
            "model trained by CTC may repeat; received False"
        )
    pairs = zip(logits, lengths, strict=True)
    found = [_searched(rows[: max(count, 1)], beam_width, blank) for rows, count in pairs]
    return _best(found, top_paths, logits.shape[1], logits.dtype)


def _greedy(logits: np.ndarray, lengths: np.ndarray, merges: bool, blank: int) -> Decoded:
    over = np.arange(logits.shape[1]) >= lengths[:, None]
    labels = np.where(over, blank, logits.argmax(-1))
    scores = -np.where(over, 0, logits.max(-1)).sum(1, keepdims=True)
    dropped = labels == blank
    if merges:
        dropped[:, 1:] |= labels[:, 1:] == labels[:, :-1]
    order = np.argsort(dropped, axis=1, kind="stable")
    kept = np.take_along_axis(np.where(dropped, -1, labels), order, 1)
    return kept[None].astype(np.int32), scores.astype(logits.dtype)


class _Beam:
    """The likeliest beginnings so far, each in two kinds: it ends in a blank, or in its label.

    Attributes:
        paths: their labels.
        emit, mask: the logarithms of the probabilities of both kinds.
    """

    def __init__(self, logs: np.ndarray, width: int, blank: int) -> None:
        self.width, self.blank = width, blank
        first = np.argsort(-logs, kind="stable")[:width]
        self.paths: list[tuple[int, ...]] = [
            () if label == blank else (int(label),) for label in first
        ]
        never = np.full(len(first), -np.inf)
        self.emit = np.where(first == blank, never, logs[first])
        self.mask = np.where(first == blank, logs[first], never)

    def advance(self, logs: np.ndarray) -> None:
        """One step more."""
        tails = np.array([path[-1] if path else self.blank for path in self.paths])
        both = np.logaddexp(self.emit, self.mask)
        stay_mask = both + logs[self.blank]
        stay_emit = np.where(tails == self.blank, -np.inf, self.emit + logs[tails])
        longer = both[:, None] + logs
        rows = np.arange(len(tails))
        # A label is followed by itself only after a blank.
        longer[rows, tails] = self.mask + logs[tails]
        longer[:, self.blank] = -np.inf
        places = {path: place for place, path in enumerate(self.paths)}
        for place, path in enumerate(self.paths):
            before = places.get(path[:-1]) if path else None
            if before is not None:
                ways = longer[before, path[-1]]
                stay_emit[place] = np.logaddexp(stay_emit[place], ways)
                longer[before, path[-1]] = -np.inf
        self._keep(stay_emit, stay_mask, longer)

    def _keep(self, emit: np.ndarray, mask: np.ndarray, longer: np.ndarray) -> None:
        count, classes = longer.shape
        totals = np.concatenate([np.logaddexp(emit, mask), longer.ravel()])
        best = np.argsort(-totals, kind="stable")[: self.width]
        best = best[np.isfinite(totals[best])]
        old, new = best[best < count], best[best >= count] - count
        own = [self.paths[place] for place in old]
        self.paths = own + [(*self.paths[n // classes], int(n % classes)) for n in new]
        self.emit = np.concatenate([emit[old], longer.ravel()[new]])
        self.mask = np.concatenate([mask[old], np.full(len(new), -np.inf)])


def _searched(logits: np.ndarray, width: int, blank: int) -> list[tuple[float, tuple[int, ...]]]:
    """The likeliest labels of one sample with the logarithms of their probabilities."""
    wide = logits.astype(np.float64)
    wide = wide - wide.max(-1, keepdims=True)
    logs = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        beam = _Beam(logs[0], width, blank)
        for each in logs[1:]:
            beam.advance(each)
        scores = np.logaddexp(beam.emit, beam.mask)
    order = np.argsort(-scores, kind="stable")
    return [(float(scores[place]), beam.paths[place]) for place in order]


def _best(found: list[Any], top: int, steps: int, dtype: np.dtype) -> Decoded:
    labels = np.full((top, len(found), steps), -1, np.int32)
    scores = np.full((len(found), top), -np.inf, dtype)
    for sample, paths in enumerate(found):
        for place, (score, path) in enumerate(paths[:top]):
            labels[place, sample, : len(path)] = path
            scores[sample, place] = score
    return labels, scores
