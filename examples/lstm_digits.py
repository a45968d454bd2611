"""An LSTM reads handwritten digits row by row, and says what it takes them for at any row.

Its `Input((None, 8))` leaves the number of rows open: one program serves whole and half-read
digits. `lstm_digits.py 2` learns for 2 epochs.
"""

import sys

import keraunos as keras
from keraunos import layers

EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 40
(x, y), (x_test, y_test) = keras.datasets.digits.load_data(size=8)
x, x_test = x[..., 0], x_test[..., 0]  # 8 rows of 8 pixels

if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, 8)),
            layers.LSTM(64, return_sequences=True),
            layers.Dropout(0.2),
            layers.LSTM(64),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.005, EPOCHS * len(x) // 32)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(x, y, batch_size=32, epochs=EPOCHS, verbose=0)
    for rows in (2, 4, 6, 8):
        _, accuracy = model.evaluate(x_test[:, :rows], y_test, verbose=0)
        print(f"Read {rows} rows of 8: accuracy {accuracy:.3f} on digits never seen")
