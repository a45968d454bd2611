"""Models: layers with inputs and outputs, that predict and are trained."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.ir.graph import IRError
from ...runtime.dim_solver import ArgumentError
from .. import inspection, lazy, tree
from ..accepted import Count, LineLength, Numbers
from ..arguments import checked_method
from ..calls import MOST_PROGRAMS, program_for_arrays, results_like, symbolic_results
from ..errors import LayerError, SizesUnknown, UsageError, at_user_line, user_facing
from ..history import Operation
from ..layers.base import Layer
from ..programs import TracedProgram, kept
from ..scope import active_scope
from ..tensor import KerasTensor, is_symbolic
from ..tracing import Spec, specs_of, trace_call
from ..training.batch import Batch
from ..training.trainer import Trainer
from ..watching import Generation
from .arrays import arranged, fitted, fitted_tensor
from .ends import check_ends, check_names, has_ends, unwrapped
from .network import Network, network_between
from .predicting import Hot, predict

if TYPE_CHECKING:
    from ...compiler.report.explain import Explanation


class Model(Trainer, Layer):
    """Layers and a function of them.

    ``Model(inputs=x, outputs=y)`` makes a functional model of symbolic tensors; a subclass
    defines ``call`` instead, on layers that it makes in ``__init__``.

    Attributes:
        inputs, outputs: the symbolic tensors, flat; None where the model does not know them.
    """

    network: Network | None
    hot: Hot | None
    kind = "model"
    further_arguments = ("inputs", "outputs")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        functional = cls is Model and has_ends(args, kwargs)
        model = super().__new__(Functional if functional else cls, *args, **kwargs)
        model.network = None
        model.hot = None
        model._needs_sizes = False
        model.forget_steps()
        return model

    @user_facing
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not has_ends(args, kwargs):
            super().__init__(*args, **kwargs)
            return
        ends = dict(zip(("inputs", "outputs", "name"), args, strict=False)) | kwargs
        inputs, outputs = ends.pop("inputs"), ends.pop("outputs")
        super().__init__(**ends)
        check_ends(inputs, outputs)
        network = network_between(inputs, outputs)
        check_names(self, network.operations)
        self.connect(network)

    def connect(self, network: Network | None) -> None:
        """Makes the model what leads from some symbolic inputs to some outputs."""
        self.network = network
        self.built = network is not None
        self.programs.clear()
        self.hot = None
        self._needs_sizes = False

    # Structure

    @property
    def input_structure(self) -> Any:
        """The symbolic inputs, nested as given; None where the model does not know them."""
        return None if self.network is None else self.network.inputs

    @property
    def inputs(self) -> list[KerasTensor] | None:
        return None if self.network is None else tree.flatten(self.network.inputs)

    @property
    def outputs(self) -> list[KerasTensor] | None:
        return None if self.network is None else tree.flatten(self.network.outputs)

    @property
    def input(self) -> Any:
        return self._known_network("input").inputs

    @property
    def output(self) -> Any:
        return self._known_network("output").outputs

    @property
    def input_shape(self) -> Any:
        """The shapes of the inputs, nested as they are, None for sizes that vary."""
        return tree.map_structure(lambda tensor: tensor.shape, self.input)

    @property
    def output_shape(self) -> Any:
        """The shapes of the outputs."""
        return tree.map_structure(lambda tensor: tensor.shape, unwrapped(self.output))

    @property
    def batch_is_fixed(self) -> bool:
        """Whether an input was given a batch size, so that each batch has to have it."""
        return any(tensor.shape and tensor.shape[0] is not None for tensor in self.inputs or ())

    def _known_network(self, what: str) -> Network:
        if self.network is None:
            raise AttributeError(
                f'model "{self.name}" has no {what} yet. Give it an Input, or a functional form: '
                "Model(inputs=..., outputs=...)"
            )
        return self.network

    @property
    def operations(self) -> list[Operation]:
        """Layers, and functions of ``keraunos.ops`` between them."""
        return list(self.sublayers if self.network is None else self.network.operations)

    @property
    def sublayers(self) -> list[Any]:
        found = super().sublayers
        if self.network is None:
            return found
        own = [each for each in self.network.operations if isinstance(each, Layer)]
        return list({id(layer): layer for layer in [*own, *found]}.values())

    @property
    def layers(self) -> list[Any]:
        """The layers of the model; those of nested models are within these."""
        return self.sublayers

    @checked_method
    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer with a name, or at a place of ``layers``.

        Raises:
            ValueError: there is none, or not exactly one of both arguments is given.
        """
        if (name is None) == (index is None):
            raise UsageError(f"get_layer: expected a name or an index; received {name=}, {index=}")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise UsageError(
                    f"get_layer: expected an index below {len(self.layers)}; received {index}"
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise UsageError(f"get_layer: expected one of {names}; received {name!r}")

    @user_facing
    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for an input shape such as ``(None, 28, 28, 1)``, or several."""
        if not self.built:
            symbolic_results(self, input_shape)
        self.built = True

    def ensure_built(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A subclass builds its layers as its ``call`` reaches them."""
        if type(self).build is not Model.build:
            super().ensure_built(args, kwargs)
        self.built = True

    def build_like(self, x: Any) -> None:
        """Makes the weights for such data, if they are missing and ``call`` says what they are.

        As in Keras, so that a step of one's own may ask for weights before it calls the model.
        """
        built = self.built or self.network is not None or all(each.built for each in self.sublayers)
        if built or (type(self).call is Model.call and type(self).build is Model.build):
            return
        results_like(self, x)

    def settle(self, has_stepped: bool) -> None:
        """Takes note of what the model has by now: metrics, and whether it is built.

        A model that only its own steps call is built with these, or as its layers are.

        Args:
            has_stepped: whether a step was made or run, so that what it needs is built.
        """
        self.find_metrics()
        if self.built or type(self).build is not Model.build:
            return
        only_layers = type(self).call is Model.call and bool(self.sublayers)
        self.built = has_stepped or (only_layers and all(each.built for each in self.sublayers))

    @user_facing
    def count_params(self) -> int:
        """The number of elements of all weights. Raises ``ValueError`` before they exist."""
        if not self.built:
            raise LayerError(
                self,
                "expected a built model; its weights are made on the first call, or by "
                "build(input_shape)",
            )
        return super().count_params()

    @checked_method
    def summary(
        self,
        line_length: LineLength | None = None,
        positions: Numbers | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Prints the layers, their output shapes and weights as a table, as Keras does."""
        lazy.load(".models.summary").print_summary(
            self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range
        )

    def explain(self, *inputs: Any, only: Any = None) -> Explanation:
        """What was fused, folded, tiled or declined, and why: as ``keraunos.explain``."""
        return inspection.explain(self, *inputs, only=only)

    # Saving

    @checked_method
    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Writes all weights, and the optimizer's state, to a file that Keras 3 reads as well.

        The file is replaced at once or not at all, even if the process is stopped meanwhile.

        Args:
            filepath: ends in ``.weights.h5``; its folder exists.
            overwrite: False asks before replacing a file, or raises where there is no one to ask.

        Raises:
            ValueError: another path, or the model is not built.
        """
        lazy.load(".saving.weights").save_weights(self, filepath, overwrite)

    @checked_method
    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Sets all weights to those in a file, all or none of them; Keras 3 may have written it.

        Layers are told apart by their places in the model, not by their names. The state of the
        optimizer is set too, if it has that state already; else a warning tells.

        Args:
            filepath: of a ``.weights.h5`` file, or a ``.keras`` archive.
            skip_mismatch: whether layers that do not fit the file keep their weights, with a
                warning.

        Raises:
            ValueError: no such file, another file, or one for other layers or shapes.
        """
        lazy.load(".saving.weights").load_weights(self, filepath, skip_mismatch)

    # Calling

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if self.network is None:
            raise LayerError(
                self, "expected a method call(self, inputs), or Model(inputs=..., outputs=...)"
            )
        given = arranged(self, self.network.inputs, inputs)
        masks = [tensor.mask for tensor in given]
        if mask is not None:
            masks = arranged(self, self.network.inputs, mask)
        triples = zip(tree.flatten(self.network.inputs), given, masks, strict=True)
        tensors = [fitted_tensor(self, *each) for each in triples]
        scope = active_scope()
        types_alone = scope.asks_types_alone and not scope.training
        known = self.network.typed(tensors) if types_alone else None
        return unwrapped(self.network.run(tensors) if known is None else known)

    def _cast(self, tensor: KerasTensor) -> KerasTensor:
        """Inputs that are known are cast one by one, each to its own type."""
        return tensor if self.network is not None else super()._cast(tensor)

    def prepare(
        self, inputs: Any, training: bool = False
    ) -> tuple[TracedProgram, list[np.ndarray]]:
        """The program for some inputs, and the inputs as its arrays.

        Raises:
            ValueError: too few or too many inputs, or another shape than the model takes.
            TypeError: an input is no array of numbers.
        """
        if self.network is None:
            options = {"training": True} if training else {}
            return program_for_arrays(self, (inputs,), options, exact=self.fixes_batch)
        given = arranged(self, self.network.inputs, inputs)
        tensors = tree.flatten(self.network.inputs)
        arrays = [fitted(self, *pair) for pair in zip(tensors, given, strict=True)]
        batches = {
            array.shape[0]
            for tensor, array in zip(tensors, arrays, strict=True)
            if tensor.ndim and tensor.shape[0] is None
        }
        if len(batches) > 1:
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise LayerError(self, f"expected inputs of one batch size; received shapes {shapes}")
        return self._program(training, arrays), arrays

    def _program(self, training: bool, arrays: list[np.ndarray]) -> TracedProgram:
        """The program for all sizes, or where they have to be known, for those at hand."""
        if not self._needs_sizes:
            try:
                return self._kept((training,), lambda: specs_of(self, ()))
            except SizesUnknown:
                self._needs_sizes = True
        sizes = tuple(array.shape[1:] for array in arrays)
        return self._kept((training, sizes), lambda: self._specs_like(arrays))

    def _specs_like(self, arrays: list[np.ndarray]) -> tuple[Any, ...]:
        pairs = zip(tree.flatten(self.input_structure), arrays, strict=True)
        specs = [Spec((*t.shape[:1], *a.shape[1:]), a.dtype.name) for t, a in pairs]
        return (tree.pack_as(self.input_structure, specs),)

    def _kept(self, key: tuple[Any, ...], specs: Callable[[], tuple[Any, ...]]) -> TracedProgram:
        def make() -> TracedProgram:
            return TracedProgram(trace_call(self, specs(), training=key[0], open_sizes=True))

        return kept(self.programs, key, make, MOST_PROGRAMS)

    def _top_level_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        symbolic = any(map(is_symbolic, tree.flatten((args, kwargs))))
        masked = kwargs.get("mask") is not None
        known = len(args) == 1 and kwargs.keys() <= {"training", "mask"}
        if symbolic or masked or self.network is None or not known:
            return super()._top_level_call(args, kwargs)
        return self._call_known(args[0], kwargs.get("training"))

    @user_facing
    def _call_known(self, inputs: Any, training: Any = None) -> Any:
        program, arrays = self.prepare(inputs, bool(training))
        return program.traced.pack(program(*arrays))

    # Predicting

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as arrays.

        Raises:
            ValueError: too few or too many inputs, or another shape than the model takes.
            TypeError: an input is no array of numbers.
        """
        # The warm path is some microseconds of Python: one array of the kind seen last time.
        hot = self.hot
        if (
            hot is not None
            and hot.attributes == Generation.attributes
            and (hot.around is None or hot.around.hold())
            and hot.accepts(x)
        ):
            try:
                return hot.program(x)[0]
            except (UsageError, IRError, ArgumentError) as error:
                raise at_user_line(error) from None
        return self._predict_on_batch(x)

    @user_facing
    def _predict_on_batch(self, x: Any) -> Any:
        if self.predicts_by_step:
            pack, outputs = self.predict_step_on(Batch(self.intake.x(x)))
            return pack(outputs)
        attributes = Generation.attributes
        program, arrays = self.prepare(x)
        results = program.traced.pack(program(*arrays))
        if len(arrays) == 1 and isinstance(results, np.ndarray):
            self.hot = Hot.of(program, attributes)
        return results

    @checked_method
    def predict(
        self,
        x: Any,
        batch_size: Count | None = None,
        verbose: Any = "auto",
        steps: Count | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for any number of samples, batch by batch, as arrays.

        Args:
            x: an array, a list or dict of arrays for several inputs, or a generator, an iterator
                or a sequence of batches.
            batch_size: of arrays, 32 unless given.
            verbose: 0 silent, 1 ("auto") a progress bar, 2 one line.
            steps: how many batches at most.

        Raises:
            ValueError, TypeError: as ``predict_on_batch``.
        """
        return predict(self, x, batch_size, verbose, steps, callbacks)


class Functional(Model):
    """The model between some symbolic inputs and outputs."""

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
