"""Mean cosines of class maps against networks whose maps are known, and loops over images."""
import jax
import numpy as np
import pytest

from ikd import data, models
from ikd import trained as trained_networks
from ikd.config import default
from ikd.data import official
from ikd.evaluation import class_cosines as class_cosines_module
from ikd.evaluation.class_cosines import EXPECTED, class_cosines, most_alike, pair_ranks
from ikd.trained import Trained, explain_function, image_batches
from ikd.validation import resolve
from tests.evaluation.networks import random_weights, trained_linear


@pytest.fixture(scope='module')
def digits_set():
    return data.load('digits')


@pytest.fixture(scope='module')
def linear(digits_set):
    """A Trained linear network with random weights, that of class 3 zero, explained by its gradient."""
    weights = random_weights()
    weights[:, 3] = 0
    return trained_linear(weights, dataset=digits_set)


def test_of_a_linear_network_they_are_the_cosines_of_its_weights(linear):
    """For every image alike, so in every row and in both readings; the zero map has cosine 0, also with itself."""
    weights = linear.variables['params']['Dense_0']['kernel'].astype(float)
    lengths = np.linalg.norm(weights, axis=0)
    expected = weights.T @ weights / np.where(lengths > 0, lengths, 1) / np.where(lengths > 0, lengths, 1)[:, None]
    found = class_cosines(linear)
    np.testing.assert_allclose(found['by_true_class'], expected, atol=1e-5)
    np.testing.assert_allclose(found['all_images'], expected, atol=1e-5)
    assert found['zero_maps'] == pytest.approx(0.1)
    assert expected[3, 3] == 0 and expected[2, 2] == pytest.approx(1)


def test_means_are_those_of_a_loop_over_images(digits_set, monkeypatch):
    """Batches of 100, the last not full; a class without images has no row."""
    config = default()
    config.update_from_flattened_dict({'model.name': 'cnn2', 'method.explainer': 'grad_cam'})
    model = models.create('cnn2', 10)
    labels = np.where(digits_set.test_labels == 7, 1, digits_set.test_labels)
    dataset = digits_set._replace(test_labels=labels)
    trained = Trained(resolve(config), dataset, model, models.init(model, jax.random.key(0), (8, 8, 1)), 0)
    found = class_cosines(trained, most=350, size=100)
    explain = jax.jit(explain_function(trained))
    maps = np.concatenate([explain(trained.variables, images)[real]
                           for images, _, real in image_batches(trained, 350, size=350)]).reshape(350, 10, -1)
    rows, every, zero = [[] for _ in range(10)], [], 0
    for image, label in zip(maps.astype(float), labels):
        lengths = np.linalg.norm(image, axis=1)
        zero += (lengths == 0).sum()
        unit = image / np.where(lengths > 0, lengths, 1)[:, None]
        rows[label].append(unit @ unit[label])
        every.append(unit @ unit.T)
    for label in range(10):
        expected = np.mean(rows[label], 0) if rows[label] else np.full(10, np.nan)
        np.testing.assert_allclose(found['by_true_class'][label], expected, atol=1e-5)
    assert not rows[7]
    np.testing.assert_allclose(found['all_images'], np.mean(every, 0), atol=1e-5)
    assert found['zero_maps'] == pytest.approx(zero / 3500) and zero > 0
    monkeypatch.setattr(trained_networks, 'MOST_FLOATS', 90 * 10 * 64)  # as if so many were all that fit
    monkeypatch.setattr(class_cosines_module, 'image_batches',
                        lambda trained, most, size: (sizes.append(size), image_batches(trained, most, size))[1])
    sizes = []
    again = class_cosines(trained, most=350, size=100)
    assert sizes == [90]
    np.testing.assert_allclose(again['all_images'], found['all_images'], atol=1e-5)


def test_ranks_of_pairs():
    """Of a, b, c, d: symmetrised a/b 0.5, a/c 0.2, a/d 0.2, b/c 0.9, b/d -1, c/d 0; the diagonal does not count."""
    matrix = np.array([[9, 0.6, 0.1, 0.2], [0.4, 9, 0.9, -1], [0.3, 0.9, 9, 0.0], [0.2, -1, 0.0, 9]])
    pairs = [('a', 'b'), ('c', 'a'), ('d', 'a'), ('b', 'd'), ('b', 'c')]
    found = pair_ranks(matrix, tuple('abcd'), pairs)
    assert {name: one['rank'] for name, one in found.items()} == {'a/b': 2, 'c/a': 3, 'd/a': 3, 'b/d': 6, 'b/c': 1}
    assert found['a/b']['cosine'] == 0.5
    assert most_alike(matrix, tuple('abcd'), 2) == [('b', 'c'), ('a', 'b')]


def test_undefined_pairs_are_not_the_most_alike():
    """Where a class has no images. They come after all others, and are never among the most alike."""
    matrix = np.array([[1, 0.1, np.nan, 0.3], [0.1, 1, np.nan, 0.9], [np.nan] * 4, [0.3, 0.9, np.nan, 1]])
    found = pair_ranks(matrix, tuple('abcd'), [('a', 'c'), ('a', 'b'), ('b', 'd')])
    assert {name: one['rank'] for name, one in found.items()} == {'a/c': 4, 'a/b': 3, 'b/d': 1}
    assert most_alike(matrix, tuple('abcd')) == [('b', 'd'), ('a', 'd'), ('a', 'b')]


def test_expected_pairs_are_of_classes_that_there_are():
    for name, pairs in EXPECTED.items():
        assert {class_ for pair in pairs for class_ in pair} <= {*official.CLASS_NAMES[name][-1]}
