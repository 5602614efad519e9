"""Layer-wise relevance propagation against NumPy, layer by layer, and what must be conserved."""
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd import models
from ikd.errors import InputError
from ikd.explainers import explain
from ikd.models.layers import BatchNorm, Conv
from tests.models.filled import filled


@pytest.fixture(scope='module')
def grey(digits):
    """Four digits of 8x8 grey pixels, some of them negative, as normalised images are."""
    return 2 * digits[0][:4, ::4, ::4, :1] - 0.5


def maps_of(name, model, variables, images, **options):
    return np.float64(jax.jit(partial(explain, name, model, **options))(variables, images))


def without_biases(variables):
    """The variables with biases, shifts and running means of zero."""
    return jax.tree.map_with_path(lambda path, leaf: leaf * (path[-1].key not in ('bias', 'mean')), variables)


def divided(contributions, relevance, epsilon=0.0):
    """Relevance [j] divided in proportion to contributions [i, j]: [i]; what has none to divide is lost."""
    total = contributions.sum(0)
    total = np.where(total == 0, np.inf, total) + epsilon * np.where(total < 0, -1, 1)
    return contributions @ (relevance / total)


def loop_through_mlp(variables, image, rule):
    """Relevance of every class [k, d] of one image [d] by rule(x, w, bias, relevance), one layer after the other."""
    layers = [jax.tree.map(np.float64, variables['params'][f'Dense_{i}']) for i in range(3)]
    inputs = [np.float64(image)]
    for layer in layers:
        z = inputs[-1] @ layer['kernel'] + layer['bias']
        inputs.append(np.maximum(z, 0))
    found = []
    for k, logit in enumerate(z):
        relevance = logit * (np.arange(len(z)) == k)
        for x, layer in zip(inputs[2::-1], layers[::-1]):
            relevance = rule(x, layer['kernel'], layer['bias'], relevance)
        found.append(relevance)
    return np.array(found)


def z_plus(x, w, bias, relevance):
    return divided(np.maximum(x[:, None] * w, 0), relevance)


def epsilon_rule(x, w, bias, relevance, epsilon=0.1):
    """The bias takes its part: as one more input, which is not followed."""
    return divided(np.vstack([x[:, None] * w, bias]), relevance, epsilon)[:-1]


@pytest.mark.parametrize('name, rule, options', [('lrp_z_plus', z_plus, {}),
                                                 ('lrp_epsilon', epsilon_rule, {'epsilon': 0.1})])
def test_perceptron_layer_by_layer(grey, name, rule, options):
    model = models.create('mlp', 3, widths=(16, 12))
    variables = filled(model, grey.shape[1:])
    expected = [loop_through_mlp(variables, image.ravel(), rule) for image in grey]
    found = maps_of(name, model, variables, grey, **options)
    np.testing.assert_allclose(found.reshape(4, 3, -1), expected, rtol=1e-3, atol=1e-5)


class SmallConv(nn.Module):
    """Convolution, BatchNorm, ReLU, max-pool, linear."""

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.relu(BatchNorm(name='norm')(Conv(5, 3, bias=True, name='conv')(images), train))
        x = nn.max_pool(x, (2, 2), (2, 2))
        return nn.Dense(3, name='linear')(x.reshape(len(x), -1)), {}


def test_convolutional_network_layer_by_layer(grey):
    """BatchNorm in the weights of the convolution, a gain negative and one zero; places one by one."""
    model = SmallConv()
    variables = filled(model, grey.shape[1:])
    variables['params']['norm']['scale'][1:3] = -0.7, 0
    params = jax.tree.map(np.float64, variables['params'])
    stats = jax.tree.map(np.float64, variables['batch_stats'])['norm']
    gain = params['norm']['scale'] / np.sqrt(stats['var'] + 1e-5)
    kernel = params['conv']['kernel'][:, :, 0] * gain  # [3, 3, 5]
    bias = (params['conv']['bias'] - stats['mean']) * gain + params['norm']['bias']
    expected = np.zeros((4, 3, 10, 10))
    for b, image in enumerate(np.pad(np.float64(grey[..., 0]), ((0, 0), (1, 1), (1, 1)))):
        windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
        active = np.maximum(np.einsum('hwij,ijc->hwc', windows, kernel) + bias, 0)
        blocks = active.reshape(4, 2, 4, 2, 5).transpose(0, 2, 4, 1, 3).reshape(4, 4, 5, 4)
        pooled, winner = blocks.max(-1), blocks.argmax(-1)
        logits = pooled.ravel() @ params['linear']['kernel'] + params['linear']['bias']
        for k in range(3):
            relevance = z_plus(pooled.ravel(), params['linear']['kernel'], 0, logits * (np.arange(3) == k))
            for (i, j, c), r in np.ndenumerate(relevance.reshape(4, 4, 5)):
                y, x = 2 * i + winner[i, j, c] // 2, 2 * j + winner[i, j, c] % 2
                parts = np.maximum(windows[y, x] * kernel[:, :, c], 0)
                expected[b, k, y:y + 3, x:x + 3] += parts * r / max(parts.sum(), 1e-12)
    found = maps_of('lrp_z_plus', model, variables, grey)[..., 0]
    np.testing.assert_allclose(found, expected[:, :, 1:-1, 1:-1], rtol=1e-3, atol=1e-5)


class Shortcut(nn.Module):
    """A residual block whose shortcut is the identity."""

    @nn.compact
    def __call__(self, images, train=False):
        x = images.reshape(len(images), -1)
        return nn.Dense(3, name='last')(nn.relu(x + nn.Dense(x.shape[-1], use_bias=False, name='first')(x))), {}


def test_a_shortcut_gets_the_share_it_adds(grey):
    model = Shortcut()
    variables = filled(model, grey.shape[1:])
    first, last = (np.float64(variables['params'][name]['kernel']) for name in ('first', 'last'))
    logits = np.float64(model.apply(variables, grey)[0])
    for image, scores, found in zip(grey, logits, maps_of('lrp_z_plus', model, variables, grey)):
        x = np.float64(image.ravel())
        y = x @ first
        for k in range(3):
            relevance = z_plus(np.maximum(x + y, 0), last, 0, scores * (np.arange(3) == k))
            added = np.maximum(x, 0) + np.maximum(y, 0)
            share = relevance / np.where(added > 0, added, 1)
            expected = np.maximum(x, 0) * share + z_plus(x, first, 0, np.maximum(y, 0) * share)
            np.testing.assert_allclose(found[k].ravel(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('name, options', [
    ('mlp', {'widths': (64, 64)}), ('cnn2', {}), pytest.param('resnet8', {'width': 4}, marks=pytest.mark.slow),
    pytest.param('wrn16_2', {'width': 4}, marks=pytest.mark.slow)])
def test_relevance_is_conserved_without_biases(grey, name, options):
    """Maps add up to the logit; epsilon's are Grad*Input; and the contrast of z+ adds up to zero."""
    model = models.create(name, 3, **options)
    variables = without_biases(filled(model, grey.shape[1:]))
    logits = np.float64(jax.jit(model.apply)(variables, grey)[0])

    @jax.jit
    def found(variables, images):
        explained = partial(explain, model=model, variables=variables, images=images, class_chunk=3)
        return {'z_plus': explained('lrp_z_plus'), 'contrast': explained('contrastive_lrp', relu=False),
                'epsilon': explained('lrp_epsilon', epsilon=1e-12), 'grad_input': explained('grad_input')}

    maps = jax.tree.map(np.float64, found(variables, grey))
    sums = {rule: value.sum((2, 3, 4)) for rule, value in maps.items()}
    scale = np.abs(logits).max()
    np.testing.assert_allclose(sums['z_plus'], logits, rtol=1e-3, atol=1e-4 * scale)
    np.testing.assert_allclose(sums['epsilon'], logits, rtol=1e-3, atol=1e-4 * scale)
    np.testing.assert_allclose(sums['contrast'], 0, atol=1e-3 * scale)
    np.testing.assert_allclose(maps['epsilon'], maps['grad_input'], rtol=1e-4, atol=1e-5 * scale)
    assert np.all(maps['z_plus'] * np.sign(logits)[..., None, None, None] >= -1e-6 * scale)


def test_epsilon_is_grad_input_with_biases_too(grey):
    """What the biases have is not there to be divided."""
    model = models.create('mlp', 3, widths=(16, 12))
    variables = filled(model, grey.shape[1:])
    exact, found = (maps_of(*name, model, variables, grey) for name in (('grad_input',), ('lrp_epsilon',)))
    np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-4)
    damped = maps_of('lrp_epsilon', model, variables, grey, epsilon=1.0)
    assert np.abs(damped).sum() < 0.8 * np.abs(exact).sum()


def test_contrast_is_to_a_dual_class_with_the_same_score(grey):
    """The dual's relevance by a pass of its own: its score, divided evenly among the other classes' neurons."""
    model = models.create('mlp', 3, widths=(16, 12))
    variables = filled(model, grey.shape[1:])
    shares = np.array([loop_through_mlp(variables, image.ravel(), z_plus) for image in grey])
    logits = np.float64(model.apply(variables, grey)[0])
    expected = []
    for found, scores in zip(shares / logits[..., None], logits):
        dual = [[found[m] * abs(scores[k]) / 2 for m in range(3) if m != k] for k in range(3)]
        expected.append(found * abs(scores)[:, None] - np.sum(dual, axis=1))
    signed = maps_of('contrastive_lrp', model, variables, grey, relu=False).reshape(4, 3, -1)
    np.testing.assert_allclose(signed, expected, rtol=1e-3, atol=1e-5)
    rectified = maps_of('contrastive_lrp', model, variables, grey).reshape(4, 3, -1)
    np.testing.assert_allclose(rectified, np.maximum(signed, 0), rtol=1e-5, atol=1e-7)


class Written(nn.Module):
    """One hidden layer; what follows it is up to `after`."""
    after: object

    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(3)(self.after(nn.Dense(8)(images.reshape(len(images), -1)))), {}


@pytest.mark.parametrize('name', ['lrp_epsilon', 'lrp_z_plus', 'contrastive_lrp'])
@pytest.mark.parametrize('after, operation', [
    (nn.softplus, None), (nn.leaky_relu, 'ge'), (nn.tanh, 'tanh'), (lambda x: x * nn.relu(x), 'mul'),
    (lambda x: 1 / (1 + nn.relu(x)), 'div'), (lambda x: jnp.maximum(x, 1.0), 'max'),
    (lambda x: x @ x.T @ x, 'dot_general'), (lambda x: jnp.eye(8)[x[:, 0].astype(int)], 'convert_element_type')])
def test_what_has_no_rule_is_refused(grey, name, after, operation):
    model = Written(after)
    variables = filled(model, grey.shape[1:])
    with pytest.raises(InputError, match=f"{name} has no rule for the operation '{operation or ''}") as error:
        jax.eval_shape(partial(explain, name, model), variables, grey)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('after', [
    nn.relu, lambda x: nn.relu(x) * 2 - 1, lambda x: jnp.concatenate([nn.relu(x), -nn.relu(-x)], -1),
    lambda x: nn.relu(jnp.stack([x, 3 - x])).sum(0), lambda x: nn.relu(x).reshape(len(x), 2, 4).max(1)])
def test_relevance_finds_its_way_through_what_one_may_write(grey, after):
    """Without biases all of it arrives at the pixels, but for what constants alone make active."""
    model = Written(after)
    variables = without_biases(filled(model, grey.shape[1:]))
    logits = np.float64(model.apply(variables, grey)[0])
    lost = 1 - maps_of('lrp_z_plus', model, variables, grey).sum((2, 3, 4)) / logits
    assert np.all(lost > -1e-3) and np.median(lost) < 0.5


def test_what_is_subtracted_adds_nothing(grey):
    """By z+ the share of relu(x) - relu(-x) / 2 that is below 0 takes nothing of a class's relevance; in NumPy."""
    model = Written(lambda x: nn.relu(x) - nn.relu(-x) / 2)
    variables = filled(model, grey.shape[1:])
    last, first = (variables['params'][name] for name in ('Dense_0', 'Dense_1'))  # as Python comes to them
    for image, maps in zip(np.float64(grey).reshape(len(grey), -1), maps_of('lrp_z_plus', model, variables, grey)):
        z = image @ first['kernel'] + first['bias']
        hidden = np.where(z > 0, z, z / 2)
        for k, logit in enumerate(hidden @ last['kernel'] + last['bias']):
            into = np.maximum(hidden * last['kernel'][:, k], 0)
            above = np.where(z > 0, divided(into[:, None], logit[None]), 0)
            expected = divided(np.maximum(image[:, None] * first['kernel'], 0), above)
            np.testing.assert_allclose(np.ravel(maps[k]), expected, rtol=1e-3, atol=1e-5)


def test_one_class_has_none_to_be_contrasted_with(grey):
    """Its dual class would be a division by zero."""
    model = models.create('mlp', 1)
    with pytest.raises(InputError, match='this network has one; use lrp_z_plus'):
        explain('contrastive_lrp', model, models.init(model, jax.random.key(0), grey.shape[1:]), grey)


def test_epsilon_must_be_positive(grey):
    model = models.create('mlp', 3)
    with pytest.raises(InputError, match='epsilon is 0; it must be positive'):
        explain('lrp_epsilon', model, filled(model, grey.shape[1:]), grey, epsilon=0)
