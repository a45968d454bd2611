"""The examples run as they stand, quickly, and print what they are about."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py"))
LONGEST = 80  # lines

# What those that learn for long are told, to be done sooner.
SHORTENED = {
    "forecast_series": ["3"],
    "lstm_digits": ["1"],
    "next_words": ["1"],
    "seq2seq_dates": ["64"],
    "word_vectors": ["2"],
}

# What each prints, among other things.
PRINTS = {
    "compare_fusion": ["+fuse", "no fusion", "Fusion saves", "conv2d+batch_norm", "folded"],
    "distill_digits": ["Teacher, 3210 weights: accuracy 0.9", "Student, distilled: 0.9"],
    "edit_ir": ["relu(%1)", "= fused conv2d+add", "erf(", "Logits of the first digit"],
    "forecast_series": ["naive 0.", "the GRU: "],
    "gan_digits": ["After   0 epochs: 0% read surely", "as 10 digits", "Digits themselves"],
    "inspect_cnn": ["fold_batch_norm", "= fused conv2d+add+relu+max_pool2d(", "launches of"],
    "lstm_digits": ["Read 2 rows of 8", "Read 8 rows of 8: accuracy 0."],
    "multi_task": ["digit_accuracy", "val_odd_loss", "'ink_mae'"],
    "next_words": ["never read: unigram ", "It goes on: the value of the "],
    "own_layer": ["rsqrt(", "= fused", "kernel(args, thread, threads)", "# norm"],
    "pretrain_digits": ["without a label", "pre-trained", "dense_4.kernel", "Fine-tuned together"],
    "profile_launches": ["digits (N=1)", "digits (N=64)", "launches", "Longest: "],
    "residual_digits": ["batch   1", "batch 359", "conv2d+add", "tiled"],
    "seq2seq_dates": ["without attention, ", "with attention, ", "beam ", " -> "],
    "train_digits": ["Epoch 8/8", "update $conv2d.kernel", "conv2d_kernel_gradient", "never seen"],
    "vae_digits": ["'lost': [", "digits never seen: 1.", "points, untaught ", "points, taught "],
    "word_vectors": ["pairs of ", "float  ", "keyword "],
}


@cache
def run(name: str, whole: bool = False) -> str:
    """What the example prints, in a terminal wide enough for its tables."""
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py", *([] if whole else SHORTENED.get(name, []))],
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


def numbers_of(name: str, pattern: str, whole: bool = False) -> list[float]:
    return [float(found) for found in re.findall(pattern, run(name, whole))]


def test_the_generator_learns_to_make_digits():
    before, midway, after, real = numbers_of("gan_digits", r"(\d+)%")
    assert before < midway < after < real
    assert after > 35


def test_points_become_images_like_digits():
    seen, untaught, taught = numbers_of("vae_digits", r"(\d\.\d+) from the nearest")
    assert seen < taught < untaught / 2


def test_a_teacher_is_worth_more_than_a_few_labels():
    teacher, alone, distilled = numbers_of("distill_digits", r": (?:accuracy )?(0\.\d+)")
    assert alone + 0.05 < distilled < teacher + 0.02


@pytest.mark.slow
def test_dates_are_translated_with_and_without_attention():
    shares = numbers_of("seq2seq_dates", r"(?:greedy|beam) (\d\.\d+)", whole=True)
    assert len(shares) == 4
    assert min(shares) >= 0.99


@pytest.mark.slow
def test_the_lstm_reads_digits_it_has_not_seen():
    accuracies = numbers_of("lstm_digits", r"accuracy (\d\.\d+)", whole=True)
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] >= 0.97


@pytest.mark.slow
def test_words_are_foreseen_better_than_by_their_frequency():
    unigram, lstm = numbers_of("next_words", r"(?:unigram|LSTM) (\d+)", whole=True)
    assert lstm < 0.65 * unigram


@pytest.mark.slow
def test_words_of_a_kind_have_vectors_near_each_other():
    printed = run("word_vectors", whole=True)
    near = {line.split()[0]: line.split()[1:] for line in printed.splitlines()}
    assert "false" in near["true"]
    assert "float" in near["int"]


def test_a_series_is_forecast_better_than_by_no_change():
    naive, network = numbers_of("forecast_series", r"(?:naive|GRU:) (\d\.\d+)")
    assert network < 0.8 * naive
