"""What is measured of a network is what the functions of those names say, and fits into JSON."""
import json

import jax
import numpy as np
import pytest

from ikd import data, models
from ikd.config import default
from ikd.evaluation import measure
from ikd.evaluation.class_cosines import class_cosines
from ikd.evaluation.discriminativeness import discriminativeness
from ikd.evaluation.likeness import likeness
from ikd.explainers import class_similarity, explain
from ikd.tables import paper_figures
from ikd.trained import Trained
from ikd.validation import resolve


@pytest.fixture
def trained(monkeypatch):
    """A new MLP and 40 digits, as if a run had ended with it."""
    config = default()
    config.update_from_flattened_dict({'model.name': 'mlp', 'method.name': 'le'})
    model, digits = models.create('mlp', 10), data.load('digits')
    digits = digits._replace(test_images=digits.test_images[:40], test_labels=digits.test_labels[:40])
    trained = Trained(resolve(config), digits, model, models.init(model, jax.random.key(0), (8, 8, 1)), 7)
    for module in measure, paper_figures:
        monkeypatch.setattr(module, 'load', lambda workdir, seed: {('run', 7): trained}[workdir, seed])
    return trained


def test_what_goes_into_a_cells_file(trained):
    found = measure.measure('run', 7)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found['class_names'] == list('0123456789')
    assert [*found['class_cosines']] == ['grad', 'grad_input']  # the run's own first
    assert {*found['discriminativeness']} == {'grad', 'grad_input', 'guided_backprop'}  # an MLP has no Grad-CAM
    expected = class_cosines(trained, 'grad_input')['all_images']
    np.testing.assert_allclose(found['class_cosines']['grad_input']['all_images'], expected, atol=6e-6)
    score = discriminativeness(trained, 'guided_backprop')['signed']['runner_up']
    assert found['discriminativeness']['guided_backprop']['signed']['runner_up'] == pytest.approx(score, abs=6e-6)


def test_likeness_for_a_cells_file(trained):
    """Of the run's own explainer, over all test images, to what the network itself confuses."""
    trained.config.method.explainer = 'grad_input'
    found = measure.own_likeness('run', 7)
    assert found == {'likeness': pytest.approx(likeness(trained, 'grad_input', 40)['value'], abs=6e-6)}
    assert found['likeness'] != pytest.approx(likeness(trained, 'grad_input', 30)['value'], abs=1e-3)


def test_rounding():
    values = {'a': np.array([[1 / 3, np.nan, -np.inf]], np.float32), 'b': {'c': 3, 'd': np.float64(-2), 'e': None},
              'f': ['x']}
    assert measure.rounded(values) == {'a': [[0.33333, None, None]], 'b': {'c': 3, 'd': -2.0, 'e': None}, 'f': ['x']}


def test_examples_have_the_scores_of_the_explainer_asked_for(trained):
    """Not of the one that the network has learnt from: the row of the first test image of class 2."""
    figure = paper_figures.examples('run', 7, 'grad_input')
    assert 'mlp after le (Grad) on digits: Grad*Input' in figure.get_suptitle()
    place = np.flatnonzero(trained.dataset.test_labels == 2)[:1]
    images = trained.dataset.test_images[place] / np.float32(255)
    maps = jax.jit(lambda x: explain('grad_input', trained.model, trained.variables, x))(images)
    cosines = np.asarray(class_similarity(maps, np.array([2])))[0] - 1
    written = [axes.get_xlabel() for axes in figure.axes[2 * 11 + 1:3 * 11]]
    np.testing.assert_allclose([float(text) for text in written], cosines, atol=0.0051)
    assert trained.config.method.explainer == 'grad'


def test_likeness_for_a_cells_file_is_of_all_test_images(monkeypatch):
    """Of the network itself, and not of as many images as `likeness` takes by default."""
    asked, (cosines, probabilities) = [], np.random.default_rng(0).normal(size=(2, 60, 4))
    monkeypatch.setattr(measure, 'load', lambda workdir, seed: (workdir, seed))
    monkeypatch.setattr(measure, 'cosines_and_probabilities', lambda trained, **options: (
        asked.append((trained, options)), (cosines, probabilities, np.arange(60) % 4))[1])
    assert -1 <= measure.own_likeness('run', 3)['likeness'] <= 1
    assert asked == [(('run', 3), {'most': None})]


def test_cosines_for_a_cells_file_are_of_all_test_images(trained, monkeypatch):
    asked = []
    monkeypatch.setattr(measure, 'class_cosines', lambda trained, *of: (asked.append(of), {})[1])
    measure.measure('run', 7)
    assert asked == [('grad',), ('grad_input',)]
