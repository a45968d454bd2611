"""What `import keraunos` loads: it is to take no more than twice as long as `import numba`.

A list of modules and no clock, since a clock would fail on a busy machine.
"""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.smoke

# Beyond numba: the settings need platformdirs, numpy's bfloat16 is that of ml_dtypes; of numpy,
# numpy.typing.
ALLOWED = {"keraunos", "ml_dtypes", "numpy", "platformdirs"}
HEAVY = {"h5py", "typer", "rich", "keras", "jax", "torch", "tensorflow", "onnxruntime", "pandas"}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    return set(json.loads(output))


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.fixture(scope="module")
def added() -> set[str]:
    return modules_after("import keraunos") - modules_after("import numpy, numba")


def test_loads_no_heavy_module(added):
    assert not roots(added) & HEAVY


def test_loads_nothing_third_party_beyond_the_list(added):
    unexpected = roots(added) - ALLOWED - sys.stdlib_module_names
    hooks = {name for name in unexpected if name.startswith("__editable__")}
    assert not unexpected - hooks


def test_does_not_load_the_command_line(added):
    assert "keraunos.frontend.cli.main" not in added


def test_the_measure_sees_a_heavy_module():
    assert "h5py" in roots(modules_after("import h5py"))


def test_a_compiled_model_runs_without_numba():
    """Its kernels are on disk: what compiles them is not loaded."""
    model = "keraunos.Sequential([keraunos.Input((4,)), keraunos.layers.Dense(3)])"
    run = f"import keraunos; {model}.predict([[1.0, 2.0, 3.0, 4.0]], verbose=0)"
    modules_after(run)
    assert "numba" not in roots(modules_after(run))
