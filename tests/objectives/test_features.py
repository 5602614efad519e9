"""Feature distances against closed forms in NumPy."""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd.errors import InputError
from ikd.objectives import Batch, Outputs, attention, cross_entropy, flow, hint, match
from ikd.objectives.features import flow_matrix

DRAW = np.random.default_rng(3)
B, H, W, M, N = 3, 6, 4, 5, 7
STUDENT = {'a': DRAW.normal(size=(B, H, W, M)), 'b': DRAW.normal(size=(B, H // 2, W // 2, N))}
TEACHER = {'a': DRAW.normal(size=(B, H, W, M)), 'b': DRAW.normal(size=(B, H // 2, W // 2, N))}
PAIRS = (('a', 'a'), ('b', 'b'))


def float32(taps):
    return {name: jnp.float32(value) for name, value in taps.items()}


def value_and_gradient(distance, tap):
    """The distances [b], and the gradient of their sum with respect to a tap of the student."""
    def total(value):
        distances = distance({**float32(STUDENT), tap: value}, float32(TEACHER))
        return distances.sum(), distances

    (_, distances), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(jnp.float32(STUDENT[tap]))
    return distances, gradient


def test_hint():
    """||f - g||^2 / 2 over channels, mean over positions; its gradient is (f - g) / positions."""
    distances, gradient = value_and_gradient(partial(hint, taps=('a', 'a')), 'a')
    difference = STUDENT['a'] - TEACHER['a']
    np.testing.assert_allclose(distances, (difference ** 2).sum(-1).mean((1, 2)) / 2, rtol=1e-5)
    np.testing.assert_allclose(gradient, difference / (H * W), atol=1e-6)


def test_a_hint_of_vectors_has_one_position():
    student, teacher = DRAW.normal(size=(2, B, M)).astype(np.float32)
    np.testing.assert_allclose(hint({'d': student}, {'d': teacher}, ('d', 'd')),
                               ((student - teacher) ** 2).sum(-1) / 2, rtol=1e-5)


def test_a_regressor_stands_in_for_the_guided_layer():
    student = {**float32(STUDENT), 'hint': jnp.float32(TEACHER['b'])}
    np.testing.assert_array_equal(hint(student, float32(TEACHER), ('a', 'b')), 0)


def unit_attention(features, power):
    q = (np.abs(features) ** power).mean(-1).reshape(B, -1)
    return q, q / np.linalg.norm(q, axis=1, keepdims=True)


@pytest.mark.parametrize('power', [1, 2])
def test_attention(power):
    """Mean squared difference of unit vectors of mean |A|^p; gradient through the division by the length."""
    distances, gradient = value_and_gradient(partial(attention, taps=PAIRS, power=power), 'a')
    expected = sum(((unit_attention(STUDENT[tap], power)[1] - unit_attention(TEACHER[tap], power)[1]) ** 2).mean(1)
                   for tap in 'ab')
    np.testing.assert_allclose(distances, expected, rtol=1e-4)
    (q, u), (_, v) = unit_attention(STUDENT['a'], power), unit_attention(TEACHER['a'], power)
    to_u = 2 * (u - v) / (H * W)
    to_q = (to_u - u * (u * to_u).sum(1, keepdims=True)) / np.linalg.norm(q, axis=1, keepdims=True)
    to_a = power * np.abs(STUDENT['a']) ** (power - 1) * np.sign(STUDENT['a']) / M
    np.testing.assert_allclose(gradient, to_q.reshape(B, H, W, 1) * to_a, atol=1e-6)


def test_attention_does_not_see_scale_and_stands_zeros():
    teacher = float32(TEACHER)
    scaled = {name: 7 * value for name, value in teacher.items()}
    np.testing.assert_allclose(attention(scaled, teacher, PAIRS), 0, atol=1e-10)
    zeros = jax.tree.map(jnp.zeros_like, teacher)
    gradient = jax.grad(lambda taps: attention(taps, teacher, PAIRS).sum())(zeros)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def numpy_flow(a, b):
    """G with explicit loops, a max-pooled 2x2 to the size of b."""
    pooled = a.reshape(B, H // 2, 2, W // 2, 2, M).max((2, 4))
    g = np.zeros((B, M, N))
    for s in range(H // 2):
        for t in range(W // 2):
            g += pooled[:, s, t, :, None] * b[:, s, t, None, :]
    return g / (H // 2 * W // 2), pooled


def test_flow():
    """Frobenius distance of the matrices; dL/dF2 = 2 (G_S - G_T)^T F1 / (h w)."""
    distances, gradient = value_and_gradient(partial(flow, taps=PAIRS), 'b')
    (g, pooled), (g_teacher, _) = numpy_flow(STUDENT['a'], STUDENT['b']), numpy_flow(TEACHER['a'], TEACHER['b'])
    np.testing.assert_allclose(distances, ((g - g_teacher) ** 2).sum((1, 2)), rtol=1e-4)
    expected = 2 * np.einsum('bmn,bhwm->bhwn', g - g_teacher, pooled) / (H // 2 * W // 2)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_the_larger_map_is_pooled_whichever_comes_first():
    a, b = jnp.float32(STUDENT['a']), jnp.float32(STUDENT['b'])
    np.testing.assert_allclose(flow_matrix(b, a), flow_matrix(a, b).swapaxes(1, 2), rtol=1e-5)


@pytest.mark.parametrize('large, small', [(15, 8), (57, 29), (8, 15), (8, 3), (6, 6)])
def test_maps_of_odd_sides_are_pooled_too(large, small):
    """As a convolution of stride 2 halves 15 to 8; the last window is cut by the edge where it must be."""
    a, b = (np.random.default_rng(side).normal(size=(2, side, side, 3)).astype(np.float32) for side in (large, small))
    more, less = sorted((a, b), key=lambda x: -x.shape[1])
    step, n = round(more.shape[1] / less.shape[1]), less.shape[1]
    out_of = max(0, step * n - more.shape[1]) // 2  # what lies before the edge
    pooled = np.stack([[more[:, max(0, i * step - out_of):(i + 1) * step - out_of,
                             max(0, j * step - out_of):(j + 1) * step - out_of].max((1, 2)) for j in range(n)]
                       for i in range(n)]).transpose(2, 0, 1, 3)
    expected = np.einsum('bhwm,bhwn->bmn', *((pooled, b) if a is more else (a, pooled))) / n ** 2
    np.testing.assert_allclose(flow_matrix(jnp.asarray(a), jnp.asarray(b)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('distance', [partial(hint, taps=('a', 'a')), partial(attention, taps=PAIRS),
                                      partial(flow, taps=PAIRS)])
def test_equal_networks_are_at_no_distance(distance):
    np.testing.assert_array_equal(distance(float32(TEACHER), float32(TEACHER)), 0)


def test_match_weighs_the_distance_and_adds_the_objective():
    logits = jnp.float32(DRAW.normal(size=(B, 4)))
    batch = Batch(np.array([0, 1, 3]), logits, float32(STUDENT), None, None, jnp.float32(0.25), None,
                  Outputs(logits[::-1], float32(TEACHER)))
    distance = partial(hint, taps=('a', 'a'))
    features = distance(float32(STUDENT), float32(TEACHER))
    alone, parts = match(batch, distance)
    np.testing.assert_allclose(alone, features, rtol=1e-6)
    assert {'features', 'cross_entropy', 'agreement'} <= parts.keys()
    both, parts = match(batch, distance, weight=3.0, decay=True, objective=cross_entropy)
    np.testing.assert_allclose(both, cross_entropy(batch)[0] + 3 * 0.75 * features, rtol=1e-6)
    np.testing.assert_allclose(parts['features'], features, rtol=1e-6)


def test_bfloat16_maps_are_compared_in_float32():
    """Attention of maps that differ by 1 % is near 1e-6, of which differences of bfloat16 would leave noise."""
    logits = jnp.float32(DRAW.normal(size=(B, 4)))
    ours, theirs = ({name: value.astype(jnp.bfloat16) for name, value in taps.items()}
                    for taps in (TEACHER, {name: 1.01 * value + 0.01 for name, value in TEACHER.items()}))
    batch = Batch(np.array([0, 1, 3]), logits, ours, None, None, jnp.float32(0), None, Outputs(logits, theirs))
    distance = partial(attention, taps=PAIRS)
    loss, parts = match(batch, distance)
    assert loss.dtype == parts['features'].dtype == jnp.float32
    np.testing.assert_allclose(loss, distance(float32(ours), float32(theirs)), rtol=1e-5)


@pytest.mark.parametrize('distance, message', [
    (partial(hint, taps=('a', 'b')), 'choose taps of one size'),
    (partial(hint, taps=('b', 'c')), r'features.regressor=True'),
    (partial(hint, taps=('z', 'a')), "no tap 'z' .*set features.tap to one of: a, b, c, d"),
    (partial(attention, taps=(('a', 'b'),)), 'attention transfer needs feature maps of one size'),
    (partial(attention, taps=(('d', 'd'),)), 'attention transfer needs feature maps; choose a convolutional'),
    (partial(flow, taps=(('a', 'a'), ('b', 'c'))), 'fsp_kd needs networks of one width'),
    (partial(flow, taps=(('d', 'd'), ('d', 'd'))), 'fsp_kd needs feature maps'),
    (partial(flow, taps=(('a', 'd'), ('a', 'd'))), 'fsp_kd needs feature maps'),
    (partial(flow, taps=(('a', 'a'), ('a', 'z'))), "no tap 'z'"),
])
def test_what_cannot_be_compared_is_the_users_mistake(distance, message):
    more = {'c': jnp.zeros((B, H // 2, W // 2, N + 1)), 'd': jnp.zeros((B, N))}
    with pytest.raises(InputError, match=message) as error:
        distance({**float32(STUDENT), **more}, {**float32(TEACHER), **more})
    assert '\n' not in str(error.value)
