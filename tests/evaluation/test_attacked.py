"""Accuracy under attack, beside the attacks made by hand."""
from functools import partial

import flax.linen as nn
import jax
import numpy as np

from ikd import data
from ikd.config import default
from ikd.evaluation import network
from ikd.evaluation.adversarial import fgsm, pgd_step
from ikd.evaluation.network import attacked, of_pixels
from ikd.evaluation.sensitivity import nearby
from ikd.parallel import MATMUL
from ikd.trained import Trained, rows_in_batches
from ikd.validation import resolve


class Bent(nn.Module):
    """So far from linear within the box that attacks of many steps find what one does not."""
    num_classes: int

    @nn.compact
    def __call__(self, images, train=False):
        x = images.reshape(len(images), -1)
        for width in (200, 200):
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.num_classes)(x), {}


def test_attacked_accuracy_is_that_of_the_attacked_images(monkeypatch):
    """40 images in batches of 16, of which the last is filled up; labels are what the network takes them for."""
    model, digits = Bent(10), data.load('digits')
    variables = model.init(jax.random.key(2), digits.test_images[:1] / 255)
    trained = Trained(resolve(default()), digits, model, variables, 0)
    f, pixels = partial(of_pixels(trained), variables), digits.test_images[:40].astype(np.float32)
    labels = np.asarray(f(pixels)).argmax(-1)
    trained = trained._replace(dataset=digits._replace(test_images=digits.test_images[:40], test_labels=labels))
    monkeypatch.setattr(network, 'fitting', lambda trained, most: 16)
    ticks, expected = [], []
    found = attacked(trained, [16, 64], steps=8, seed=5, tick=lambda: ticks.append(1))
    right = lambda images: 100 * float((np.asarray(f(images)).argmax(-1) == labels).mean())
    for epsilon in 16.0, 64.0:
        moved = np.concatenate([nearby(jax.random.fold_in(jax.random.key(5), number), pixels[rows], epsilon)
                                for number, (rows, _) in enumerate(rows_in_batches(40, 16))])[:40]
        for _ in range(8):
            moved = pgd_step(f, moved, pixels, labels, epsilon, 2.5 * epsilon / 8)
        expected += [('fgsm', epsilon, right(fgsm(f, pixels, labels, epsilon))), ('pgd', epsilon, right(moved))]
    assert [(one['attack'], one['epsilon'], one['accuracy']) for one in found] == expected
    assert len(ticks) == 2 and {one['images'] for one in found} == {40}
    assert len({accuracy for *_, accuracy in expected}) == 4, expected  # all four can be told from one another


def test_gradients_of_attacks_have_the_runs_precision(monkeypatch):
    """They are taken where it is set: of a function that sets it for itself they would have the platform's."""
    told = []
    for name, attack in ('fgsm', fgsm), ('pgd_step', pgd_step):
        monkeypatch.setattr(network, name, lambda *args, attack=attack: (
            told.append(jax.config.jax_default_matmul_precision), attack(*args))[1])
    config, digits = resolve(default()), data.load('digits')
    config.precision = 'tf32'
    model = Bent(10)
    attacked(Trained(config, digits, model, model.init(jax.random.key(2), digits.test_images[:1] / 255), 0), [16], 3)
    assert told == 2 * [MATMUL['tf32']] and MATMUL['tf32'] != jax.config.jax_default_matmul_precision
