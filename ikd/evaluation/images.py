"""What a trained network sees in images: its maps of every class, or of the likeliest of many, and what it says."""
from typing import NamedTuple

import jax
import numpy as np

from ikd import metrics
from ikd.data.limits import half_of_memory
from ikd.errors import InputError
from ikd.evaluation.network import of_pixels, predict
from ikd.explainers import class_similarity
from ikd.trained import compiled, explain_function, rows_in_batches

SIZE = 16  # images at a time
ALL = 20  # classes; of more than that, only the most probable are explained
MOST = 10


class Explained(NamedTuple):
    """n images, as a network of k classes sees them; arrays of the host.

    classes: int [n, m], those explained: all k up to ALL, else each image's MOST likeliest, the last of which gives
    way to the class `reference` where that is not among them. maps: explainer -> float32 [n, m, h, w, c] or [n, m,
    h', w']. similarities: explainer -> float32 [n, m], how alike each class's map and that of `reference` are, in
    [-1, 1], by the run's similarity. probabilities: float32 [n, k]. reference: int [n], the true class where it is
    known, else the predicted one.
    """
    classes: np.ndarray
    maps: dict[str, np.ndarray]
    similarities: dict[str, np.ndarray]
    probabilities: np.ndarray
    reference: np.ndarray


def explain_images(trained, images, labels, explainers, tick=lambda steps: None):
    """The Explained of images, uint8 [n, h, w, c], by the explainers named.

    labels: int [n], -1 where the true class is not known. tick(m) is told whenever an explainer has done m images.
    InputError if the maps would take more than half of the memory.
    """
    n = len(images)
    size = min(n, SIZE)
    probabilities = np.exp(metrics.log_softmax(predict(trained, jax.jit(of_pixels(trained)), images, size)))
    reference = np.where(labels < 0, probabilities.argmax(-1), labels)
    classes = explained_classes(probabilities, reference)
    maps, similarities = {}, {}
    for name in explainers:
        function = compiled(trained, maps_and_similarities(trained, name))
        parts = []
        for rows, real in rows_in_batches(n, size):
            arguments = trained.variables, trained.inputs(images[rows]), classes[rows], reference[rows]
            if not parts:
                check_memory(n, len(explainers), jax.eval_shape(function, *arguments)[0].shape[1:])
            parts.append(jax.device_get(function(*arguments)))
            tick(int(real.sum()))
        maps[name], similarities[name] = (np.concatenate(part)[:n] for part in zip(*parts))
    return Explained(classes, maps, similarities, probabilities, reference)


def explained_classes(probabilities, reference):
    """`Explained.classes` for probabilities [n, k] and the class that others are compared with, int [n]."""
    n, k = probabilities.shape
    if k <= ALL:
        return np.tile(np.arange(k), (n, 1))
    classes = np.argsort(-probabilities, axis=1, kind='stable')[:, :MOST]
    absent = (classes != reference[:, None]).all(1)
    classes[absent, -1] = reference[absent]
    return classes


def maps_and_similarities(trained, name):
    """The pure function (variables, images, classes, reference) -> maps [b, m, ...] and their similarities [b, m]."""
    explain = explain_function(trained, name)

    def function(variables, x, classes, reference):
        maps = explain(variables, x, classes if len(trained.class_names) > ALL else None)
        place = (classes == reference[:, None]).argmax(1)
        return maps, class_similarity(maps, place, trained.config.method.similarity) - 1

    return function


def check_memory(n, explainers, shape):
    """InputError if float32 maps of n images by so many explainers, each of this shape, are too many."""
    needed, most = 4 * n * explainers * int(np.prod(shape)), half_of_memory()
    if needed > most:
        raise InputError(f'the maps of {n} images would take {needed:,} bytes, but half of the memory here is '
                         f'{most:,}: give fewer images, or fewer --explainers')
