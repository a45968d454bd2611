"""Distillation: a small network learns from the answers of a large one, in a train_step of its own.

The teacher has seen all labels; the student has 50, and the teacher's softened answers to images
without labels. The same student without a teacher is there to compare.
"""

import numpy as np

import keraunos as keras
from keraunos import layers, ops

(x, y), (x_test, y_test) = keras.datasets.digits.load_data(size=8)
FEW = np.concatenate([np.flatnonzero(y == digit)[:5] for digit in range(10)])
LABELS = np.full(len(y), -1, "int32")  # -1 is no label
LABELS[FEW] = y[FEW]
CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)


def network(*hidden):
    return keras.Sequential([keras.Input((8, 8, 1)), *hidden, layers.Flatten(), layers.Dense(10)])


class Distilled(keras.Model):
    def __init__(self, student, teacher):
        super().__init__()
        self.student, self.teacher = student, teacher

    def call(self, images):
        return self.student(images)

    def train_step(self, data):
        images, labels = data
        answers = ops.softmax(self.teacher(images) / 3)  # at a temperature of 3

        def loss_of(images):
            logits = self.student(images, training=True)
            soft = -ops.mean(ops.sum(answers * ops.log_softmax(logits / 3), axis=-1))
            return 9 * soft + CROSSENTROPY(labels, logits)

        weights = self.student.trainable_variables
        loss, gradients = keras.value_and_grad(loss_of, wrt=weights)(images)
        self.optimizer.apply(gradients, weights)
        return {"loss": loss}


def taught(model, images, labels, epochs):
    """Trains a model; gives its accuracy on digits that none has seen."""
    model.compile(keras.optimizers.Adam(0.01), CROSSENTROPY, metrics=["accuracy"])
    model.fit(images, labels, epochs=epochs, verbose=0)
    return model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    teacher = network(layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2))
    print(f"Teacher, {teacher.count_params()} weights: accuracy {taught(teacher, x, y, 15):.3f}")
    alone, student = network(), network()
    print(f"Student, {alone.count_params()} weights: {taught(alone, x[FEW], y[FEW], 100):.3f}")
    print(f"Student, distilled: {taught(Distilled(student, teacher), x, LABELS, 30):.3f}")
