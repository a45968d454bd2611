"""Records of kernels' arguments: what a template fills in and an emitter names is one thing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from machines import compiled_for, machine

from keraunos.compiler.cpu import arguments
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import FLOAT32, INT32
from keraunos.compiler.loops.arguments import (
    ABSENT,
    ArgumentRecord,
    EpilogueArguments,
    ImageArguments,
    P,
    Pointer,
    S,
    holds,
)
from keraunos.compiler.loops.kernel import Param
from keraunos.compiler.loops.layout import Address


@dataclass(frozen=True, kw_only=True)
class Example(ArgumentRecord[P, S]):
    count: S
    picks: P
    image: ImageArguments[P, S] = field(metadata=holds(ImageArguments))
    last: S = ABSENT
    more: Mapping[str, ImageArguments[P, S]] = field(default_factory=dict)


def example(**more):
    image = ImageArguments(at=Pointer(Address(1)), image=90, row=30, col=10)
    return Example(count=7, picks=Pointer(Address(0), INT32), image=image, **more)


def test_names_are_those_of_the_fields():
    names = Example[str, str].names()
    assert (names.count, names.picks, names.last) == ("count", "picks", "last")
    assert (names.image.at, names.image.row) == ("image", "image_row")


def test_arguments_are_in_order_of_the_fields_but_pointers_come_first():
    made = example(last=5)
    listed = ["picks", "image", "count", "image_image", "image_row", "image_col", "last"]
    assert [param.name for param in made.params] == listed
    assert made.params[:3] == (Param("picks", INT32), Param("image", FLOAT32), Param("count"))
    assert made.values == (Address(0), Address(1), 7, 90, 30, 10, 5)


def test_what_is_absent_is_no_argument():
    assert "last" not in [param.name for param in example().params]
    assert len(example().values) == len(example().params) == 6


def test_zero_is_an_argument():
    assert example(last=0).values[-1] == 0


def test_what_becomes_structure_is_left_out():
    made = example(last=5).without(["count"])
    assert [param.name for param in made.params if param.dtype is None][-1] == "last"
    assert 7 not in made.values and made.image == example().image


def test_records_by_name_are_called_so():
    made = example(more={"z4": ImageArguments(at=Pointer(Address(3)), row=2)})
    assert [param.name for param in made.params][-1] == "z4_row"
    assert made.values[2] == Address(3)


def test_a_record_says_all_that_it_is_launched_with():
    with pytest.raises(TypeError, match="count"):
        Example(picks=Pointer(Address(0)))


def test_an_epilogue_names_its_result_and_bias():
    names = EpilogueArguments[str, str].names()
    assert (names.y.at, names.y.image, names.y.col, names.bias) == ("y", "y_image", "y_col", "bias")


KINDS = [kind for name, kind in vars(arguments).items() if name.endswith("Arguments")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_two_arguments_of_a_kernel_have_one_name(kind):
    def leaves(record):
        for value in vars(record).values():
            yield from leaves(value) if isinstance(value, ArgumentRecord) else [value]

    found = [name for name in leaves(kind[str, str].names()) if isinstance(name, str)]
    assert len(found) == len(set(found)) >= 2


def test_a_launch_gives_each_parameter_its_value():
    graph = parse_ir("""graph g(%x: f32[2, 6, 6, 8]) -> f32[2, 2, 2, 24] {
  $k : f32[5, 5, 8, 24]
  $b : f32[24]
  %0 = conv2d(%x, $k)
  %1 = add(%0, $b)
  return %1
}""")
    program = compiled_for(machine(8), graph).program
    (row,) = [row for row in program.rows if program.kernels[row.kernel].name == "conv2d_add"]
    names = program.kernels[row.kernel].source.split("args: ")[1].splitlines()[0].split(", ")
    found = dict(zip(names, row.arguments, strict=True))
    sizes = ("images", "rows", "cols", "channels", "x_image", "x_row", "x_col", "y_row", "y_col")
    assert [found[name] for name in sizes] == [2, 2, 2, 24, 288, 48, 8, 48, 24]
    assert {"x: f32*", "w: f32*", "y: f32*", "bias: f32*"} <= found.keys()
    assert "x_run" not in found
