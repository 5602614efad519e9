"""Rank correlations against SciPy's, ties and constant maps included, and scores that are known."""
import jax
import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from ikd.evaluation.discriminativeness import discriminativeness, readings, score, spearman
from ikd.trained import explain_function
from tests.evaluation.networks import random_weights, trained_linear, trained_of


def tied_values():
    """[3, 4, 50] with few distinct values, minus zero and zero, infinities, and none distinct."""
    draw = np.random.default_rng(0)
    values = draw.integers(-3, 3, (3, 4, 50)).astype(np.float32)
    values[0, 0] *= np.float32(-0.0)
    values[0, 1, :20] = 0.0 * draw.choice([-1, 1], 20)
    values[1, 0] = draw.normal(size=50)
    values[1, 1, :2] = np.inf, -np.inf
    return values


@pytest.mark.filterwarnings('ignore:An input array is constant')
def test_correlations_are_scipys():
    """Of each two maps; of a constant one there is none."""
    values = tied_values()
    others = np.random.default_rng(1).permuted(values, axis=-1) + values
    correlate = jax.jit(spearman)
    found = np.asarray(correlate(values, others))
    expected = [[spearmanr(a, b).statistic for a, b in zip(*rows)] for rows in zip(values, others)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.isnan(found).sum() == 1 and np.isnan(found[0, 0])
    broadcast = np.asarray(correlate(values[:, :1], others))
    np.testing.assert_allclose(broadcast[1, 2], spearmanr(values[1, 0], others[1, 2]).statistic, atol=1e-6)
    assert np.isnan(broadcast[0]).all()


def test_a_map_with_a_nan_has_no_correlation():
    values = tied_values()
    spoilt = values.copy()
    spoilt[1, 2, 0] = np.nan
    for found in spearman(spoilt, values), spearman(values, spoilt):
        assert np.argwhere(np.isnan(found)).tolist() == [[0, 0], [1, 2]]


def test_readings_of_maps():
    colours = np.float32([1, -2, 4]) * np.ones((1, 1, 2, 2, 3), np.float32)
    found = readings(colours, (2, 2))
    np.testing.assert_array_equal(found['absolute'], np.full((1, 1, 2, 2), 7))
    np.testing.assert_array_equal(found['signed'], np.full((1, 1, 2, 2), 3))
    ramp = readings(np.float32([[[[0, 1], [0, 1]]]]), (4, 4))
    np.testing.assert_allclose(ramp['upsampled'][0, 0], [[0, 0.25, 0.75, 1]] * 4)
    np.testing.assert_array_equal(ramp['as_is'][0, 0], [[0, 1]] * 2)


def test_score_leaves_out_what_is_undefined():
    """Images of 1 - (0.5 + 0.1) / 2, 1 - 0.3 and none at all."""
    nan = np.nan
    found = score(np.array([[0.5, -0.1, nan], [nan, 0.3, nan], [nan] * 3]))
    assert found['score'] == pytest.approx((0.7 + 0.7) / 2) and found['rho'] == pytest.approx((0.2 + 0.3) / 2)
    assert (found['images'], found['undefined']) == (2, 6)
    assert found['low'] == pytest.approx(0.7) == found['high']
    assert score(np.full((2, 3), nan)) == {'score': None, 'low': None, 'high': None, 'rho': None, 'images': 0,
                                           'undefined': 6}
    assert score(np.array([[0.5, -0.1], [nan, nan]])) == {
        'score': pytest.approx(0.7), 'low': None, 'high': None, 'rho': pytest.approx(0.2), 'images': 1,
        'undefined': 2}


@pytest.mark.parametrize('name, explainer', [('mlp', 'grad_input'), ('cnn2', 'grad_cam')])
def test_protocol_in_a_loop(name, explainer):
    """110 images, so the second batch is not full; Grad-CAM has maps that are zero."""
    trained, n = trained_of(name, explainer), 110
    images, labels = trained.dataset.test_images[:n] / np.float32(255), trained.dataset.test_labels[:n]
    logits = np.asarray(jax.jit(trained.model.apply)(trained.variables, images)[0])
    maps = jax.jit(explain_function(trained))(trained.variables, images)
    found = discriminativeness(trained, most=n)
    undefined = 0
    for reading, values in readings(maps, (8, 8)).items():
        flat, every, second = np.asarray(values).reshape(n, 10, -1), [], []
        for image, label, logit in zip(flat, labels, logits):
            others = np.delete(np.arange(10), label)
            with np.errstate(invalid='ignore'):
                rho = np.abs(np.corrcoef(rankdata(image, axis=1))[label, others])
            every.append(rho)
            second.append(rho[logit[others].argmax()])
        every, right = np.array(every), logits.argmax(1) == labels
        kept = ~np.isnan(every).all(1)
        apart = 1 - np.nanmean(every[kept], 1)
        assert found[reading]['all']['score'] == pytest.approx(apart.mean(), abs=1e-5)
        assert found[reading]['correct']['score'] == pytest.approx(apart[right[kept]].mean(), abs=1e-5)
        assert found[reading]['runner_up']['score'] == pytest.approx(1 - np.nanmean(second), abs=1e-5)
        assert found[reading]['all']['undefined'] == np.isnan(every).sum()
        assert found[reading]['all']['images'] == kept.sum()
        assert 0 < found[reading]['correct']['images'] < kept.sum()
        undefined += np.isnan(every).sum()
    assert (undefined > 0) == (explainer == 'grad_cam')


def test_maps_that_say_the_same_of_every_class_tell_nothing_apart():
    """All columns of the last layer alike: rho is 1, D is 0. Multiples of -1 are as like in rank."""
    trained = trained_of('mlp', 'grad')
    last, signs = trained.variables['params']['Dense_2'], np.where(np.arange(10) % 2, -1, 1).astype(np.float32)
    last['kernel'] = np.asarray(last['kernel'])[:, :1] * signs
    found = discriminativeness(trained, most=20)
    for reading in found.values():
        assert reading['all']['score'] == pytest.approx(0, abs=1e-6) == reading['runner_up']['score']
    assert found['absolute']['all']['rho'] == pytest.approx(1) and found['signed']['all']['rho'] < 0


def test_another_explainer_than_the_runs():
    """With its usual options; the run's own keeps the run's."""
    trained = trained_of('cnn2', 'grad_cam')
    trained.config.method.relu = False
    images = trained.dataset.test_images[:3] / np.float32(255)
    own = jax.jit(explain_function(trained))(trained.variables, images)
    assert own.min() < 0 and own.shape == (3, 10, 4, 4)
    other = jax.eval_shape(explain_function(trained, 'grad'), trained.variables, images)
    assert other.shape == (3, 10, 8, 8, 1)


def test_the_runner_up_is_another_class_where_all_logits_are_negative():
    """A number added to all of them changes nothing."""
    found, below = (discriminativeness(trained_linear(random_weights(), bias), 'grad', 50) for bias in (0, -100))
    assert below == found
