"""A convolutional network at every stage: the graph before and after each pass, its kernels."""

import keraunos as keras
from keraunos import layers

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    ]
)
(_, _), (images, _) = keras.datasets.digits.load_data()


def ops_of(graph):
    return [node.op.name for node in graph.nodes if node.inputs]


def main():
    executable = keras.compile(model)

    print("Ops after each pass:")
    for stage, graph in executable.stages.items():
        print(f"  {stage:16} {' '.join(ops_of(graph))}")

    print(f"\nThe graph as it was traced:\n{executable.stages['trace']}")
    print(f"\nWhat one pass did to it, node by node:\n{executable.diff('fuse')}")
    print(f"\nThe graph that becomes kernels:\n{executable.graph}")

    print("\nThe kernels, Python files in the cache:")
    for name, path in executable.source_path.items():
        print(f"  {name:28} {path}")

    report = executable.report
    print(f"\n{report.launches} launches of {report.kernels} kernels a call,")
    print(f"{report.arena_bytes} bytes of intermediate values a sample")
    print(f"Probabilities of the first digit: {executable(images[:1])[0].round(3)}")


if __name__ == "__main__":
    main()
