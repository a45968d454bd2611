"""The examples run as they stand, quickly, and print what they are about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py"))
LONGEST = 60  # lines

# What each prints, among other things.
PRINTS = {
    "compare_fusion": ["+fuse", "no fusion", "Fusion saves", "conv2d+batch_norm", "folded"],
    "edit_ir": ["relu(%1)", "= fused conv2d+add", "erf(", "Logits of the first digit"],
    "inspect_cnn": ["fold_batch_norm", "= fused conv2d+add+relu+max_pool2d(", "launches of"],
    "multi_task": ["digit_accuracy", "val_odd_loss", "'ink_mae'"],
    "own_layer": ["rsqrt(", "= fused", "kernel(args, thread, threads)", "# norm"],
    "pretrain_digits": ["without a label", "pre-trained", "dense_4.kernel", "Fine-tuned together"],
    "profile_launches": ["digits (N=1)", "digits (N=64)", "launches", "Longest: "],
    "residual_digits": ["batch   1", "batch 359", "conv2d+add", "tiled"],
    "train_digits": ["Epoch 8/8", "update $conv2d.kernel", "conv2d_kernel_gradient", "never seen"],
}


def run(name: str) -> str:
    """What the example prints, in a terminal wide enough for its tables."""
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py"],
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{name}:\n{done.stdout}\n{done.stderr}"
    assert not done.stderr, f"{name} writes to stderr:\n{done.stderr}"
    return done.stdout


def test_every_example_has_its_line_here():
    assert sorted(PRINTS) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name):
    printed = run(name)
    missing = [text for text in PRINTS[name] if text not in printed]
    assert not missing, f"{name} printed no {missing} in:\n{printed}"


@pytest.mark.smoke
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_short_and_say_what_they_show(name):
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    assert text.startswith('"""')
    assert len(text.splitlines()) < LONGEST


def test_random_filters_read_the_digits():
    lines = [line for line in run("residual_digits").splitlines() if line.startswith("batch")]
    shares = [float(line.partition(":")[2].split("%")[0]) for line in lines]
    assert len(shares) == 3
    assert min(shares) > 95
