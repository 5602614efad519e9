"""How good a network's predictions are: on the test set, attacked, corrupted."""
from functools import partial

import jax
import numpy as np

from ikd import metrics
from ikd.evaluation.adversarial import fgsm, pgd_step
from ikd.evaluation.calibration import confusion, reliability
from ikd.evaluation.corruptions import KINDS, SEVERITIES, corrupt
from ikd.evaluation.sensitivity import nearby
from ikd.trained import at_precision, compiled, fitting, rows_in_batches

MOST = 250  # images at a time


def of_pixels(trained):
    """The pure function (variables, pixels) -> logits [b, k] of pixels [b, h, w, c] in [0, 255], evaluation mode.

    At the precision of the network's run.
    """
    return at_precision(trained, lambda variables, pixels: trained.model.apply(variables, trained.inputs(pixels),
                                                                               train=False)[0])


def predict(trained, apply, images, size=None):
    """Logits [n, k] of uint8 images [n, h, w, c], on the host; apply: `of_pixels`, compiled.

    size: how many images go together; None: MOST, or as many as fit.
    """
    return np.concatenate([jax.device_get(apply(trained.variables, images[rows]))[real]
                           for rows, real in rows_in_batches(len(images), size or fitting(trained, MOST))])


def predictions(trained, apply, most=500):
    """What the whole test set says: a dict.

    `accuracy` (percent), `nll` (nats) and `ece` (15 bins, in [0, 1]), as in `metrics.evaluate`; `robustness_accuracy`
    (percent), that on the first `most` images, to which `attacked` and `corrupted` compare; `reliability`, the bins;
    `confusion`, a list of rows, true classes are rows, predicted ones columns; `class_names`.
    """
    labels, logits = trained.dataset.test_labels, predict(trained, apply, trained.dataset.test_images)
    numbers = metrics.evaluate(logits, labels)
    return {'accuracy': numbers['test_accuracy'], 'nll': numbers['test_nll'], 'ece': numbers['test_ece'],
            'robustness_accuracy': 100 * float((logits.argmax(-1) == labels)[:most].mean()),
            'confusion': confusion(logits.argmax(-1), labels, logits.shape[-1]).tolist(),
            'class_names': list(trained.class_names),
            'reliability': reliability(np.exp(metrics.log_softmax(logits)), labels)}


def attacked(trained, epsilons, most=500, steps=20, seed=0, tick=lambda: None):
    """Accuracy (percent) on the first `most` test images under FGSM and PGD, for each epsilon, pixels of 255.

    A list of {'attack', 'epsilon', 'accuracy', 'images'}. PGD takes `steps` steps of 2.5 epsilon / steps from a
    random start (Madry et al. 2018, appendix), and what its last step leaves counts. tick() is called for each
    epsilon.
    """
    function, images, y = of_pixels(trained), trained.dataset.test_images[:most], trained.dataset.test_labels[:most]
    apply, start = jax.jit(function), jax.jit(nearby)
    fast = compiled(trained, lambda variables, *others: fgsm(partial(function, variables), *others))
    step = compiled(trained, lambda variables, *others: pgd_step(partial(function, variables), *others))
    batches = [(images[rows].astype(np.float32), y[rows], real)
               for rows, real in rows_in_batches(len(y), fitting(trained, MOST))]
    found = []
    for epsilon in map(float, epsilons):
        right = {'fgsm': 0, 'pgd': 0}
        for number, (pixels, labels, real) in enumerate(batches):
            moved = start(jax.random.fold_in(jax.random.key(seed), number), pixels, epsilon)
            for _ in range(steps):
                moved = step(trained.variables, moved, pixels, labels, epsilon, 2.5 * epsilon / steps)
            for attack, attacked_images in ('fgsm', fast(trained.variables, pixels, labels, epsilon)), ('pgd', moved):
                predicted = apply(trained.variables, attacked_images).argmax(-1)
                right[attack] += int(((predicted == labels) & real).sum())
        found += [{'attack': attack, 'epsilon': epsilon, 'accuracy': 100 * count / len(y), 'images': len(y)}
                  for attack, count in right.items()]
        tick()
    return found


def corrupted(trained, apply, most=500, tick=lambda: None):
    """Accuracy (percent) on the first `most` test images, corrupted: kind -> five, for severities 1 to 5.

    tick() is called for each kind.
    """
    images, labels = trained.dataset.test_images[:most], trained.dataset.test_labels[:most]
    found = {}
    for kind in KINDS:
        logits = [predict(trained, apply, corrupt(images, kind, severity)) for severity in SEVERITIES]
        found[kind] = [100 * float((one.argmax(-1) == labels).mean()) for one in logits]
        tick()
    return found
