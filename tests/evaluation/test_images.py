"""Images of one's own are explained in batches that fit."""
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ikd import models
from ikd.config import default
from ikd.errors import InputError
from ikd.evaluation import images as given
from ikd.explainers import class_similarity


@pytest.mark.parametrize('n, k, size', [(5, 10, 5), (40, 10, 16), (40, 800, 16)])
def test_images_are_explained_in_batches_that_fit(n, k, size, monkeypatch):
    """The last is filled up and cut off again."""
    names, seen, ticks = tuple(map(str, range(k))), [], []
    apply = lambda variables, x, train: (x.sum((1, 2)) * np.arange(k), {})
    trained = SimpleNamespace(
        class_names=names, variables={}, model=SimpleNamespace(apply=apply),
        config=SimpleNamespace(precision='float32', method=SimpleNamespace(similarity='cosine')),
        inputs=lambda images: images.astype(np.float32) / 255)

    def maps_and_similarities(trained, name):
        def function(variables, x, classes, reference):
            seen.append(len(x))
            return x[:, None, ..., 0] * classes[:, :, None, None], reference[:, None] + 0 * x[:, 0, 0]
        return function

    monkeypatch.setattr(given, 'maps_and_similarities', maps_and_similarities)
    images = np.random.default_rng(0).integers(1, 255, (n, 2, 2, 1), dtype=np.uint8)
    labels = np.arange(n) % min(k, 7)
    found = given.explain_images(trained, images, labels, ['one'], ticks.append)
    assert {*seen} == {size} and sum(ticks) == n
    expected = images[:, None, ..., 0] / 255 * found.classes[:, :, None, None]
    np.testing.assert_allclose(found.maps['one'], expected, rtol=1e-5)
    np.testing.assert_array_equal(found.similarities['one'][:, 0], labels)
    assert found.probabilities.shape == (n, k)


def test_of_many_classes_the_likeliest_are_explained():
    """And the one that others are compared with, last where it is not likely."""
    p = np.tile(np.linspace(1, 2, 21) / 31.5, (2, 1))
    assert given.explained_classes(p[:, :20], np.array([3, 0])).tolist() == [[*range(20)]] * 2
    assert given.explained_classes(p, np.array([15, 3])).tolist() == [[*range(20, 10, -1)], [*range(20, 11, -1), 3]]


def test_maps_of_the_likeliest_are_those_of_all(monkeypatch):
    """And so are their similarities."""
    images = np.random.default_rng(0).integers(0, 255, (3, 6, 6, 1), dtype=np.uint8)
    model = models.create('cnn2', 12)
    config = default()
    config.method.explainer = 'grad'
    trained = SimpleNamespace(
        class_names=tuple('abcdefghijkl'), model=model, inputs=lambda images: images.astype(np.float32) / 255,
        config=config, variables=model.init(jax.random.key(0), np.zeros((1, 6, 6, 1)), train=False))
    labels = np.array([3, -1, 11])
    every = given.explain_images(trained, images, labels, ['grad'])
    monkeypatch.setattr(given, 'ALL', 11)
    some = given.explain_images(trained, images, labels, ['grad'])
    assert every.classes.shape == (3, 12) and some.classes.shape == (3, 10) and 3 in some.classes[0]
    for part in 'maps', 'similarities':
        whole, found = getattr(every, part)['grad'], getattr(some, part)['grad']
        expected = np.stack([one[own] for one, own in zip(whole, some.classes)])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_maps_are_alike_by_the_runs_similarity():
    """Here Wasserstein's, of each image to the class that it is compared with."""
    images = np.random.default_rng(0).integers(0, 255, (2, 4, 4, 1), dtype=np.uint8)
    model, config = models.create('mlp', 4, widths=()), default()
    config.method.explainer, config.method.similarity = 'grad', 'wasserstein'
    trained = SimpleNamespace(
        class_names=tuple('abcd'), model=model, inputs=lambda images: images.astype(np.float32) / 255, config=config,
        variables=model.init(jax.random.key(0), np.zeros((1, 4, 4, 1)), train=False))
    found = given.explain_images(trained, images, np.array([3, -1]), ['grad'])
    expected, cosines = (np.asarray(class_similarity(found.maps['grad'], found.reference, name)) - 1
                         for name in ('wasserstein', 'cosine'))
    np.testing.assert_allclose(found.similarities['grad'], expected, atol=1e-5)
    assert found.reference.tolist() == [3, found.probabilities[1].argmax()]
    assert np.abs(expected - cosines).max() > 0.01


def test_maps_of_every_explainer_need_memory(monkeypatch):
    monkeypatch.setattr(given, 'half_of_memory', lambda: 4 * 5 * 2 * 640)
    given.check_memory(5, 2, (10, 8, 8))
    for n, explainers in (6, 2), (5, 3):
        with pytest.raises(InputError, match=f'the maps of {n} images would take {4 * n * explainers * 640:,} bytes'):
            given.check_memory(n, explainers, (10, 8, 8))
