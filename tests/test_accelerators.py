"""What GPUs and TPUs are given, as far as it can be seen without one: JAX translates for any platform on any."""
import re
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from configs import digits
from ikd import parallel, run_data, training
from ikd.explainers import EXPLAINERS, explain
from ikd.networks import prepare_stages
from ikd.recipes import RECIPES
from ikd.validation import resolve

METHODS = [pytest.param(method, marks=() if method in ('ce', 'le', 'hint', 'dml') else pytest.mark.slow)
           for method in RECIPES]
PLATFORMS = ('cuda', 'tpu')
DETOUR = re.compile(r'stablehlo.reverse %\w+, dims = \[[01]\] : tensor<(\d+x){4}')  # of `convolution.transposed`


def program(method, platform, trials=1, **fields):
    """What the last stage of a method with ResNet8 is for XLA on a platform, as text: many steps of it in one call.

    An accelerator's Layout, but on no device: `tpu` and `cuda` ask the same of ikd.
    """
    config = digits.get_config(f'{method},smoke')
    config.update_from_flattened_dict({'data.size': 16, 'teacher.model': 'resnet8', 'teacher.assistant': 'resnet8',
                                       **fields})
    config = resolve(config)
    dataset = run_data.load_data(config)
    device = SimpleNamespace(platform=platform, client=SimpleNamespace(platform_version=platform))
    layout = parallel.Layout((device,), 'trials' if trials > 1 else 'data', trials)
    stages, image_shape = prepare_stages(config, dataset, layout), dataset.train_images.shape[1:]

    def shapes(prepared):
        state = training.state_shapes(prepared, image_shape)
        axis = (trials,) * (trials > 1)
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*axis, *leaf.shape), leaf.dtype), state)

    state, teacher = shapes(stages[-1]), stages[-1].stage.teacher
    knowledge = {} if teacher is None else training.variables_of(shapes(stages[teacher]))
    order = jax.eval_shape(stages[-1].program.order, state)
    with jax.default_matmul_precision(parallel.MATMUL[config.precision]):
        advance = stages[-1].program.advance(stages[-1].program.chunk)
        traced = advance.trace(state, knowledge, order, dataset.train_images, dataset.train_labels)
        return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('platform', PLATFORMS)
def test_every_method_is_one_scan_of_steps(method, platform):
    """Nothing calls back to the host, and no convolution has the detour that is for CPUs only."""
    text = program(method, platform)
    assert text.count('stablehlo.while') == 1
    assert 'custom_call' not in text and not DETOUR.search(text)


def test_the_detour_of_cpus_is_seen():
    """The check above can fail."""
    assert DETOUR.search(program('ce', 'cpu'))


@pytest.mark.parametrize('platform', PLATFORMS)
def test_trials_together_are_one_program(platform):
    """Three seeds of LE: one loop, in which each has convolutions of its own, its explanation's among them."""
    alone, together = program('le', platform), program('le', platform, trials=3)
    assert together.count('stablehlo.while') == 1
    assert together.count('stablehlo.convolution') == 3 * alone.count('stablehlo.convolution') > 0
    assert not re.search(r'group_count = (?!1\b)', together)


@pytest.mark.parametrize('precision, found', [
    ('float32', ('f32', 'precision HIGHEST>')), ('tf32', ('f32', 'precision HIGH>')), ('bfloat16', ('bf16', ''))])
def test_convolutions_have_the_precision_asked_for(precision, found):
    """The types of their images and kernels, and how exact their products are to be."""
    text, (kind, exactness) = program('le', 'cuda', precision=precision), found
    convolutions = [line for line in text.splitlines() if 'stablehlo.convolution' in line]
    assert convolutions and all(f'x{kind}>' in line and exactness in line for line in convolutions)


@pytest.mark.parametrize('name', EXPLAINERS)
def test_every_explainer_is_for_accelerators_too(name, network, digits):
    model, variables = network('resnet8')
    traced = jax.jit(partial(explain, name, model)).trace(variables, np.asarray(digits[0]))
    for platform in PLATFORMS:
        assert 'custom_call' not in traced.lower(lowering_platforms=(platform,)).as_text()
