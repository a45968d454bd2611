"""``keraunos.utils.text_dataset_from_directory``: batches of the texts in a folder's files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..accepted import Count, Natural
from ..arguments import checked
from ..dtypes import as_array
from ..errors import UsageError
from .dataset import Chosen

LabelMode = Literal["int", "categorical", "binary"] | None


class TextFiles(Chosen):
    """Batches of texts, as arrays of strings, which files are read for; and their labels.

    Attributes:
        class_names: the folders, in the order of their labels; None without labels.
    """

    class_names: list[str] | None = None

    def __init__(
        self, paths: list[Path], labels: np.ndarray | None, batch_size: int | None,
        max_length: int | None, random: np.random.RandomState | None,
    ) -> None:  # fmt: skip
        super().__init__(np.arange(len(paths)), batch_size)
        self._paths = paths
        self._labels = labels
        self._max_length = max_length
        self._random = random

    def __getitem__(self, index: int) -> Any:
        places = self.places(index)
        each = isinstance(places, np.ndarray)
        texts = np.array([self._read(p) for p in places]) if each else self._read(places)
        return texts if self._labels is None else (texts, self._labels[places])

    def on_epoch_end(self) -> None:
        """The next epoch takes the files in another order, if they are shuffled."""
        if self._random is not None:
            self._random.shuffle(self.chosen)

    def _read(self, place: int) -> str:
        return self._paths[place].read_text("utf-8")[: self._max_length]


@checked
def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: LabelMode = "int",
    class_names: Sequence[str] | None = None,
    batch_size: Count | None = 32,
    max_length: Natural | None = None,
    shuffle: bool = True,
    seed: Natural | None = None,
    validation_split: float | None = None,
    subset: Literal["training", "validation", "both"] | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Batches of the texts in the ``.txt`` files of a folder, with labels, by number.

    They are strings: ``data.map(lambda x, y: (vectorize(x), y))`` makes them data for ``fit``, with
    a ``TextVectorization``, for whose ``adapt`` ``data.map(lambda x, y: x)`` gives the texts alone.

    Args:
        directory: has a folder for each class, unless labels are given.
        labels: "inferred" from the folders; a list of ints, in the order of the files' paths; or
            None for texts alone.
        label_mode: "int" gives int32 ``(batch,)``, "binary" float32 ``(batch, 1)``, "categorical"
            float32 ``(batch, classes)``, None no labels.
        class_names: the folders in the order of their labels; by name unless given.
        batch_size: texts in a batch; None gives one text after another.
        max_length: how many characters of a text are kept.
        shuffle: whether files come in random order, another one each epoch, drawn with ``seed``.
        validation_split, subset: the share of files at the end that is for validation, and which
            part to return; "both" returns two datasets.
        follow_links: whether links to folders are followed.
        verbose: whether to print how many files there are.

    Raises:
        ValueError: there are no such files or folders; labels do not fit them.
    """
    _check_split(validation_split, subset, shuffle, seed)
    random = np.random.RandomState(np.random.randint(2**31) if seed is None else seed)
    root = Path(directory)
    mode = None if labels is None else label_mode
    paths, found, names = _listed(root, labels, class_names, follow_links)
    if not paths:
        raise UsageError(f"expected files that end in .txt in {str(root)!r}; there are none")
    if verbose:
        print(f"Found {len(paths)} files{f' belonging to {len(names)} classes' if names else ''}.")
    coded = _coded(found, mode, names)
    order = random.permutation(len(paths)) if shuffle else np.arange(len(paths))

    def part(places: np.ndarray, shuffled: bool) -> TextFiles:
        own = None if coded is None else coded[places]
        chosen = [paths[place] for place in places]
        made = TextFiles(chosen, own, batch_size, max_length, random if shuffled else None)
        made.class_names = names
        return made

    if validation_split is None:
        return part(order, shuffle)
    count = int(validation_split * len(paths))
    if count in (0, len(paths)):
        raise UsageError(
            f"validation_split={validation_split}: expected files enough for both parts; there "
            f"are {len(paths)}"
        )
    first, last = part(order[:-count], shuffle), part(order[-count:], False)
    return {"training": first, "validation": last, "both": [first, last]}[str(subset)]


def _check_split(share: float | None, subset: str | None, shuffle: bool, seed: int | None) -> None:
    if (share is None) != (subset is None):
        raise UsageError(
            f"expected validation_split and subset together; received {share} and {subset!r}"
        )
    if share is not None and not 0 < share < 1:
        raise UsageError(f"expected validation_split between 0 and 1; received {share}")
    if share is not None and subset != "both" and shuffle and seed is None:
        raise UsageError(
            "expected a seed beside validation_split and shuffle=True, so that both parts have "
            "different files; received None"
        )


def _listed(
    root: Path, labels: Any, class_names: Sequence[str] | None, follow_links: bool
) -> tuple[list[Path], np.ndarray | None, list[str] | None]:
    """The files, the number of each one's class, and the names of the classes."""
    if not root.is_dir():
        raise UsageError(f"expected the path of a folder; received {str(root)!r}")
    if isinstance(labels, str) and labels == "inferred":
        return _by_folder(root, class_names, follow_links)
    paths = _texts(root, follow_links)
    if class_names is not None:
        raise UsageError('expected class_names with labels="inferred" alone; received both')
    if labels is None:
        return paths, None, None
    given = as_array(labels)
    if given.shape != (len(paths),) or given.dtype.kind not in "iu":
        raise UsageError(
            f"expected labels as {len(paths)} ints, one a file, as 'inferred' or None; received "
            f"{given.dtype} of shape {given.shape}"
        )
    return paths, given, [str(label) for label in sorted(set(given.tolist()))]


def _by_folder(
    root: Path, class_names: Sequence[str] | None, follow_links: bool
) -> tuple[list[Path], np.ndarray, list[str]]:
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    names = folders if class_names is None else list(class_names)
    if sorted(names) != folders:
        raise UsageError(
            f"expected class_names as the folders {', '.join(folders)}; received {', '.join(names)}"
        )
    lists = [_texts(root / name, follow_links) for name in names]
    numbers = np.repeat(np.arange(len(names)), [len(each) for each in lists])
    return [path for each in lists for path in each], numbers, names


def _texts(root: Path, follow_links: bool) -> list[Path]:
    found = [
        Path(folder) / name
        for folder, _, names in os.walk(root, followlinks=follow_links)
        for name in names
        if name.lower().endswith(".txt")
    ]
    return sorted(found)


def _coded(
    numbers: np.ndarray | None, mode: LabelMode, names: list[str] | None
) -> np.ndarray | None:
    """Labels as ``label_mode`` says."""
    if numbers is None or mode is None:
        return None
    assert names is not None
    if mode == "int":
        return numbers.astype(np.int32)
    if mode == "categorical":
        return np.eye(len(names), dtype=np.float32)[numbers]
    if len(names) != 2:
        raise UsageError(
            f'expected two classes with label_mode="binary"; received {len(names)}: '
            f"{', '.join(names)}"
        )
    return numbers.astype(np.float32)[:, None]
