"""Similarities of maps against numpy and scipy, and the targets of equation 6 of 2009.09140."""
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from sklearn.datasets import load_digits

from ikd.errors import InputError
from ikd.explainers import SIMILARITIES, class_similarity, targets
from ikd.explainers.similarity import cosine, multiscale_mse

DIGITS = load_digits().data.astype(np.float32)
LABELS = np.array([2, 0, 4])
SHAPES = [(8, 8), (7, 5), (6, 6, 3), (5, 9, 2)]


def signed_maps(shape, b=3, k=6):
    """Maps [b, k, *shape] with both signs, cut from as many digits as that takes."""
    size = b * k * np.prod(shape)
    return (DIGITS.ravel()[:size] - 5).reshape(b, k, *shape)


def with_true_class(one, maps, labels):
    """[b, k] of one(map of class k, map of the true class)."""
    return np.array([[one(map_, row[label]) for map_ in row] for row, label in zip(maps, labels)])


def reference_cosine(u, v):
    u, v = np.float64(u).ravel(), np.float64(v).ravel()
    return u @ v / np.linalg.norm(u) / np.linalg.norm(v) + 1


def reference_pool(map_, s):
    h, w = map_.shape[0] // s, map_.shape[1] // s
    return np.array([[map_[i * s:(i + 1) * s, j * s:(j + 1) * s].mean((0, 1)) for j in range(w)]
                     for i in range(h)])


def reference_multiscale(u, v, scales=(1, 2, 4)):
    """2 - mean ||u_s - v_s||^2 / 2 as it stands, of unit vectors."""
    squares = []
    for s in scales:
        u_s, v_s = reference_pool(np.float64(u), s), reference_pool(np.float64(v), s)
        squares.append(((u_s / np.linalg.norm(u_s) - v_s / np.linalg.norm(v_s)) ** 2).sum())
    return 2 - np.mean(squares) / 2


def projections(h, w, directions=8):
    angles = np.pi * np.arange(directions) / directions
    return [np.cos(angle) * np.arange(w) + np.sin(angle) * np.arange(h)[:, None] for angle in angles]


def reference_wasserstein(u, v):
    """Scipy's distance along each direction; the largest is looked for among all pairs of pixels."""
    places = [place.ravel() for place in projections(*u.shape[:2])]
    largest = np.mean([np.abs(place[:, None] - place) for place in places], axis=0).max()

    def distance(u, v):
        u, v = (mass.reshape(*mass.shape[:2], -1).sum(-1).ravel() for mass in (u, v))
        if not (u.any() and v.any()):
            return largest
        return np.mean([wasserstein_distance(place, place, u, v) for place in places])

    parts = [(np.maximum(sign * u, 0), np.maximum(sign * v, 0)) for sign in (1, -1)]
    found = [distance(*part) for part in parts if part[0].any() or part[1].any()]
    return 2 * (1 - np.mean(found or largest) / largest)


REFERENCES = {
    'cosine': reference_cosine,
    'multiscale_mse': reference_multiscale,
    'wasserstein': reference_wasserstein,
}


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('similarity', SIMILARITIES)
def test_similarity_agrees_with_numpy(similarity, shape):
    maps = signed_maps(shape)
    weights = class_similarity(maps, LABELS, similarity)
    expected = with_true_class(REFERENCES[similarity], maps, LABELS)
    np.testing.assert_allclose(weights, expected, atol=2e-6)
    assert np.ptp(expected) > 0.15  # the digits do differ


def test_one_scale_is_the_cosine():
    maps = signed_maps((8, 8))
    np.testing.assert_array_equal(multiscale_mse(maps, LABELS, scales=(1,)), cosine(maps, LABELS))


def test_scales_beyond_the_map_are_left_out():
    maps = signed_maps((3, 5))
    expected = with_true_class(partial(reference_multiscale, scales=(1, 2)), maps, LABELS)
    np.testing.assert_allclose(multiscale_mse(maps, LABELS), expected, atol=2e-6)


@pytest.mark.parametrize('similarity', SIMILARITIES)
@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=st.integers(0, 2 ** 32 - 1), sparsity=st.floats(0, 1), exponent=st.integers(-6, 6))
def test_weights_and_targets_of_any_maps(similarity, seed, sparsity, exponent):
    """Whatever the maps, zero ones among them: weights in [0, 2], a distribution with alpha at the label."""
    draw = np.random.default_rng(seed)
    maps = draw.normal(size=(3, 6, 5, 5)) * 10.0 ** exponent
    maps = np.where(draw.random((3, 6, 1, 1)) < sparsity, 0, maps).astype(np.float32)
    weights = class_similarity(maps, LABELS, similarity)
    q = np.asarray(targets(maps, LABELS, 0.9, similarity))
    assert np.all((weights >= 0) & (weights <= 2))
    np.testing.assert_allclose(q.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(q[np.arange(3), LABELS], np.float32(0.9))
    assert np.all(q >= 0)


@pytest.mark.parametrize('alpha', [0.9, 0.6])
@pytest.mark.parametrize('similarity', SIMILARITIES)
def test_targets_are_equation_6(similarity, alpha):
    maps = signed_maps((8, 8))
    weights = with_true_class(REFERENCES[similarity], maps, LABELS)
    weights[np.arange(3), LABELS] = 0
    expected = (1 - alpha) * weights / weights.sum(1, keepdims=True)
    expected[np.arange(3), LABELS] = alpha
    np.testing.assert_allclose(targets(maps, LABELS, alpha, similarity), expected, atol=1e-6)


def test_the_true_class_has_a_share():
    maps, labels = np.ones((2, 3, 4, 4), np.float32), np.array([0, 1])
    for alpha in (0, 1.9, float('nan'), np.float32(1.2), np.full(3, 0.5)):
        with pytest.raises(InputError, match='it must be in'):
            targets(maps, labels, alpha)


@pytest.mark.parametrize('labels, message', [
    ([0, 3], 'labels are 0 to 3; the maps are of classes 0 to 2'), ([-1, 2], 'labels are -1 to 2'),
    ([0], r'labels are int32 \[1\]; give class numbers, int \[2\]'), ([0.0, 1.0], r'labels are float32 \[2\]'),
    (np.eye(3)[:2], r'labels are float64 \[2, 3\]'), (np.array([2 ** 32, 0]), 'labels are 0 to 4294967296;'),
    (np.array([0, 1 - 2 ** 32]), 'labels are -4294967295 to 0;')])
def test_labels_are_of_the_classes_there_are(labels, message):
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    for function in targets, class_similarity:
        with pytest.raises(InputError, match=message):
            function(maps, labels)
    np.testing.assert_array_equal(targets(maps, [0, 1]), targets(maps, np.array([0, 1])))


@pytest.mark.parametrize('similarity', SIMILARITIES)
@pytest.mark.parametrize('shape', [(0, 3, 4, 4), (0, 3, 4, 4, 2)])
def test_no_images_have_no_targets(similarity, shape):
    assert targets(np.ones(shape, np.float32), np.zeros(0, int), similarity=similarity).shape == (0, 3)


@pytest.mark.parametrize('shape', [(2, 3), (3, 4, 4), (2, 1, 4, 4), (2, 3, 4, 4, 1, 1)])
def test_maps_are_of_images_and_classes(shape):
    with pytest.raises(InputError, match=r'maps are \[.*two classes or more'):
        targets(np.ones(shape, np.float32), np.zeros(shape[0], int))


@pytest.mark.parametrize('similarity', SIMILARITIES)
def test_maps_that_are_no_numbers_make_no_targets(similarity):
    """And not those of label smoothing, which a run would learn from in silence."""
    maps = signed_maps((8, 8)).copy()
    expected = np.array(targets(maps, LABELS, similarity=similarity))
    maps[0, 1, 2, 3] = np.nan  # some wrong class's
    maps[1, LABELS[1], 2, 3] = np.nan
    q = np.asarray(targets(maps, LABELS, similarity=similarity))
    assert np.isnan(q[:2]).sum(1).tolist() == [5, 5]  # all but the true class's, which is alpha
    np.testing.assert_array_equal(q[2], expected[2])


@pytest.mark.parametrize('similarity', SIMILARITIES)
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'int32'])
def test_maps_of_any_kind_of_number(similarity, dtype):
    maps = (signed_maps((8, 8)) * 100).astype(dtype)  # squares are beyond float16
    q = targets(maps, LABELS, similarity=similarity)
    assert q.dtype == np.float32
    np.testing.assert_array_equal(q, targets(maps.astype(np.float32), LABELS, similarity=similarity))


def test_targets_by_hand():
    """Cosines 0, 1/sqrt(2) and -1 with the true class 1: weights 1, 1.7071 and 0."""
    maps = np.array([[[[0, 3]], [[2, 0]], [[1, 1]], [[-7, 0]]]], np.float32)
    rest = np.array([1, 1 + 0.5 ** 0.5, 0]) / (2 + 0.5 ** 0.5) * 0.1
    np.testing.assert_allclose(targets(maps, np.array([1]))[0], [rest[0], 0.9, rest[1], rest[2]], atol=1e-7)


@pytest.mark.parametrize('similarity', SIMILARITIES)
@pytest.mark.parametrize('scale', [1e-6, 1e-3, 1e3, 1e6])
def test_targets_do_not_see_the_length_of_maps(similarity, scale):
    maps = signed_maps((8, 8))
    scales = np.where(np.arange(6) % 2, scale, 1).astype(np.float32).reshape(1, 6, 1, 1)
    expected = targets(maps, LABELS, similarity=similarity)
    for factor in (np.float32(scale), scales):
        np.testing.assert_allclose(targets(maps * factor, LABELS, similarity=similarity), expected, atol=1e-6)


@pytest.mark.parametrize('similarity', SIMILARITIES)
def test_permuting_classes_permutes_targets(similarity):
    maps, order = signed_maps((8, 8)), np.array([3, 5, 0, 1, 4, 2])
    permuted = targets(maps[:, order], np.argsort(order)[LABELS], similarity=similarity)
    np.testing.assert_allclose(permuted, targets(maps, LABELS, similarity=similarity)[:, order], atol=1e-7)


def uniform(k=6, alpha=0.9):
    rows = np.full((3, k), (1 - alpha) / (k - 1), np.float32)
    rows[np.arange(3), LABELS % k] = alpha
    return rows


@pytest.mark.parametrize('case', ['all zero', 'true zero', 'all alike', 'exact opposites'])
@pytest.mark.parametrize('similarity', SIMILARITIES)
def test_targets_without_a_preference_are_uniform(case, similarity):
    """Label smoothing, which is what is left of equation 6 when no class is more alike than another."""
    maps = signed_maps((8, 8)).copy()
    true = maps[np.arange(3), LABELS]
    if case == 'all zero':
        maps[:] = 0
    elif case == 'true zero':
        maps[np.arange(3), LABELS] = 0
    else:
        lengths = np.array([1, 1e-4, 3, 0.7, 1e5, 11], np.float32).reshape(1, 6, 1, 1)
        maps = true[:, None] * lengths * (1 if case == 'all alike' else -1)
        maps[np.arange(3), LABELS] = true
    np.testing.assert_allclose(targets(maps, LABELS, similarity=similarity), uniform(), atol=1e-7)


@pytest.mark.parametrize('similarity', ['cosine', 'multiscale_mse'])
def test_a_zero_map_has_weight_one(similarity):
    maps = signed_maps((8, 8)).copy()
    expected = np.array(class_similarity(maps, LABELS, similarity))
    maps[:, 3], expected[:, 3] = 0, 1  # class 3 is nobody's true class
    np.testing.assert_allclose(class_similarity(maps, LABELS, similarity), expected, atol=1e-6)


@pytest.mark.parametrize('sign', [1, 0, -1])
def test_two_classes_leave_no_choice(sign):
    map_ = signed_maps((8, 8))[:, 0]
    maps = np.stack([map_, sign * map_], axis=1)
    np.testing.assert_allclose(targets(maps, LABELS % 2), uniform(k=2), atol=1e-7)


def test_no_gradient_flows_through_targets():
    maps = signed_maps((8, 8))
    weighting = np.arange(18.0).reshape(3, 6)
    through_weights = jax.grad(lambda m: (weighting * class_similarity(m, LABELS)).sum())(maps)
    through_targets = jax.grad(lambda m: (weighting * targets(m, LABELS)).sum())(maps)
    assert np.abs(through_weights).max() > 0
    np.testing.assert_array_equal(through_targets, 0)


def test_unknown_similarity_is_the_users_mistake():
    with pytest.raises(InputError, match="unknown similarity 'cos'; choose one of: cosine") as error:
        targets(signed_maps((8, 8)), LABELS, similarity='cos')
    assert '\n' not in str(error.value)


OWN = {
    'a cosine without its 1': (lambda maps, labels: cosine(maps, labels) - 1, "'own' gives -.*; targets are made of"),
    'of fewer classes': (lambda maps, labels: cosine(maps, labels)[:, :3], r"'own' gives \[3, 3\]; .*, \[3, 6\]"),
    'of the images': (lambda maps, labels: labels, r"'own' gives \[3\]; it must give a weight for every class"),
    'nothing': (lambda maps, labels: None, "'own' gives NoneType; it must give a weight for every class"),
}


@pytest.mark.parametrize('case', OWN)
def test_what_a_similarity_of_ones_own_must_give(case, monkeypatch):
    own, message = OWN[case]
    monkeypatch.setitem(SIMILARITIES, 'own', own)
    with pytest.raises(InputError, match=message) as error:
        targets(signed_maps((8, 8)) * np.float32([1, -1] * 3)[:, None, None], LABELS, similarity='own')
    assert '\n' not in str(error.value)


def test_a_similarity_of_ones_own(monkeypatch):
    """It makes the targets; one that is not all JAX is refused where it is compiled."""
    maps = signed_maps((8, 8))
    monkeypatch.setitem(SIMILARITIES, 'own', lambda maps, labels: cosine(maps, labels) ** 2)
    weights = np.array(class_similarity(maps, LABELS)) ** 2
    weights[np.arange(3), LABELS] = 0
    expected = 0.1 * weights / weights.sum(1, keepdims=True)
    expected[np.arange(3), LABELS] = 0.9
    np.testing.assert_allclose(targets(maps, LABELS, similarity='own'), expected, rtol=1e-5)
    monkeypatch.setitem(SIMILARITIES, 'own', lambda maps, labels: np.ones_like(np.asarray(maps)[:, :, 0, 0]))
    with pytest.raises(InputError, match="similarity 'own' can't be compiled, as not all of it is JAX: The numpy"):
        jax.jit(lambda maps: targets(maps, LABELS, similarity='own'))(maps)


@pytest.mark.parametrize('shape, scales', [((4, 9, 2), (1, 2, 4)), ((1, 1, 3), (1,))])
def test_a_window_may_be_the_whole_map(shape, scales):
    """Of a Grad-CAM of 4x4, say, or of one place."""
    maps = signed_maps(shape)
    expected = with_true_class(partial(reference_multiscale, scales=scales), maps, LABELS)
    np.testing.assert_allclose(multiscale_mse(maps, LABELS), expected, atol=2e-6)
