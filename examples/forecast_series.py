"""A GRU forecasts a series, six steps ahead, and is compared with the naive forecast: no change.

The series is that of Mackey and Glass: chaotic, made by an equation that looks 17 steps back.
`forecast_series.py 2` learns for 2 epochs.
"""

import sys

import numpy as np

import keraunos as keras
from keraunos import layers

EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 40
KNOWN, AHEAD, DELAY = 48, 6, 17


def series(count):
    """dv/dt = 0.2 v(t - 17) / (1 + v(t - 17)^10) - 0.1 v, in tenths of a step; mean 0, scale 1."""
    values = list(np.random.default_rng(0).normal(1.2, 0.05, 10 * DELAY + 1))
    for _ in range(10 * (count + 200)):
        old = values[-10 * DELAY]
        values.append(values[-1] + 0.02 * old / (1 + old**10) - 0.01 * values[-1])
    steps = np.array(values[-10 * count :: 10], "float32")
    return ((steps - steps.mean()) / steps.std())[:, None]


def windows(steps, shuffle):
    """Batches of 48 known steps each, and the step that is to be said."""
    return keras.utils.timeseries_dataset_from_array(
        steps[:-AHEAD], steps[KNOWN + AHEAD - 1 :], KNOWN, batch_size=64, shuffle=shuffle, seed=0
    )


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    steps = series(3000)
    past, future = windows(steps[:2000], shuffle=True), windows(steps[2000:], shuffle=False)
    model = keras.Sequential([keras.Input((None, 1)), layers.GRU(32), layers.Dense(1)])
    rate = keras.optimizers.schedules.CosineDecay(0.005, EPOCHS * len(past))
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    model.fit(past, epochs=EPOCHS, verbose=0)
    _, error = model.evaluate(future, verbose=0)
    naive = np.mean(np.concatenate([np.abs(x[:, -1] - y) for x, y in future]))
    print(f"Mean error {AHEAD} steps ahead, in standard deviations: naive {naive:.3f}")
    print(f"                                             the GRU: {error:.3f}")
