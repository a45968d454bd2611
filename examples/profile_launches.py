"""Where the time of a call goes, launch by launch, for one image and for many.

Few samples run layer after layer, all threads on each. From some batch size on, threads take
samples through many layers at once, while these fit their caches: a tile.
"""

import keraunos as keras
from keraunos import layers


def build():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


def main():
    (_, _), (images, _) = keras.datasets.digits.load_data()
    executable = keras.compile(build())
    for batch in (1, 64):
        profile = executable.profile(images[:batch], repeats=50)
        print(profile)
        launches = [each for each in profile.launches if not each.has_body]
        longest = max(launches, key=lambda each: each.nanoseconds)
        print(f"Longest: {longest.kernel} for {longest.layers}\n")


if __name__ == "__main__":
    main()
