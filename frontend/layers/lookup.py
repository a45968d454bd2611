"""Words and integers as their numbers in a vocabulary, and back; counted or hot, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..accepted import Natural
from ..arguments import checked_method
from ..dtypes import as_array
from ..errors import LayerError, UsageTypeError
from ..tokens import Tokens
from ..vocabulary import Vocabulary
from .data_layer import VocabularyLayer, batches_of

Salt = int | Sequence[int]
OutputMode = Literal["int", "one_hot", "multi_hot", "count", "tf_idf"]


def key_of(layer: Any, salt: Any) -> list[int] | None:
    """The key of a hash: two integers. Raises ``ValueError`` for something else."""
    if salt is None:
        return None
    key = [salt, salt] if isinstance(salt, (int, np.integer)) else list(salt)
    if len(key) != 2:
        raise LayerError(layer, f"expected salt as an int or two of them; received {salt!r}")
    return [int(part) for part in key]


class IndexLookup(VocabularyLayer):
    """What StringLookup and IntegerLookup share: numbers of tokens, and rows made of these."""

    def __init__(
        self,
        max_tokens: Natural | None,
        num_oov_indices: Natural,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: OutputMode,
        pad_to_max_tokens: bool,
        salt: Salt | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if invert and output_mode != "int":
            raise LayerError(
                self, f'expected output_mode="int" with invert=True; received {output_mode!r}'
            )
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.invert = invert
        self.output_mode = output_mode
        self.pad_to_max_tokens = pad_to_max_tokens
        self.salt = key_of(self, salt)
        self.lookup = Vocabulary(
            f'{self.class_name} "{self.name}"',
            num_oov_indices,
            mask_token,
            oov_token,
            output_mode,
            max_tokens,
            pad_to_max_tokens,
        )
        self.begin(vocabulary, idf_weights)

    @checked_method
    def adapt(self, data: Any, steps: Natural | None = None) -> None:
        """Makes the tokens of some data the vocabulary: the most frequent first, and of equally
        frequent ones the last in their order.

        Args:
            data: an array or a list of tokens; or what gives batches of these, such as a generator.
            steps: how many batches to take of what gives batches.

        Raises:
            ValueError: the vocabulary was given to the constructor; the data have no tokens.
            TypeError: the data are of another type.
        """
        self.adapt_to(batches_of(data, None, steps))

    def read(self, data: Any) -> np.ndarray:
        """Data as an array of tokens. Raises ``TypeError`` where they are of another type."""
        raise NotImplementedError

    def checked_tokens(self, vocabulary: Any) -> list[Any]:
        found: list[Any] = self.read(vocabulary).ravel().tolist()
        return found

    def tokens_of(self, data: Any) -> Tokens:
        array = self.read(data)
        return Tokens.of_array(array if array.ndim > 1 else array.reshape(1, -1))

    def call(self, inputs: Any) -> Any:
        """The number of each token, int64; under ``invert`` the token of each number.

        Under "one_hot" each token becomes a row, under other modes the last axis does:
        ``(..., vocabulary)``, int64, and float32 for "tf_idf".
        """
        if self.invert:
            return self._inverted(inputs)
        array = self.read(inputs)
        places = self.lookup.places(array.ravel().tolist(), self.salt, self._by_remainder())
        if self.output_mode == "int":
            return places.reshape(array.shape)
        return self.lookup.encoded(Tokens.to_encode(array, self.output_mode), places)

    def _by_remainder(self) -> bool:
        return False

    def _inverted(self, numbers: Any) -> np.ndarray:
        places = as_array(numbers)
        tokens = self.lookup.listed()
        known = (places >= 0) & (places < len(tokens))
        listed = np.array([*tokens, self.oov_token])
        return listed[np.where(known, places, len(tokens))]


class StringLookup(IndexLookup):
    """Strings as their numbers in a vocabulary, or the strings of numbers.

    The vocabulary is given, or ``adapt`` finds it. Numbers begin with that of ``mask_token``, then
    come those of strings out of the vocabulary, then the vocabulary. It is called on data before
    the model, and gives arrays.

    Args:
        max_tokens: the most that the vocabulary has, with mask and unknown ones.
        num_oov_indices: how many numbers there are for strings out of the vocabulary, which find
            theirs by a hash (FarmHash64, under ``salt`` SipHash64); 0 makes these an error.
        mask_token: the string that stands for padding: 0 as a number, in no row of counts.
        oov_token: what unknown numbers become under ``invert``.
        vocabulary: a list or array of strings, or the path of a file with one a line.
        idf_weights: a number for each, under "tf_idf".
        invert: whether numbers become strings.
        output_mode: "int", or rows as long as the vocabulary: "one_hot" for each string,
            "multi_hot", "count" or "tf_idf" for the last axis.
        pad_to_max_tokens: whether rows are ``max_tokens`` long.
        encoding: of strings given as bytes.
        salt: one or two integers that change the hash.
    """

    def __init__(
        self,
        max_tokens: Natural | None = None,
        num_oov_indices: Natural = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: OutputMode = "int",
        pad_to_max_tokens: bool = False,
        encoding: str = "utf-8",
        salt: Salt | None = None,
        **kwargs: Any,
    ) -> None:
        self.encoding = encoding
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            pad_to_max_tokens,
            salt,
            **kwargs,
        )

    def read(self, data: Any) -> np.ndarray:
        return self.strings(data, self.encoding)


class IntegerLookup(IndexLookup):
    """Integers as their numbers in a vocabulary, or the integers of numbers.

    As ``StringLookup``, for integers of any size.

    Args:
        oov_method: how integers out of the vocabulary find one of several numbers: "floormod" by
            their remainder, "farmhash" by a hash of their digits, which ``salt`` changes.
    """

    def __init__(
        self,
        max_tokens: Natural | None = None,
        num_oov_indices: Natural = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: Literal["int64"] = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: OutputMode = "int",
        pad_to_max_tokens: bool = False,
        oov_method: Literal["floormod", "farmhash"] = "floormod",
        salt: Salt | None = None,
        **kwargs: Any,
    ) -> None:
        self.oov_method = oov_method
        self.vocabulary_dtype = np.dtype(vocabulary_dtype).name
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            pad_to_max_tokens,
            salt,
            **kwargs,
        )
        if salt is not None and oov_method != "farmhash":
            raise LayerError(
                self, f'expected oov_method="farmhash" beside salt; received {oov_method!r}'
            )

    def read(self, data: Any) -> np.ndarray:
        array = as_array(data)
        if array.dtype.kind not in "iu" and array.size:
            raise UsageTypeError(
                f'{self.class_name} "{self.name}": expected integers; received {array.dtype}'
            )
        return array.astype(self.vocabulary_dtype)

    def token_of(self, text: str) -> Any:
        return int(text)

    def _by_remainder(self) -> bool:
        return self.oov_method == "floormod"
