"""How a platform wants a step compiled, and that it is the same step."""
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ikd import models, parallel
from ikd.errors import InputError
from ikd.objectives.losses import hard_cross_entropy
from ikd.program import steps_of_a_call

DEVICES = jax.devices()
CPU = parallel.Layout(tuple(DEVICES[:1]), 'data')


def fake(platform, version, together=1):
    """The Layout of a device that is not here."""
    device = SimpleNamespace(platform=platform, client=SimpleNamespace(platform_version=version))
    return parallel.Layout((device,), 'trials', together)


NVIDIA = fake('gpu', 'PJRT C API\ncuda 13000')
OTHERS = fake('gpu', 'PJRT C API\nrocm 60400', 5), fake('tpu', 'PJRT C API\nTFRT TPU v4', 5)


def test_the_way_of_each_platform():
    """Steps are scanned but where XLA:CPU would run a convolution inside a loop."""
    assert [parallel.way(CPU, convolves).scanned for convolves in (False, True)] == [True, False]
    assert parallel.way(NVIDIA, True).scanned
    assert all(parallel.way(layout, convolves) == parallel.Way(True, None)
               for layout in OTHERS for convolves in (False, True))
    assert parallel.way(CPU, False) == parallel.way(NVIDIA, False) == parallel.Way(True, None)


def test_the_environment_may_forbid_graphs(monkeypatch):
    monkeypatch.setenv('XLA_FLAGS', '--xla_gpu_autotune_level=2')
    assert parallel.way(NVIDIA, True).compiler_options
    monkeypatch.setenv('XLA_FLAGS', '--xla_gpu_autotune_level=2 --xla_gpu_enable_command_buffer=')
    assert parallel.way(NVIDIA, True) == parallel.Way(True, None)


@pytest.mark.parametrize('together, concurrent', [(1, False), (2, True), (5, True)])
def test_this_jaxlib_knows_the_options_for_a_gpu(together, concurrent):
    """They are parsed on a CPU, too, which has no use for them; trials run beside each other where there are some."""
    options = parallel.way(NVIDIA._replace(together=together), True).compiler_options
    assert ('CONCURRENT' in options.values()) == concurrent
    double = partial(jax.jit, lambda x: x + x)
    assert double(compiler_options=options)(1.) == 2
    with pytest.raises(Exception, match='not a valid enum value'):
        double(compiler_options=dict.fromkeys(options, 'CONVULSION'))(1.)


def test_the_options_of_a_way_reach_the_compiler():
    with pytest.raises(Exception, match='no_such_option'):
        parallel.spread(CPU, lambda x: x + x, 0, 1, compiler_options={'no_such_option': True})(1.)


def test_a_grid_trains_several_seeds_on_each_accelerator():
    assert parallel.seeds_at_once(NVIDIA.devices * 4) == 20
    assert parallel.seeds_at_once((SimpleNamespace(platform='tpu'),) * 4) == 4
    assert parallel.seeds_at_once(jax.devices()) == parallel.seeds_at_once() == 1


@pytest.mark.parametrize('steps, length', [(390, 390), (500, 500), (3750, 375), (781, 71), (937, 469), (1009, 337)])
def test_no_number_of_steps_makes_short_calls(steps, length):
    """Divisors of the number of steps where they are long enough; else (primes here) equal calls but for the last."""
    assert parallel.call_length(steps, 500) == length


@pytest.mark.parametrize('name', ['resnet8', 'cnn6'])
def test_compiler_options_change_rounding_only(network, digits, name):
    """Every gradient of a training step with cross-entropy is that of XLA's default to 1e-5 of its length."""
    model, variables = network(name)
    images, labels = digits

    def loss(params, images):
        (logits, _), _ = model.apply({**variables, 'params': params}, images, train=True, mutable=['batch_stats'])
        return hard_cross_entropy(logits, labels).mean()

    gradient, params = partial(jax.jit, jax.grad(loss)), variables['params']
    way = parallel.way(CPU, models.has_convolutions(params))
    usual, ours = (gradient(compiler_options=options)(params, images) for options in (None, way.compiler_options))
    # A bias before BatchNorm has no gradient but rounding.
    scale = max(np.linalg.norm(leaf) for leaf in jax.tree.leaves(usual))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(usual)):
        assert np.linalg.norm(a - b) < 1e-5 * max(np.linalg.norm(b), scale / 10)


@pytest.mark.parametrize('devices, together', [(1, 3), (2, 1), (2, 2), (3, 2)])
def test_join_and_split_are_each_others_reverse(devices, together):
    layout = parallel.Layout(tuple(jax.devices()[:devices]), 'trials', together)
    trees = [{'a': np.arange(6).reshape(2, 3) + 10 * i, 'b': np.float32(i)} for i in range(layout.trials)]
    for tree, back in zip(trees, parallel.split(layout, parallel.join(layout, trees)), strict=True):
        np.testing.assert_array_equal(back['a'], tree['a'])
        assert back['b'] == tree['b']


def test_each_trial_is_dealt_its_own_rows():
    """As `join` places its State: the first device has the first trials."""
    layout = parallel.Layout(tuple(jax.devices()[:2]), 'trials', 2)
    rows = [np.arange(6).reshape(2, 3) + 10 * i for i in range(4)]
    joined = parallel.join(layout, rows)
    np.testing.assert_array_equal(joined, parallel.hand_out(layout, parallel.deal(layout, rows)))


def test_what_is_shared_is_the_same_for_every_trial():
    """x + 10 trial + y, on two devices of two trials each."""
    layout = parallel.Layout(tuple(jax.devices()[:2]), 'trials', 2)
    program = parallel.spread(layout, lambda tree, y: tree['a'] + y, 1, 1)
    state = parallel.join(layout, [{'a': np.float32(10 * i)} for i in range(4)])
    shared = parallel.replicate(layout, np.array([1.0, 2.0], np.float32))
    np.testing.assert_array_equal(parallel.split(layout, program(state, shared)),
                                  [[1, 2], [11, 12], [21, 22], [31, 32]])


@pytest.mark.parametrize('precision, said', [('float32', 'HIGHEST'), ('tf32', 'HIGH'), ('bfloat16', 'HIGH')])
def test_products_are_asked_for_in_the_precision_of_a_run(precision, said):
    """Which on a CPU are float32 whatever is said, so that nothing but this would tell."""
    with jax.default_matmul_precision(parallel.MATMUL[precision]):
        asked = jax.make_jaxpr(lambda a, b: a @ b)(np.ones((2, 2)), np.ones((2, 2)))
    assert f'Precision.{said},' in str(asked)


def test_a_call_takes_as_many_steps_as_its_images_may_be_bytes():
    """Of 16 images of 2 x 2 x 3 bytes each, of every trial; one at least. On the device no more than a hundred."""
    streamed, held = (SimpleNamespace(streamed=streamed, image_shape=(2, 2, 3)) for streamed in (True, False))
    one, three = (parallel.Layout(DEVICES[:1], 'trials', together) for together in (1, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('ikd.program.LARGEST_BLOCK', 6 * 16 * 12)
        assert [steps_of_a_call(12, 16, streamed, layout) for layout in (one, three)] == [6, 2]
        patch.setattr('ikd.program.LARGEST_BLOCK', 1)
        assert [steps_of_a_call(12, 16, data, one) for data in (streamed, held)] == [1, 12]
    assert steps_of_a_call(300, 16, held, one) == 100


def test_a_batch_that_devices_cannot_divide_is_refused():
    with pytest.raises(InputError, match='batch_size 10 cannot be divided over 4 devices'):
        parallel.layouts('data', [0], 10, DEVICES)


def test_only_the_devices_of_one_batch_have_an_axis():
    """Over which they would average: trials beside each other must not, and one device has none to do it with."""
    found = {(mode, n): parallel.Layout(DEVICES[:n], mode).axis_name for mode in ('data', 'trials') for n in (1, 2)}
    assert {key for key, axis in found.items() if axis} == {('data', 2)}
    assert [parallel.Layout(DEVICES[:2], mode, 3).trials for mode in ('data', 'trials')] == [1, 6]


@pytest.mark.parametrize('devices', [1, 2])
def test_what_is_donated_is_given_up_and_nothing_else(devices):
    """Call after call."""
    layout = parallel.Layout(tuple(DEVICES[:devices]), 'trials')
    program = parallel.spread(layout, lambda x, y: x + y, 1, 1, donate=(0,))
    shared = parallel.replicate(layout, np.ones(3, np.float32))
    for _ in range(2):
        state = parallel.join(layout, [np.full(3, i, np.float32) for i in range(devices)])
        found = parallel.split(layout, program(state, shared))
        np.testing.assert_array_equal(found, [[i + 1] * 3 for i in range(devices)])
        assert state.is_deleted() and not shared.is_deleted()


def test_groups_of_seeds():
    groups = parallel.layouts('trials', [0, 1, 2, 3, 4], 10, DEVICES)
    assert [(len(layout.devices), seeds) for layout, seeds in groups] == [(4, [0, 1, 2, 3]), (1, [4])]
    groups = parallel.layouts('data', [0, 1], 16, DEVICES)
    assert [(len(layout.devices), seeds) for layout, seeds in groups] == [(4, [0]), (4, [1])]


def test_groups_of_seeds_that_share_a_device():
    """Seven seeds, at most three a device: on two devices three each, then the one left; on four, two or one each."""
    groups = parallel.layouts('trials', [*range(7)], 10, DEVICES[:2], together=3)
    assert [(len(layout.devices), layout.together, seeds) for layout, seeds in groups] == [
        (2, 3, [0, 1, 2, 3, 4, 5]), (1, 1, [6])]
    groups = parallel.layouts('trials', [*range(7)], 10, DEVICES[:4], together=3)
    assert [(len(layout.devices), layout.together, seeds) for layout, seeds in groups] == [
        (4, 1, [0, 1, 2, 3]), (3, 1, [4, 5, 6])]
