"""The base of every layer: building, calling, configuration."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ...compiler.ir.graph import IRError, origin_scope
from ...compiler.ops.building import count
from .. import constraints, initializers, regularizers, tree
from ..calls import call_on_arrays, doubles_of, symbolic_results
from ..depth import one_deeper
from ..dtypes import canonical_array, compute_dtype_of, floatx, standard_dtype
from ..errors import (
    LayerError,
    SizesUnknown,
    UsageError,
    UsageTypeError,
    headed,
    refuse_misfit,
    shown,
    unexpected,
    user_facing,
)
from ..naming import auto_name
from ..ops.core import as_node
from ..ops.elementwise import cast
from ..scope import (
    Scope,
    active_scope,
    current_scope,
    enclosing,
    entered,
    is_enclosed,
    path_within,
)
from ..serialize import layer_config, parameters_of, without_idle_options
from ..source import user_line
from ..tensor import KerasTensor, is_symbolic
from ..variable import Variable
from ..watching import Generation
from ..weights import Weighted, all_layers
from .call_arguments import (
    batch_hint,
    build_shapes,
    call_parameters,
    has_mask,
    has_tensor,
    mask_of,
    padding_hint,
    shown_shapes,
)

# Arguments that say what a model that begins with this layer takes.
_INPUT_ARGUMENTS = ("input_shape", "batch_input_shape", "batch_shape", "input_dim", "batch_size")


class Layer(Weighted):
    """Weights and a function of tensors. Subclasses define ``build`` and ``call``.

    A call on arrays runs a program in which attributes that ``call`` reads, of this layer and
    others, are constants, and so are globals, attributes of classes and objects, and what lists,
    dicts and small arrays hold. Where one of these has changed the next call runs another program.

    Args:
        trainable: whether training changes the weights.
        dtype: of weights and results; the default float unless given.
        name: unique within a model; made of the class's name unless given.

    Attributes:
        source: the user's line that made the layer.
        built: whether the weights exist.
        input_spec: what the layer accepts; None is anything.
    """

    name: str
    built: bool
    dtype: str
    first_outputs: Any
    given_arguments: tuple[tuple[Any, ...], dict[str, Any]]
    made_weights: list[Variable]
    programs: dict[Any, Any]
    input_spec: Any = None
    supports_masking = False
    further_arguments: tuple[str, ...] = ()  # that a constructor takes among *args and **kwargs

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _marking_built(cls.build)  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls)
        Generation.structure += 1
        layer.source = user_line(2)
        layer.given_arguments = (args, kwargs)
        layer.made_weights = []
        layer.built = False
        layer.programs = {}
        layer.first_outputs = None
        layer.dtype = floatx()
        layer.name = ""
        return layer

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.name = auto_name(type(self).__name__) if name is None else _checked_name(name)
        self.input_arguments = {k: kwargs.pop(k) for k in _INPUT_ARGUMENTS if k in kwargs}
        if kwargs:
            own = (*self.further_arguments, *parameters_of(type(self)))
            known = dict.fromkeys([*own, *parameters_of(Layer)])
            raise UsageTypeError(f"{type(self).__name__}: {unexpected(kwargs, known)}")
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.autocast = autocast
        self.dtype = compute_dtype_of(dtype).name
        self._trainable = bool(trainable)

    @property
    def compute_dtype(self) -> str:
        """The dtype of results."""
        return self.dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights."""
        return self.dtype

    @property
    def fixes_batch(self) -> bool:
        """Whether a call depends on the number of samples, as one of layers within does."""
        now = Generation.structure, Generation.attributes
        known: tuple[Any, bool] | None = vars(self).get("_fixes_batch")
        if known is None or known[0] != now:
            known = (
                now,
                any(isinstance(each, Layer) and each.fixes_batch for each in self.sublayers),
            )
            vars(self)["_fixes_batch"] = known
        return known[1]

    # Building

    def build(self, *input_shapes: Any) -> None:
        """Makes the weights for inputs of some shapes; called once, before the first call."""
        self.built = True

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        name: str | None = None,
    ) -> Variable:
        """A new weight; Glorot uniform (or zeros, of integers) unless told otherwise."""
        kind = standard_dtype(self.dtype if dtype is None else dtype)
        default = "glorot_uniform" if kind.is_float else "zeros"
        sizes = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if any(size is None for size in sizes):
            raise LayerError(self, f"expected a weight of known sizes; received shape {sizes}")
        label = name or f"variable_{len(self.made_weights)}"
        variable = Variable(
            initializers.get(default if initializer is None else initializer),
            sizes,
            kind,
            trainable,
            autocast,
            aggregation,
            name=label,
            path=path_within(self, label),
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        self.made_weights.append(variable)
        return variable

    def ensure_built(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Builds the layer for the shapes of its first call."""
        if self.built:
            return
        shapes = build_shapes(self, args, kwargs)
        # At top level: what `build` computes are arrays, not parts of the graph under way.
        with entered(None), enclosing(self):
            one_deeper(self.build, *shapes)
        self.built = True
        Generation.structure += 1

    # Calling

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's function of its inputs; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} needs a method call(self, inputs)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic tensors give symbolic tensors, arrays give arrays."""
        if current_scope() is not None:
            return self.apply(args, kwargs)
        return self._top_level_call(args, kwargs)

    @user_facing
    def _top_level_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not any(map(is_symbolic, tree.flatten((args, kwargs)))):
            return call_on_arrays(self, args, kwargs, exact=self.fixes_batch)
        with entered(Scope()):
            outputs = self.apply(args, kwargs)
        return self.record(args, kwargs, outputs)

    def apply(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``call`` on tensors within a scope: checked, built, marked with the layer's line."""
        if not self.name:
            raise UsageError(
                f"{type(self).__name__} ({self.source}): expected a call of "
                "super().__init__(**kwargs) at the beginning of __init__; there was none"
            )
        args, kwargs = tree.map_structure(self._as_tensor, (args, kwargs))
        self.check_inputs(args)
        self.ensure_built(args, kwargs)
        scope = active_scope()
        if scope.losses and not is_enclosed():
            # As Keras: of a layer that is called twice in a step, the last call counts.
            scope.forget_losses({id(layer) for layer in all_layers(self)})
        accepted = call_parameters(type(self).call)
        masks = tree.map_structure(mask_of, args[0]) if args else None
        given = kwargs.get("training")
        training = scope.training if given is None else bool(given)
        if "training" in accepted:
            kwargs = {**kwargs, "training": training}
        elif "kwargs" not in accepted:
            kwargs = {name: value for name, value in kwargs.items() if name != "training"}
        if kwargs.get("mask") is not None:
            masks = kwargs["mask"]
        elif "mask" in accepted and has_mask(masks) and not has_tensor((args[1:], kwargs)):
            # As Keras: a call on several tensors is told of a mask by hand.
            kwargs = {**kwargs, "mask": masks}
        with origin_scope(scope.origin(self)), enclosing(self), scope.during(training):
            outputs = one_deeper(self._located_call, args, kwargs)
            self._pass_mask_on(args, masks, outputs)
            self._penalize(outputs)
        if self.first_outputs is None:
            self.first_outputs = scope.remembered(outputs)
        return outputs

    def _located_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return self.call(*args, **kwargs)
        except (LayerError, SizesUnknown):
            raise
        except TypeError as error:
            refuse_misfit(error, self.call, headed(self, "call"), args, kwargs)
            raise
        except IRError as error:
            # What follows says whose line it is, which the head of this error does.
            message = str(error).partition("\n  at ")[0]
            raise LayerError(self, f"{message}; the input is {shown_shapes(args)}") from error
        except UsageError as error:
            raise LayerError(self, f"{error}; the input is {shown_shapes(args)}") from error

    def _as_tensor(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, KerasTensor):
            return self._cast(value)
        if isinstance(value, Variable):
            return self._cast(KerasTensor.of(as_node(value)))
        if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
            array = canonical_array(value, doubles_of(self))
            return self._cast(KerasTensor.of(active_scope().array(array)))
        return value

    def _cast(self, tensor: KerasTensor) -> KerasTensor:
        """Floats in the layer's own float type; other types as they are."""
        if not self.autocast or not tensor.dtype.startswith("float"):
            return tensor
        return tensor if tensor.dtype == self.dtype else cast(tensor, self.dtype)

    def check_inputs(self, args: tuple[Any, ...]) -> None:
        """Raises ``ValueError`` if the first argument does not fit ``input_spec``."""
        if self.input_spec is None or not args:
            return
        specs = tree.flatten(self.input_spec)
        tensors = tree.flatten(args[0])
        if len(specs) != len(tensors):
            raise LayerError(
                self,
                f"expected {len(specs)} inputs; received {len(tensors)}: {args[0]}"
                f"{padding_hint(tensors)}",
            )
        for spec, tensor in zip(specs, tensors, strict=True):
            if not isinstance(tensor, KerasTensor):
                raise LayerError(self, f"expected a tensor or an array; received {shown(tensor)}")
            complaint = spec.complaint(tensor.shape)
            if complaint:
                hint = batch_hint(spec, tensor)
                raise LayerError(self, f"expected {complaint}; received shape {tensor.shape}{hint}")

    # Losses

    def add_loss(self, loss: Any) -> None:
        """Adds a scalar tensor, or several, to what training minimizes; to be called in ``call``.

        Raises:
            ValueError: it is called outside of a call, or with something else than tensors.
        """
        scope = current_scope()
        for each in tree.flatten(loss):
            if scope is None or not isinstance(each, KerasTensor):
                raise LayerError(
                    self,
                    "add_loss: expected a scalar tensor, within the method call(self, inputs) of a "
                    f"layer; received {shown(each)}",
                )
            scope.add_loss(each, self)

    @property
    def losses(self) -> list[Any]:
        """What the layer and those within add to the loss: by ``add_loss``, then by regularizers.

        Scalar tensors within a call. At top level arrays, of the regularizers of weights alone:
        what ``call`` adds there is none without its inputs.
        """
        scope = current_scope()
        mine = {id(layer) for layer in all_layers(self)}
        added = [] if scope is None else scope.losses_of(mine)
        return [*added, *(w.regularizer(w) for w in self.trainable_weights if w.regularizer)]

    def _penalize(self, outputs: Any) -> None:
        """Adds the penalty on activity, the mean over samples."""
        if self.activity_regularizer is None:
            return
        for output in tree.flatten(outputs):
            if isinstance(output, KerasTensor):
                penalty = self.activity_regularizer(output)
                if output.ndim:
                    samples = KerasTensor.of(count(output.sizes[:1], as_node(penalty).dtype))
                    penalty = penalty / samples
                self.add_loss(penalty)

    # Masks

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the result: by default that of the input, where the layer supports masks."""
        return previous_mask if self.supports_masking else None

    def _pass_mask_on(self, args: tuple[Any, ...], masks: Any, outputs: Any) -> None:
        if not args or not (has_mask(masks) or type(self).compute_mask is not Layer.compute_mask):
            return
        made = self.compute_mask(args[0], masks)
        tensors = tree.flatten(outputs)
        for tensor, mask in zip(tensors, tree.flatten(made), strict=False):
            if isinstance(tensor, KerasTensor) and tensor.mask is None:
                tensor.mask = mask

    # What is known of the calls so far

    @property
    def input(self) -> Any:
        """The symbolic input of the first call; ``AttributeError`` where there was none."""
        return self._first_call("input").args[0]

    @property
    def output(self) -> Any:
        """The symbolic output of the first call."""
        return self._first_call("output").outputs

    def _first_call(self, what: str) -> Any:
        if not self.inbound_nodes:
            raise AttributeError(
                f'layer "{self.name}" has no {what} yet: it was not called on symbolic tensors, '
                "which Input() and other layers give"
            )
        return self.inbound_nodes[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape that inputs of a shape give, None for sizes that vary."""
        return tree.map_structure(lambda result: result.shape, symbolic_results(self, input_shape))

    # Configuration

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as ``from_config`` takes them."""
        return layer_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer that a configuration describes, one that Keras wrote included.

        Raises:
            TypeError: an option is not there; Keras's own that change nothing are left out.
        """
        return cls(**without_idle_options(config))

    def __repr__(self) -> str:
        return f"<{self.class_name} name={self.name}, built={self.built}>"


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name or "/" in name:
        raise UsageError(f"expected a layer's name as a string without '/'; received {shown(name)}")
    return name


def _marking_built(build: Callable[..., None]) -> Callable[..., None]:
    """``build`` that may be called by hand: the layer is built then, and not a second time."""

    @wraps(build)
    def run(self: Layer, *args: Any, **kwargs: Any) -> None:
        with enclosing(self):
            build(self, *args, **kwargs)
        self.built = True

    return run
