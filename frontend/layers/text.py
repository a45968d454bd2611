"""Text as the numbers of its words, or as counts of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ..accepted import Count, Natural
from ..arguments import checked_method
from ..errors import LayerError, UsageTypeError, headed, made_by_users
from ..tokens import Tokens, objects
from ..vocabulary import Vocabulary
from .data_layer import VocabularyLayer, batches_of

Standardize = (
    Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"] | Callable[..., Any]
)
Split = Literal["whitespace", "character"] | Callable[..., Any]

# As TensorFlow: letters and spaces of ASCII alone.
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_NO_PUNCTUATION = dict.fromkeys(map(ord, "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"))
_TABLES: dict[Any, dict[int, int | None]] = {
    "lower": {**_LOWER},
    "strip_punctuation": {**_NO_PUNCTUATION},
    "lower_and_strip_punctuation": {**_LOWER, **_NO_PUNCTUATION},
}
_WORD = re.compile(r"[^ \t\n\v\f\r]+")


class TextVectorization(VocabularyLayer):
    """Texts, one a sample, as rows of the numbers of their words, or as counts of these.

    A text is standardized, split into words, these are joined to n-grams, and each of them is
    looked up in the vocabulary, which is given or found by ``adapt``. In rows of numbers 0 is
    padding and 1 every word out of the vocabulary; in counts the latter is 0.

    It is called on data before the model, ``model.fit(layer(texts), y)``, and gives arrays:
    ``(batch,)`` or ``(batch, 1)`` strings become ``(batch, words)`` int64, or
    ``(batch, vocabulary)`` under the other modes.

    Args:
        max_tokens: the most that the vocabulary has, with padding and unknown words.
        standardize: what is done first: ASCII letters made small, ASCII punctuation left out, or
            both, or nothing (None); or a function of an array of strings.
        split: "whitespace", of ASCII, "character", None for samples that are words already; or a
            function of an array of strings that gives a list of words for each.
        ngrams: up to how many words make one token, or a tuple of how many.
        output_mode: "int", "multi_hot", "count" or "tf_idf".
        output_sequence_length: how long rows of numbers are; that of the longest text of a call
            unless given.
        pad_to_max_tokens: whether rows of counts are ``max_tokens`` long.
        vocabulary: a list or array of words, or the path of a file with one a line.
        idf_weights: a number for each, under "tf_idf".
        encoding: of texts given as bytes.
    """

    def __init__(
        self,
        max_tokens: Natural | None = None,
        standardize: Standardize | None = "lower_and_strip_punctuation",
        split: Split | None = "whitespace",
        ngrams: Count | Sequence[Count] | None = None,
        output_mode: Literal["int", "multi_hot", "count", "tf_idf"] = "int",
        output_sequence_length: Natural | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if output_mode != "int" and output_sequence_length is not None:
            raise LayerError(
                self,
                'expected output_sequence_length with output_mode="int" alone; received '
                f"output_mode={output_mode!r}",
            )
        self.max_tokens = max_tokens
        self.standardize = standardize
        self.split = split
        self.ngrams = ngrams
        self.output_mode = output_mode
        self.output_sequence_length = output_sequence_length
        self.pad_to_max_tokens = pad_to_max_tokens
        self.encoding = encoding
        self.lookup = Vocabulary(
            f'{self.class_name} "{self.name}"', 1, "", "[UNK]", output_mode, max_tokens,
            pad_to_max_tokens,
        )  # fmt: skip
        self.begin(vocabulary, idf_weights)

    @checked_method
    def adapt(self, data: Any, batch_size: Count | None = None, steps: Count | None = None) -> None:
        """Makes the words of some texts the vocabulary: the most frequent first, and of equally
        frequent ones the last in their order.

        Args:
            data: an array or a list of strings; or what gives batches of these, such as a
                generator.
            batch_size: how many texts of an array or a list to take at a time.
            steps: how many batches to take of what gives batches.

        Raises:
            ValueError: the vocabulary was given to the constructor; the data have no words.
            TypeError: the data are no strings.
        """
        self.adapt_to(batches_of(data, batch_size, steps))

    def checked_tokens(self, vocabulary: Any) -> list[Any]:
        found: list[Any] = self.strings(vocabulary, self.encoding).ravel().tolist()
        return found

    def call(self, inputs: Any) -> np.ndarray:
        """Rows of numbers or of counts."""
        tokens = self.tokens_of(inputs)
        places = self.lookup.places(tokens.flat)
        if self.output_mode == "int":
            return tokens.padded(places, self.output_sequence_length)
        return self.lookup.encoded(tokens, places)

    def tokens_of(self, data: Any) -> Tokens:
        texts = self._standardized(self.strings(data, self.encoding))
        if self.split is None:
            rows = texts.reshape(1) if not texts.ndim else texts
            return self._joined(Tokens.of_array(rows))
        if texts.ndim > 1:
            if texts.shape[-1] != 1:
                raise LayerError(
                    self,
                    "expected texts of shape (batch,) or (batch, 1); received shape "
                    f"{texts.shape}. Join them, or pass split=None for texts that are words",
                )
            texts = texts[..., 0]
        return self._joined(Tokens.of_rows(self._split(texts.ravel()), texts.shape))

    def _standardized(self, texts: np.ndarray) -> np.ndarray:
        if self.standardize is None:
            return texts
        if callable(self.standardize):
            given = made_by_users(self.standardize, "standardize", np.asarray(texts, dtype=str))
            made = self.strings(given, self.encoding)
            if made.shape != texts.shape:
                raise LayerError(
                    self,
                    f"standardize: expected as many strings as it was given, {texts.shape}; it "
                    f"returned shape {made.shape}",
                )
            return made
        table = _TABLES[self.standardize]
        return objects([text.translate(table) for text in texts.flat], texts.shape)

    def _split(self, texts: np.ndarray) -> Sequence[Sequence[str]]:
        if self.split == "whitespace":
            return [_WORD.findall(text) for text in texts]
        if self.split == "character":
            return texts.tolist()
        assert callable(self.split)
        made = made_by_users(self.split, "split", np.asarray(texts, dtype=str))
        rows = [[str(word) for word in row] for row in made]
        if len(rows) != len(texts):
            raise UsageTypeError(
                headed(
                    self,
                    f"split: expected a list of words for each of {len(texts)} texts; it returned "
                    f"{len(rows)}",
                )
            )
        return rows

    def _joined(self, words: Tokens) -> Tokens:
        """The n-grams of each row, those of one length after those of another."""
        if self.ngrams is None:
            return words
        widths = range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams
        rows = [
            [
                " ".join(row[start : start + width])
                for width in widths
                for start in range(len(row) - width + 1)
            ]
            for row in words.rows()
        ]
        return Tokens.of_rows(rows, words.outer)
