"""Mixtures of experts: sizes, routing and its temperature, adaptive averages, hard trees, taps and collections."""
from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import errors

from ikd.models.hme import Branch, Expert, Head, HMEResNet18, HMETree, adaptive_average, mixing_weights
from ikd.models.layers import Dropout
from tests.models.filled import filled

SMALL = (16, 16, 3)
TREE = HMETree(3, width=4, hidden=16, experts=(2, 3, 4))
RESNET = HMEResNet18(3, width=4, sub=2)
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)


@cache
def variables_of(model):
    return filled(model, SMALL)


@pytest.fixture(scope='module')
def images(digits):
    return digits[0][:4, ::2, ::2]


@cache
def attention_of(model):
    """The jitted forward pass (variables, images) -> (logits, attention)."""
    def apply(variables, images):
        (logits, _), updates = model.apply(variables, images, mutable=['attention'])
        return logits, updates['attention']

    return jax.jit(apply)


# By hand. HMETree with 10 classes: experts 2 x 38,976 + 4 x 74,112 + 8 x 55,584, heads 10 x 217,473 (129 more each
# with two numbers), routing 8 + 32 + 80. HMEResNet18: stem 1,856, groups 147,968 + 4 x 48,448 + 4 x 131,712
# + 4 x 525,568, heads 10 x 258, routing 16 + 16 + 40.
@pytest.mark.parametrize('model, count', [
    (HMETree(10), 2_993_922), (HMETree(10, outputs=2), 2_995_212),
    (HMETree(100), 22_567_212), (HMETree(100, outputs=2), 22_580_112),
    (HMEResNet18(10), 2_975_388), (HMEResNet18(100), 2_998_968),
])
def test_number_of_parameters(model, count):
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes['params'])) == count
    assert shapes.keys() == {'params', 'batch_stats'}


@pytest.mark.parametrize('model, logits, expected', [
    (HMETree(10, outputs=2), (2, 10), {
        'level1': (2, 16, 16, 64), 'level2': (4, 8, 8, 64), 'level3': (8, 4, 4, 32), 'outputs': (10, 2)}),
    (HMEResNet18(10), (2, 10), {
        'stem': (32, 32, 64), 'group1': (32, 32, 64), 'group2': (4, 16, 16, 32), 'group3': (4, 8, 8, 64),
        'group4': (4, 4, 4, 128), 'binary': (10, 2)}),
])
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_taps_have_the_documented_names_and_shapes(model, logits, expected, dtype):
    images = jnp.zeros((2, 32, 32, 3))
    run = lambda key: model.clone(dtype=dtype).init_with_output(key, images)[0]
    values, taps = jax.eval_shape(run, jax.random.key(0))
    assert {tap: value.shape for tap, value in taps.items()} == {tap: (2, *s) for tap, s in expected.items()}
    assert values.shape == logits and values.dtype == jnp.float32
    assert all(taps[tap].dtype == (dtype if taps[tap].ndim > 3 else jnp.float32) for tap in taps)
    assert model.cam_tap is None and model.group_taps == ()


def test_the_trees_parts_have_the_documented_names():
    names = {f'level{level}_{i}' for level, count in ((1, 2), (2, 3), (3, 4)) for i in range(1, count + 1)}
    names |= {f'{part}{i}' for part in ('branch', 'head_') for i in (1, 2, 3)}
    assert variables_of(TREE)['params'].keys() == names


def fresh(model, *names):
    """Initial parameters of the named parts, and of nothing else, which need not be compiled."""
    init = lambda key: {name: model.init(key, jnp.zeros((1, *SMALL)))['params'][name] for name in names}
    return jax.jit(init)(jax.random.key(1))


def test_the_tree_starts_as_the_official_code_does():
    params = fresh(HMETree(1, width=16, experts=(30, 1)), 'level1_1', 'level2_1', 'branch1', 'head_1')
    routing = params['branch1']['routing']
    assert routing.min() >= 0 and 0.9 < routing.max() <= 1 and abs(routing.mean() - 0.5) < 5 / np.sqrt(12 * 30)
    for expert, outputs, name in (('level1_1', 16, 'conv1'), ('level1_1', 16, 'conv2'), ('level2_1', 8, 'conv2')):
        kernel, bias = (params[expert][name][leaf] for leaf in ('kernel', 'bias'))
        assert abs(kernel.std() / np.sqrt(2 / (9 * outputs)) - 1) < 5 / np.sqrt(2 * kernel.size)
        assert kernel.shape[-1] == outputs and not bias.any()
    for name in ('linear1', 'linear2', 'linear3'):
        kernel, bias = (params['head_1'][name][leaf] for leaf in ('kernel', 'bias'))
        assert abs(kernel.std() / 0.01 - 1) < 5 / np.sqrt(2 * kernel.size) and not bias.any()


def test_hme_resnet18_starts_with_all_shares_alike():
    params = fresh(HMEResNet18(3, width=4), 'branch1', 'branch2', 'branch3', 'head_kernel', 'head_bias')
    assert not any(params[f'branch{i}']['routing'].any() for i in (1, 2, 3))
    assert 0.3 < np.abs(params['head_kernel']).max() <= 8 ** -0.5
    assert 0.25 < np.abs(params['head_bias']).max() <= 8 ** -0.5


def test_official_tempering_is_one_softmax():
    """softmax(log softmax(s / 0.5) / t) = softmax(s / (0.5 t))."""
    s = np.random.default_rng(0).uniform(size=(8, 4)).astype(np.float32)
    for t in (10, 2.5, 1, 0.1):
        close(mixing_weights(s, 0.5 * t), jax.nn.softmax(jax.nn.log_softmax(s / 0.5) / t))


def test_mixing_weights_are_shares_from_uniform_to_one_hot():
    s = np.random.default_rng(1).uniform(size=(10, 8)).astype(np.float32)
    for tau in (1e6, 10, 1, 0.1, 1e-4):
        alpha = mixing_weights(s, tau)
        assert alpha.shape == (10, 8) and (alpha >= 0).all()
        close(alpha.sum(1), np.ones(10))
        assert (np.take_along_axis(alpha, s.argmax(1)[:, None], 1) == alpha.max(1, keepdims=True)).all()
    close(mixing_weights(s, 1e6), np.full((10, 8), 1 / 8))
    close(mixing_weights(s, 1e-4), np.eye(8)[s.argmax(1)])
    np.testing.assert_array_equal(mixing_weights(s, hard=True), np.eye(8)[s.argmax(1)])
    close(mixing_weights(np.log([[1., 3.]]), 1), [[0.25, 0.75]])
    close(mixing_weights(np.log([[1., 3.]]), 0.5), [[0.1, 0.9]])
    np.testing.assert_array_equal(mixing_weights(np.ones((1, 3)), hard=True), [[1, 0, 0]])


@pytest.mark.parametrize('hard', [False, True])
def test_branch_mixes_its_parents(hard):
    """Child i reads sum_j alpha[i, j] F_j; only soft routing has a gradient."""
    maps = np.random.default_rng(2).normal(size=(2, 3, 4, 4, 5)).astype(np.float32)
    branch = Branch(6, tau=0.7, hard=hard)
    params = branch.init(jax.random.key(0), maps)['params']
    alpha = mixing_weights(params['routing'], 0.7 * 0.5, hard)
    mixed, updates = branch.apply({'params': params}, maps, 0.5, mutable=['attention'])
    close(mixed, np.stack([sum(alpha[i, j] * maps[:, j] for j in range(3)) for i in range(6)], axis=1))
    np.testing.assert_array_equal(updates['attention']['alpha'], alpha)
    assert branch.apply({'params': params}, jnp.asarray(maps, jnp.bfloat16)).dtype == jnp.bfloat16
    gradient = jax.grad(lambda p: (branch.apply({'params': p}, maps) ** 2).sum())(params)['routing']
    assert gradient.any() != hard


@pytest.mark.parametrize('cells, means', [
    (4, [[0], [0, 1], [1], [1, 2], [2], [2, 3], [3]]),
    (2, [[0], [0], [0], [0, 1], [1], [1], [1]]),
    (1, [[0]] * 7),
    (7, [[i] for i in range(7)]),
])
def test_adaptive_average_of_the_trees_sizes(cells, means):
    """The windows written out."""
    x = np.random.default_rng(3).normal(size=(2, cells, cells, 3)).astype(np.float32)
    expected = np.stack([np.stack([x[:, a][:, :, b].mean((1, 2)) for b in means], 1) for a in means], 1)
    close(adaptive_average(x, 7), expected)


@pytest.mark.parametrize('h, w, size', [(4, 4, 7), (2, 3, 7), (7, 5, 7), (9, 16, 7), (5, 8, 3), (1, 11, 4)])
def test_adaptive_average_is_pytorchs(h, w, size):
    torch = pytest.importorskip('torch')
    x = np.random.default_rng(4).normal(size=(2, h, w, 3)).astype(np.float32)
    theirs = torch.nn.functional.adaptive_avg_pool2d(torch.tensor(x).permute(0, 3, 1, 2), size)
    close(adaptive_average(x, size), theirs.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize('model, tau', [(TREE, 0.5), (RESNET.clone(tau=2.0), 2.0)])
def test_outer_temperature_changes_alpha(images, model, tau):
    variables, found = variables_of(model), {}
    for t in (None, 1.0, 0.2, 5.0):
        extra = {} if t is None else {'extra': {'temperature': jnp.float32(t)}}
        found[t], attention = attention_of(model)({**variables, **extra}, images)
        assert attention.keys() == {'branch1', 'branch2', 'branch3'}
        for name, value in attention.items():
            assert value.keys() == {'alpha'} and value['alpha'].dtype == jnp.float32
            close(value['alpha'], mixing_weights(variables['params'][name]['routing'], tau * (t or 1)))
    close(found[None], found[1.0])
    assert np.abs(found[0.2] - found[5.0]).max() > 1e-2


@pytest.mark.parametrize('model, shapes', [(TREE, [(3, 2), (4, 3), (3, 4)]), (RESNET, [(2, 2), (2, 2), (3, 2)])])
def test_attention_is_written_only_where_it_is_asked_for(images, model, shapes):
    assert 'attention' not in variables_of(model)
    _, attention = jax.eval_shape(attention_of(model), variables_of(model), images)
    assert [attention[f'branch{i}']['alpha'].shape for i in (1, 2, 3)] == shapes
    _, updates = jax.eval_shape(partial(model.apply, train=True, mutable=['batch_stats'], rngs={
        'dropout': jax.random.key(0)}), variables_of(model), images)
    assert updates.keys() == {'batch_stats'}


def one_path_logits(variables, images, choices):
    """Logits of a hard tree, class by class: from the head up to the image, then down through single experts."""
    params, stats, columns = variables['params'], variables['batch_stats'], []
    for k, last in enumerate(choices[2]):
        middle = choices[1][last]
        path = f'level1_{choices[0][middle] + 1}', f'level2_{middle + 1}', f'level3_{last + 1}'
        x = images
        for name, widths in zip(path, ((4, 4), (4, 4), (4, 2))):
            expert = Expert(widths, jax.nn.relu, None, jnp.float32)
            x = expert.apply({'params': params[name], 'batch_stats': stats[name]}, x, False)
        x = adaptive_average(x, 7).reshape(len(x), -1)
        head = Head(16, 1, jax.nn.relu, 0.15, None, jnp.float32)
        columns.append(head.apply({'params': params[f'head_{k + 1}']}, x, False)[:, 0])
    return np.stack(columns, 1)


def test_hard_tree_is_the_walk_along_single_experts_and_the_limit_of_the_soft_one(images):
    variables = variables_of(TREE)
    matrices = [variables['params'][f'branch{i}']['routing'] for i in (1, 2, 3)]
    logits, attention = attention_of(TREE.clone(hard=True))(variables, images)
    for i, matrix in enumerate(matrices, 1):
        np.testing.assert_array_equal(attention[f'branch{i}']['alpha'], np.eye(matrix.shape[1])[matrix.argmax(1)])
    close(logits, one_path_logits(variables, images, [matrix.argmax(1) for matrix in matrices]))
    assert np.std(logits, axis=0).min() > 1e-2
    cold, _ = attention_of(TREE)({**variables, 'extra': {'temperature': jnp.float32(1e-3)}}, images)
    close(cold, logits)
    warm, _ = attention_of(TREE)({**variables, 'extra': {'temperature': jnp.float32(1)}}, images)
    assert np.abs(warm - logits).max() > 1e-2


@pytest.mark.parametrize('hard', [False, True])
def test_only_the_soft_trees_routing_is_trained(images, hard):
    model, variables = TREE.clone(hard=hard), variables_of(TREE)
    loss = lambda params: (model.apply({**variables, 'params': params}, images)[0] ** 2).sum()
    gradients = jax.jit(jax.grad(loss))(variables['params'])
    assert all(gradients[f'branch{i}']['routing'].any() != hard for i in (1, 2, 3))
    assert gradients['head_1']['linear3']['kernel'].any()


def test_the_larger_of_two_numbers_and_the_difference_of_a_pair(images):
    for model, rule in ((TREE.clone(outputs=2), np.max), (RESNET, lambda pair, axis: pair[..., 0] - pair[..., 1])):
        logits, taps = jax.jit(model.apply)(variables_of(model), images)
        pairs = taps.get('outputs', taps.get('binary'))
        assert pairs.shape == (4, 3, 2)
        np.testing.assert_array_equal(logits, rule(np.asarray(pairs), -1))


@pytest.mark.parametrize('model, rate, places', [(TREE, 0.15, 6), (RESNET, 0, 4), (RESNET.clone(
    dropout_rate=0.5), 0.5, 4)])
def test_dropout(images, model, rate, places):
    """Twice in every head, 0.15 unless told otherwise; after each level of HMEResNet18, none unless told."""
    variables, found = variables_of(model), []

    def note(call, args, kwargs, context):
        if isinstance(context.module, Dropout) and context.method_name == '__call__':
            found.append(context.module.rate)
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(model.apply, variables, images)
    assert found == [rate] * places
    train = partial(model.apply, train=True, mutable=['batch_stats'])
    if rate:
        with pytest.raises(errors.InvalidRngError):
            jax.eval_shape(train, variables, images)
    else:
        jax.eval_shape(train, variables, images)
