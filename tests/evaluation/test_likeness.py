"""Whether maps of classes that are confused look alike, on networks whose maps and probabilities are known."""
import jax
import numpy as np
import pytest
from scipy.stats import spearmanr

from ikd import data
from ikd.errors import InputError
from ikd.evaluation import likeness as module
from ikd.evaluation.likeness import cosines_and_probabilities, likeness, rank_agreement
from ikd.explainers import explain
from tests.evaluation.networks import random_weights, trained_linear

OTHERS = ~np.eye(10, dtype=bool)


def linear(seed, digits, weights=None):
    """A Trained linear network with random weights."""
    return trained_linear(random_weights(seed) if weights is None else weights, dataset=digits)


@pytest.fixture(scope='module')
def digits():
    return data.load('digits')


def taken_for(trained, n):
    """Mean probabilities [k, k] of the first n test images, rows true classes, in a plain loop."""
    kernel = trained.variables['params']['Dense_0']['kernel'].astype(float)
    rows = [[] for _ in range(10)]
    for image, label in zip(trained.dataset.test_images[:n], trained.dataset.test_labels):
        logits = (image.reshape(-1) / 255 - trained.dataset.mean[0]) / trained.dataset.std[0] @ kernel
        e = np.exp(logits - logits.max())
        rows[label].append(e / e.sum())
    return np.array([np.mean(row, 0) for row in rows])


def test_of_a_linear_network(digits):
    """Its maps are its weights, so the cosines are theirs; the probabilities are its own or another network's.

    That normalises otherwise. A map is the same whatever the true class, so each two cosines are a tie, which a
    machine's rounding breaks; that moves rho in the third decimal. So it is Spearman's of the numbers that were read,
    and these are the cosines and the probabilities.
    """
    network, other = linear(0, digits), linear(1, digits._replace(mean=(0.3,), std=(0.2,)))
    weights = network.variables['params']['Dense_0']['kernel'].astype(float)
    unit = weights / np.linalg.norm(weights, axis=0)
    for confused in None, other:
        found = likeness(network, 'grad', most=300, confused=confused)
        *numbers, labels = cosines_and_probabilities(network, 'grad', 300, confused)
        cosines, probabilities = (np.stack([values[labels == label].mean(0, np.float64) for label in range(10)])
                                  for values in numbers)
        np.testing.assert_allclose(cosines, unit.T @ unit, atol=1e-6)
        np.testing.assert_allclose(probabilities, taken_for(confused or network, 300), atol=1e-6)
        expected = spearmanr(cosines[OTHERS], probabilities[OTHERS]).statistic
        assert found['value'] == pytest.approx(expected, abs=1e-12)
        assert -1 <= found['low'] < found['value'] < found['high'] <= 1
    assert likeness(network, 'grad', most=300, confused=other)['value'] != likeness(network, 'grad', 300)['value']


def test_a_network_that_confuses_what_looks_alike(digits):
    """Images whose class is what it takes them for: what has nearly that class's weights comes close behind."""
    base = np.random.default_rng(3).normal(size=(64, 5))
    weights = (np.repeat(base, 2, 1) + np.random.default_rng(4).normal(size=(64, 10)) / 3).astype(np.float32)
    labels = (digits.test_images.reshape(-1, 64) @ weights).argmax(1)
    digits = digits._replace(test_labels=labels.astype(np.int32))
    network, turned = (linear(0, digits, np.roll(weights, shift, 1)) for shift in (0, 3))
    own, other = likeness(network, 'grad', None), likeness(network, 'grad', None, turned)
    assert own['low'] > 0.4 > 0.1 > other['high']


def test_fewer_images_have_the_wider_interval(digits):
    network = linear(0, digits)
    few, many = (likeness(network, 'grad_input', most) for most in (40, 360))
    assert few['high'] - few['low'] > 1.5 * (many['high'] - many['low']) > 0


def test_a_class_without_images_has_no_row():
    """And its column is read all the same."""
    rng = np.random.default_rng(0)
    cosines, probabilities = rng.normal(size=(2, 50, 4))
    labels = np.arange(50) % 3  # none of class 3
    first, second = ([values[labels == label].mean(0)[k] for label in range(3) for k in range(4) if k != label]
                     for values in (cosines, probabilities))
    assert rank_agreement(cosines, probabilities, labels) == pytest.approx(spearmanr(first, second).statistic)


def test_two_classes_have_no_order():
    """Two numbers have a rho of 1 or -1, whatever they are; three classes have six."""
    cosines, probabilities = np.random.default_rng(0).normal(size=(2, 50, 3))
    assert rank_agreement(cosines[:, :2], probabilities[:, :2], np.arange(50) % 2) is None
    assert rank_agreement(cosines, probabilities, np.arange(50) % 3) is not None


def test_alike_maps_have_no_order(digits):
    """All of one network's weights are alike, so nothing can be said."""
    weights = np.repeat(np.random.default_rng(0).normal(size=(64, 1)), 10, 1).astype(np.float32)
    found = likeness(linear(0, digits, weights), 'grad', most=50, confused=linear(1, digits))
    assert found == {'value': None, 'low': None, 'high': None}


def test_maps_are_those_that_explain_gives(digits):
    """Of one image: cosines of its maps, in plain numpy, beside its probabilities."""
    network = linear(5, digits)
    pixels, label = digits.test_images[:1], digits.test_labels[0]
    maps = np.asarray(explain('grad_input', network.model, network.variables, network.inputs(pixels))).reshape(10, -1)
    cosines = maps @ maps[label] / np.linalg.norm(maps, axis=1) / np.linalg.norm(maps[label])
    logits = network.model.apply(network.variables, network.inputs(pixels))[0][0]
    others = np.arange(10) != label
    expected = spearmanr(cosines[others], jax.nn.softmax(logits)[others]).statistic
    found = likeness(network, 'grad_input', most=1)
    assert found == {'value': pytest.approx(expected), 'low': None, 'high': None}  # one image has no scatter


@pytest.mark.parametrize('n, scatters', [(19, False), (20, True)])
def test_two_images_of_each_class_have_an_interval(digits, n, scatters):
    found = likeness(linear(0, digits._replace(test_labels=np.arange(len(digits.test_labels)) % 10)), 'grad_input', n)
    assert found['value'] is not None and (found['low'] is not None) == (found['high'] is not None) == scatters


def test_what_is_no_number_is_left_out():
    """One image's map, one class's maps; and where all are none, nothing can be said."""
    rng = np.random.default_rng(0)
    cosines, probabilities = rng.normal(size=(2, 60, 4))
    labels = np.arange(60) % 4
    broken = cosines.copy()
    broken[8] = np.nan  # an image of class 0
    keep = np.arange(60) != 8
    expected = [[values[(labels == label) & keep].mean(0)[k] for label in range(4) for k in range(4) if k != label]
                for values in (cosines, probabilities)]
    expected[1][:3] = probabilities[labels == 0].mean(0)[1:]  # of which nothing is broken
    assert rank_agreement(broken, probabilities, labels) == pytest.approx(spearmanr(*expected).statistic)
    broken[:, 2] = np.nan
    pairs = [(label, k) for label in range(4) for k in range(4) if k != label and k != 2]
    expected = [[np.nanmean(values[labels == label, k]) for label, k in pairs]
                for values in (broken, probabilities)]
    assert rank_agreement(broken, probabilities, labels) == pytest.approx(spearmanr(*expected).statistic)
    assert rank_agreement(np.full_like(cosines, np.nan), probabilities, labels) is None


def test_of_a_network_that_is_no_number(digits):
    weights = np.full((64, 10), np.nan, np.float32)
    assert likeness(linear(0, digits, weights), 'grad', 50) == {'value': None, 'low': None, 'high': None}


@pytest.mark.parametrize('change', ['names', 'shape', 'labels'])
def test_networks_of_other_data_are_refused(change, digits):
    other = {'names': digits._replace(class_names=(*'abcdefghij',)),
             'shape': digits._replace(test_images=digits.test_images[:, :7]),
             'labels': digits._replace(test_labels=digits.test_labels[::-1])}[change]
    with pytest.raises(InputError, match='likeness: the two networks were not tested on the same images'):
        likeness(linear(0, digits), 'grad', 10, linear(1, other))


def test_the_interval_is_1_96_deviations_of_the_samples(digits, monkeypatch):
    """Of which those without a rho count as 0."""
    rhos = iter([0.3, *[0.4, None] * (module.RESAMPLES // 2)])
    monkeypatch.setattr(module, 'rank_agreement', lambda *numbers: next(rhos))
    found = likeness(linear(0, digits), 'grad', 50)
    assert found == pytest.approx({'value': 0.3, 'low': 0.3 - 1.96 * 0.2, 'high': 0.3 + 1.96 * 0.2})
