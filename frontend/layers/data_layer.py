"""The base of layers that run in Python before programs: on strings, which are no tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..arguments import checked_method
from ..dtypes import as_array
from ..errors import LayerError, UsageError, UsageTypeError, headed, shown, user_facing
from ..scope import current_scope
from ..tensor import KerasTensor
from ..tokens import Tokens, as_strings
from ..training.streams import is_stream, iterated
from ..vocabulary import Vocabulary
from .base import Layer


class DataLayer(Layer):
    """A function of data as arrays and lists, which are not yet what programs compute with.

    It is called on the data before a model: ``model.fit(layer(texts), y)``, or on each batch of a
    dataset. There are no tensors of strings, so that it is no part of a model itself.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.activity_regularizer is not None:
            raise LayerError(self, "expected no activity_regularizer: it is no part of a model")
        self.built = True

    @user_facing
    def __call__(self, inputs: Any) -> Any:
        """What it makes of an array or a list, as an array.

        Raises:
            ValueError: it is called on a tensor, within a model.
        """
        if current_scope() is None and not isinstance(inputs, KerasTensor):
            return self.call(inputs)
        return self.refuse_models()

    def refuse_models(self) -> NoReturn:
        """Raises ``ValueError``: it cannot be part of a model."""
        raise LayerError(
            self,
            "expected data, as an array or a list; received a tensor, as part of a model. Strings "
            "are no tensors: call the layer on the data first, as in model.fit(layer(texts), y), "
            "or on each batch, as in ((layer(texts), y) for texts, y in batches)",
        )

    def strings(self, data: Any, encoding: str = "utf-8") -> np.ndarray:
        """Data as an array of strings. Raises ``TypeError`` where they are none."""
        try:
            return as_strings(data, encoding)
        except UsageTypeError as error:
            raise UsageTypeError(headed(self, str(error))) from None


class VocabularyLayer(DataLayer):
    """A layer with a vocabulary, which is given or found in data.

    Attributes:
        vocabulary: what was given to the constructor; None for what ``adapt`` finds.
    """

    lookup: Vocabulary
    vocabulary: Any

    def tokens_of(self, data: Any) -> Tokens:
        """The tokens of some data, document by document."""
        raise NotImplementedError

    def token_of(self, text: str) -> Any:
        """The token that a line of a file stands for."""
        return text

    def begin(self, vocabulary: Any, idf_weights: Any) -> None:
        """Takes the vocabulary that the constructor was given, if any."""
        self.is_given = vocabulary is not None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
        elif idf_weights is not None:
            raise LayerError(self, "expected a vocabulary beside idf_weights; received None")

    def adapt_to(self, batches: Iterable[Any]) -> None:
        """Makes the most frequent tokens of some batches the vocabulary.

        Raises:
            ValueError: the vocabulary was given to the constructor; the data have no tokens.
            TypeError: the data are of another type.
        """
        if self.is_given:
            raise LayerError(
                self,
                "adapt: expected a layer without vocabulary=; received one that was made with it",
            )
        self.reset_state()
        for batch in batches:
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Counts the tokens of a batch."""
        self.lookup.count(self.tokens_of(data))

    def finalize_state(self) -> None:
        """Makes what was counted the vocabulary."""
        self.lookup.adapt()

    def reset_state(self) -> None:
        """Forgets what was counted."""
        self.lookup.forget_counts()

    @checked_method
    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Sets the vocabulary: tokens in the order of their numbers.

        Args:
            vocabulary: a list or an array; or the path of a file with a token a line.
            idf_weights: a number for each, under ``output_mode="tf_idf"``.

        Raises:
            ValueError: it is empty or too large, or a token occurs twice; there is no such file.
        """
        self.lookup.set(self._listed(vocabulary), idf_weights, getattr(self, "invert", False))

    def _listed(self, vocabulary: Any) -> list[Any]:
        if isinstance(vocabulary, str):
            return [self.token_of(line) for line in _lines(vocabulary)]
        return self.checked_tokens(vocabulary)

    def checked_tokens(self, vocabulary: Any) -> list[Any]:
        """The tokens of a list or an array. Raises ``TypeError`` where they are of another type."""
        raise NotImplementedError

    @checked_method
    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens in the order of their numbers, with those for padding and unknown ones."""
        return self.lookup.listed(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many numbers there are, with those for padding and unknown tokens."""
        return self.lookup.size

    def save_assets(self, dir_path: str) -> None:
        """Writes the vocabulary to files in a folder."""
        self.lookup.save(Path(dir_path))

    def load_assets(self, dir_path: str) -> None:
        """Reads what ``save_assets`` wrote."""
        self.lookup.load(Path(dir_path), self.token_of)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the vocabulary as it is now."""
        config = super().get_config()
        tokens, weights = self.lookup.listed(), self.lookup.idf_weights
        config["vocabulary"] = tokens if self.lookup.tokens else None
        if weights is not None:
            config["idf_weights"] = weights[: len(tokens)].tolist()
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer of a configuration, one of Keras included.

        Raises:
            ValueError: the vocabulary is the path of a file, which only the user may open.
        """
        left = {name: value for name, value in config.items() if name != "vocabulary_size"}
        if isinstance(left.get("vocabulary"), str):
            raise UsageError(
                f"{cls.__name__}: expected a configuration with the vocabulary itself; received "
                f"the path {left['vocabulary']!r}. Open it with set_vocabulary(path)"
            )
        return super().from_config(left)


def batches_of(data: Any, batch_size: int | None, steps: int | None) -> Iterator[Any]:
    """The batches of an array, a list, or what gives batches; each sample is a document.

    Raises:
        ValueError: ``steps`` beside an array or a list.
        TypeError: a single value.
    """
    if is_stream(data):
        yield from islice(iterated(data), steps)
        return
    if steps is not None:
        raise UsageError(
            "adapt: expected steps beside data that give batches alone, such as a generator; "
            f"received steps={steps} beside a {type(data).__name__}"
        )
    single = isinstance(data, (str, bytes)) or getattr(data, "ndim", 1) == 0
    if single or not hasattr(data, "__len__"):
        raise UsageTypeError(
            f"adapt: expected an array, a list or what gives batches; received {shown(data)}"
        )
    size = max(len(data), 1) if batch_size is None else batch_size
    for start in range(0, len(data), size):
        yield _as_documents(data[start : start + size])


def arrays_of(data: Any, steps: int | None = None) -> Iterator[np.ndarray]:
    """An array of numbers, or the inputs of batches: of a generator, a dataset, a list of arrays.

    Raises:
        TypeError: something is no array of numbers.
    """
    listed = isinstance(data, (list, tuple)) and any(hasattr(each, "shape") for each in data)
    batches = iterated(data) if is_stream(data) else iter(data if listed else [data])
    for batch in islice(batches, steps):
        yield as_array(batch[0] if isinstance(batch, tuple) else batch)


def _as_documents(data: Any) -> Any:
    """Samples that are one token each as so many rows."""
    if isinstance(data, np.ndarray):
        return data[:, None] if data.ndim == 1 else data
    nested = any(isinstance(each, (list, tuple)) or np.ndim(each) for each in data)
    return data if nested else [[each] for each in data]


def _lines(path: str) -> list[str]:
    place = Path(path)
    if not place.is_file():
        raise UsageError(f"expected the path of a file of tokens, one a line; received {path!r}")
    return place.read_bytes().decode().rstrip("\n").split("\n")
