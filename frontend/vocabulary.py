"""Vocabularies: which number each of some words, or integers, has; given, or found in data."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .dtypes import as_array
from .errors import UsageError, shown
from .fingerprints import bucket
from .tokens import Tokens

Token = str | int

DROPPED = -1  # the place of what no row of counts has, such as padding


class Vocabulary:
    """Tokens by number, and counting them to find the most frequent.

    The numbers begin with that of ``mask_token`` (where there is one and ``output_mode`` is
    "int"), then come ``oov_indices`` for tokens that are out of the vocabulary.

    Attributes:
        tokens: those of the vocabulary alone.
        idf_weights: a weight for each number under "tf_idf"; None before they are known.
    """

    def __init__(
        self,
        owner: Any,
        oov_indices: int,
        mask_token: Token | None,
        oov_token: Token,
        output_mode: str,
        max_tokens: int | None,
        pad_to_max_tokens: bool,
    ) -> None:
        self.owner = owner  # in messages
        self.oov_indices = oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.output_mode = output_mode
        self.max_tokens = max_tokens
        self.pad_to_max_tokens = pad_to_max_tokens
        self._become([], None)
        self.forget_counts()
        if max_tokens is not None and max_tokens <= self.start:
            raise self._error(
                f"expected max_tokens above the {self.start} numbers for padding and words out of "
                f"the vocabulary; received {max_tokens}"
            )
        if pad_to_max_tokens and max_tokens is None:
            raise self._error("expected max_tokens beside pad_to_max_tokens=True; received None")

    def _error(self, message: str) -> UsageError:
        return UsageError(f"{self.owner}: {message}")

    @property
    def oov_start(self) -> int:
        """The number of the first token out of the vocabulary."""
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def start(self) -> int:
        """The number of the first token."""
        return self.oov_start + self.oov_indices

    @property
    def special(self) -> list[Any]:
        """What comes before the tokens."""
        return [self.mask_token] * self.oov_start + [self.oov_token] * self.oov_indices

    @property
    def size(self) -> int:
        return self.start + len(self.tokens)

    @property
    def depth(self) -> int:
        """The size of a row of counts."""
        if self.pad_to_max_tokens and self.max_tokens is not None:
            return self.max_tokens
        return self.size

    # Setting

    def set(self, given: Iterable[Any], idf_weights: Any = None, unique_oov: bool = False) -> None:
        """Makes ``given`` the vocabulary, with or without the special tokens at its beginning.

        Args:
            idf_weights: a number for each, under "tf_idf".
            unique_oov: whether the token for what is out of the vocabulary cannot be within.

        Raises:
            ValueError: it is empty or too large, or a token occurs twice.
        """
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            raise self._error(
                'expected idf_weights with output_mode="tf_idf", and with no other mode; received '
                f"output_mode={self.output_mode!r} and idf_weights={shown(idf_weights)}"
            )
        listed = list(given)
        has_special = bool(self.start) and listed[: self.start] == self.special
        tokens = listed[self.start :] if has_special else listed
        self._check(listed, tokens, unique_oov)
        weights = None
        if idf_weights is not None:
            weights = self._weights(idf_weights, len(listed), has_special)
        self._become(tokens, weights)

    def _check(self, listed: list[Any], tokens: list[Any], unique_oov: bool) -> None:
        if not listed:
            raise self._error("expected a vocabulary of one token or more; received none")
        twice = [token for token, count in Counter(tokens).items() if count > 1]
        if twice:
            raise self._error(
                f"expected each token of the vocabulary once; received {shown(twice[0])} twice, "
                f"and {len(twice)} such tokens in all"
            )
        reserved = {self.mask_token: "mask_token"} if self.mask_token is not None else {}
        if unique_oov:
            reserved[self.oov_token] = "oov_token"
        for token in reserved.keys() & set(tokens):
            raise self._error(
                f"expected a vocabulary without the {reserved[token]} {token!r}, or with "
                f"{self.special} at its beginning; received it at index {listed.index(token)}"
            )
        if self.max_tokens is not None and self.start + len(tokens) > self.max_tokens:
            raise self._error(
                f"expected max_tokens={self.max_tokens} tokens at most; received "
                f"{self.start + len(tokens)}, with those for padding and unknown ones"
            )

    def _weights(self, given: Any, count: int, has_special: bool) -> np.ndarray:
        """One weight a number: those that are out of the vocabulary get the mean, as in Keras."""
        weights = as_array(given)
        if weights.shape != (count,):
            raise self._error(
                f"expected idf_weights of shape ({count},), one a token of the vocabulary; "
                f"received shape {weights.shape}"
            )
        return self._filled(weights, 0 if has_special else self.start)

    def _filled(self, weights: np.ndarray, front: int) -> np.ndarray:
        mean = weights.mean() if len(weights) else 0.0
        known = np.concatenate([np.full(front, mean), weights])
        back = max(self.max_tokens - len(known), 0) if self.depth == self.max_tokens else 0
        return np.pad(known, (0, back)).astype(np.float32)

    def _become(self, tokens: list[Any], weights: np.ndarray | None) -> None:
        self.tokens = tokens
        self.idf_weights = weights
        self._places = {token: self.start + place for place, token in enumerate(tokens)}
        if self.mask_token is not None:
            self._places[self.mask_token] = 0 if self.oov_start else DROPPED

    # Adapting

    def forget_counts(self) -> None:
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] = Counter()
        self._document_count = 0

    def count(self, tokens: Tokens) -> None:
        """Counts the tokens of some documents, one a row."""
        self._counts.update(tokens.flat)
        if self.output_mode == "tf_idf":
            for row in tokens.rows():
                self._documents.update(set(row))
            self._document_count += len(tokens.lengths)

    def adapt(self) -> None:
        """Makes the most frequent of the tokens counted the vocabulary; equals by their order."""
        for token in (self.mask_token, self.oov_token):
            self._counts.pop(token, None)
        if not self._counts:
            raise self._error("adapt: expected data with tokens; there were none")
        tokens = sorted(self._counts, key=lambda each: (self._counts[each], each), reverse=True)
        if self.max_tokens is not None:
            tokens = tokens[: self.max_tokens - self.start]
        weights = None
        if self.output_mode == "tf_idf":
            found = np.array([self._documents[each] for each in tokens])
            weights = np.log(1 + self._document_count / (1 + found))
        self._become(tokens, None)
        if weights is not None:
            self.idf_weights = self._filled(weights, self.start)
        self.forget_counts()

    # Looking up

    def listed(self, special: bool = True) -> list[Any]:
        """The tokens by number."""
        return [*(self.special if special else ()), *self.tokens]

    def places(
        self, tokens: list[Any], salt: Sequence[int] | None = None, by_remainder: bool = False
    ) -> np.ndarray:
        """The number of each token, int64; of padding ``DROPPED`` where it has none.

        Args:
            salt: a key of the hash by which those out of the vocabulary find their number, where
                these have several.
            by_remainder: whether integers find it by their remainder instead.

        Raises:
            ValueError: a token is out of the vocabulary, and no number is for these.
        """
        known = self._places
        if self.oov_indices == 1:
            unknown = self.oov_start
            return np.array([known.get(token, unknown) for token in tokens], np.int64)
        new = set(tokens).difference(known)
        if new and not self.oov_indices:
            raise self._error(
                f"expected tokens of the vocabulary; received {shown(min(new))} and "
                f"{len(new) - 1} others. num_oov_indices=1 gives them a number"
            )
        further = {each: self._hashed(each, salt, by_remainder) for each in new}
        return np.array(
            [further[each] if each in further else known[each] for each in tokens], np.int64
        )

    def _hashed(self, token: Token, salt: Sequence[int] | None, by_remainder: bool) -> int:
        if by_remainder and isinstance(token, int):
            return self.oov_start + token % self.oov_indices
        return self.oov_start + bucket(str(token).encode(), self.oov_indices, salt)

    def encoded(self, tokens: Tokens, places: np.ndarray) -> np.ndarray:
        """Rows as "multi_hot", "count" or "tf_idf" says: shape ``(*outer, depth)``.

        A row of one token counted is "one_hot".
        """
        if not self.pad_to_max_tokens and not self.tokens:
            raise self._error("expected a vocabulary: call adapt(data) or set_vocabulary(tokens)")
        counts = tokens.counted(places, self.depth)
        if self.output_mode == "multi_hot":
            return np.minimum(counts, 1)
        if self.output_mode != "tf_idf":
            return counts
        if self.idf_weights is None:
            raise self._error("expected idf_weights: call adapt(data) or set_vocabulary")
        return counts.astype(np.float32) * self.idf_weights

    # Files

    def save(self, folder: Path) -> None:
        """Writes ``vocabulary.txt``, a token a line as Keras does, and the weights of the tokens.

        Tokens that are no lines, such as a line break, go to ``vocabulary.npz`` instead. An empty
        vocabulary is no file.
        """
        if not self.tokens:
            return
        listed = list(map(str, self.listed()))
        if all(each.splitlines() == [each] for each in listed[self.oov_start :]):
            (folder / "vocabulary.txt").write_bytes("\n".join(listed).encode())
        else:
            parts = [each.encode() for each in listed]
            text = np.frombuffer(b"".join(parts), np.uint8)
            np.savez(folder / "vocabulary.npz", text=text, ends=np.cumsum([0, *map(len, parts)]))
        if self.idf_weights is not None:
            np.save(folder / "idf_weights.npy", self.idf_weights, allow_pickle=False)

    def load(self, folder: Path, kind: Callable[[str], Any]) -> None:
        """Reads what ``save`` wrote; ``kind`` makes a token of its text."""
        lines = _read_tokens(folder)
        if lines is None:
            return
        tokens = [kind(line) for line in lines[self.start :]]
        self._check(lines, tokens, False)
        weights = folder / "idf_weights.npy"
        self._become(tokens, np.load(weights, allow_pickle=False) if weights.exists() else None)


def _read_tokens(folder: Path) -> list[str] | None:
    text, other = folder / "vocabulary.txt", folder / "vocabulary.npz"
    if text.exists():
        return text.read_bytes().decode().split("\n")
    if not other.exists():
        return None
    with np.load(other, allow_pickle=False) as stored:
        whole, ends = stored["text"].tobytes(), stored["ends"].tolist()
    return [whole[start:end].decode() for start, end in itertools.pairwise(ends)]
