"""One stage: what is compiled, how often, and that devices do not change the result."""
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd import models, networks, parallel, training
from ikd.config import default
from ikd.data import Dataset, digits
from ikd.data.inputs import normalise
from ikd.data.stream import usual_workers
from ikd.program import pad_test
from ikd.recipes import recipe
from ikd.validation import resolve

DEVICES = jax.devices()


@pytest.fixture(scope='module')
def dataset():
    """96 training and 40 test digits, 16x16 in three channels."""
    images, labels, test_images, test_labels, names = digits.read()

    def enlarge(x):
        return np.repeat(np.repeat(np.repeat(x, 2, axis=1), 2, axis=2), 3, axis=3)

    return Dataset(enlarge(images[:96]), labels[:96], enlarge(test_images[:40]), test_labels[:40], names, (0.1,) * 3,
                   (0.3,) * 3)


def make_config(**fields):
    config = default()
    config.update(batch_size=16, epochs=4)
    config.update_from_flattened_dict(fields)
    return resolve(config)


def prepare(config, dataset, index, devices=DEVICES[:1], mode='data', together=1, **model_options):
    """(program, layout, state on the device, resident data) of stage `index` of the config's recipe."""
    layout = parallel.Layout(tuple(devices), mode, together)
    model = models.create(config.model.name, 10, axis_name=layout.axis_name, **model_options)
    prepared = training.prepare(recipe(config)[index], model, None, dataset, config, layout)
    seeds = range(layout.trials)
    state = parallel.join(layout, [training.new_state(seed, prepared, dataset.train_images.shape[1:])
                                   for seed in seeds])
    resident = parallel.replicate(layout, (dataset.train_images, dataset.train_labels))
    return prepared.program, layout, state, resident


@pytest.mark.parametrize('method, draws', [('ce', 0), ('kd', 1)])
def test_where_a_seed_begins(dataset, method, draws):
    """At the weights of the published trials: of a seed's key, for INIT, for the stage's draws."""
    config = make_config(**{'method.name': method, 'model.name': 'mlp', 'teacher.model': 'mlp'})
    layout = parallel.Layout(DEVICES[:1], 'data')
    stage, shape = networks.prepare_stages(config, dataset, layout)[0], dataset.image_shape
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(7), 0), draws)
    expected = jax.device_get(models.init(models.create('mlp', 10), key, shape)['params'])
    jax.tree.map(np.testing.assert_array_equal, training.new_state(7, stage, shape).params, expected)


def lowered(config, dataset, index):
    program, _, state, resident = prepare(config, dataset, index)
    return program.advance(program.chunk).lower(state, {}, program.order(state), *resident)


def convolutions(config, dataset, index):
    """How many convolutions the compiled step of a stage has."""
    return len(re.findall(r' convolution\(', lowered(config, dataset, index).compile().as_text()))


@pytest.mark.parametrize('explainer, more', [
    ('grad_cam', 0), ('grad', 9),
    *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (
        ('grad_input', 9), ('grad_cam_plus_plus', 0), ('layer_cam', 0), ('guided_grad_cam', 9), ('lrp_epsilon', 9)))])
def test_the_explanation_shares_the_forward_pass(dataset, explainer, more):
    """LE compiles to the convolutions of CE and, for input gradients, one backward convolution for each of ResNet8's
    nine, all classes in one. A forward pass of its own would add nine."""
    config = make_config(**{'method.explainer': explainer, 'class_chunk': 10})
    cross_entropy, introspective = (convolutions(config, dataset, index) for index in (0, 1))
    assert cross_entropy == 26  # nine forward, nine to the weights, eight to the activations
    assert introspective == 26 + more


def looped_convolutions(module):
    """How many convolutions of a StableHLO module lie in the body of a while loop, calls followed."""
    functions = {str(f.name).strip('"'): f for f in module.body.operations}

    def count(operation, in_loop):
        name, total = operation.operation.name, 0
        in_loop = in_loop or name == 'stablehlo.while'
        if name == 'func.call':
            total += count(functions[operation.attributes['callee'].value], in_loop)
        if name == 'stablehlo.convolution' and in_loop:
            total += 1
        return total + sum(count(inner, in_loop) for region in operation.regions for block in region
                           for inner in block.operations)

    return count(functions['main'], False)


@pytest.mark.parametrize('explainer', ['grad_cam', 'grad'])
def test_no_convolution_in_a_loop_on_cpu(dataset, explainer):
    """XLA:CPU runs convolutions inside a while loop on a slow path, 24 times slower."""
    config = make_config(**{'method.explainer': explainer})
    module = lowered(config, dataset, 1).compiler_ir('stablehlo')
    assert 'stablehlo.convolution' in str(module)
    assert looped_convolutions(module) == 0


def test_looped_convolutions_are_seen():
    """The check above can fail."""
    def scanned(x, kernel):
        return jax.lax.scan(lambda y, _: (jax.lax.conv(y, kernel, (1, 1), 'SAME'), None), x, length=3)[0]

    module = jax.jit(scanned).lower(jnp.ones((1, 2, 4, 4)), jnp.ones((2, 2, 3, 3))).compiler_ir('stablehlo')
    assert looped_convolutions(module) == 1


def test_networks_without_convolutions_scan_their_steps(dataset):
    program = prepare(make_config(**{'model.name': 'mlp', 'method.explainer': 'grad'}), dataset, 1)[0]
    assert program.steps == 6 and program.chunk == 6


@pytest.mark.parametrize('teacher, chunks', [('mlp', [6, 6]), ('cnn2', [1, 1])])
def test_a_teacher_that_convolves_is_not_scanned_either(dataset, teacher, chunks):
    config = make_config(**{'method.name': 'kd', 'model.name': 'mlp', 'teacher.model': teacher})
    stages = networks.prepare_stages(config, dataset, parallel.Layout(tuple(DEVICES[:1]), 'data', 1))
    assert [prepared.program.chunk for prepared in stages] == chunks


@pytest.mark.parametrize('model, explainer', [('resnet8', 'grad_cam'), ('mlp', 'grad')])
def test_one_trace_a_stage(dataset, monkeypatch, model, explainer):
    """Two epochs of two seeds trace each stage's step once."""
    config = make_config(**{'model.name': model, 'method.explainer': explainer})
    traces = []
    monkeypatch.setattr(training, 'normalise', lambda *args: traces.append(1) or normalise(*args))
    for index in (0, 1):
        program, layout, state, resident = prepare(config, dataset, index)
        for seed in (0, 1):
            host = parallel.split(layout, state)[0]
            begun = parallel.join(layout, [host._replace(seed=np.uint32(seed))])
            for _ in range(2):
                begun, _ = training.run_epoch(program, layout, begun, {}, *resident)
        assert len(traces) == index + 1


def test_nothing_comes_to_the_host_during_an_epoch(dataset):
    """`run_epoch` forbids it while steps run; a step that needed a value on the host would raise."""
    program, layout, state, resident = prepare(make_config(), dataset, 1)
    guards = []

    def advance(length):
        guards.append(jax.config.jax_transfer_guard_device_to_host)
        return program.advance(length)

    state, _ = training.run_epoch(program._replace(advance=advance), layout, state, {}, *resident)
    assert guards == ['disallow'] * program.steps


CASES = {
    'le grad_cam, augmented': {'data.augment': 'crop_flip'},
    'le grad': {'method.explainer': 'grad'},
    'mlp': {'model.name': 'mlp', 'method.explainer': 'grad'},
    'cnn6 guided': {'model.name': 'cnn6', 'method.explainer': 'guided_backprop', 'data.augment': 'crop_flip'},
}


@pytest.mark.parametrize('count, case', [
    pytest.param(count, case, marks=[pytest.mark.slow] * (count == 4 or case.startswith('cnn6') or case == 'le grad'))
    for count in (2, 4) for case in CASES])
def test_devices_share_a_batch_without_changing_it(dataset, case, count):
    """Three steps on two or four devices are three steps on one: augmentation, Dropout, BatchNorm, maps, update.

    Weights agree to 1e-4 of the largest change, float32's accumulated rounding; without synchronised statistics or
    with other random numbers they differ by more than 1e-2 for every seed. For some they may in any case, as rounding
    tips a ReLU in about one of twenty steps; which ones depends on the machine.
    """
    config = make_config(**CASES[case])

    def three_steps(devices):
        """Of each seed where it began, where it came, and what the last step tells."""
        program, layout, begun, resident = prepare(config, dataset, 1, devices, dropout_rate=0.1)
        for seed in range(9):
            state = jax.tree.map(jnp.copy, begun)._replace(seed=parallel.replicate(layout, np.uint32(seed)))
            before, order = parallel.split(layout, state)[0], program.order(state)
            for _ in range(3 // program.chunk or 1):
                state, report = program.advance(program.chunk)(state, {}, order, *resident)
                jax.block_until_ready(state)
            yield before, parallel.split(layout, state)[0], parallel.split(layout, report)[0]

    def alike(before, one, many, report, reports):
        for part in ('params', 'batch_stats'):
            start, ours, theirs = (jax.flatten_util.ravel_pytree(getattr(s, part))[0] for s in (before, one, many))
            if len(start) and not np.allclose(theirs, ours, atol=1e-4 * np.abs(ours - start).max()):
                return False
        return all(np.allclose(reports[name], value, rtol=1e-4, atol=1e-5) for name, value in report.items())

    found = [alike(before, one, many, report, reports) for (before, one, report), (_, many, reports)
             in zip(three_steps(DEVICES[:1]), three_steps(DEVICES[:count]), strict=True)]
    assert sum(found) >= 4


@pytest.mark.parametrize('model, explainer, devices, each', [
    ('resnet8', 'grad_cam', 2, 1), ('mlp', 'grad', 2, 1), ('mlp', 'grad', 1, 3),
    pytest.param('mlp', 'grad', 2, 2, marks=pytest.mark.slow)])
def test_trials_together_are_those_trials(dataset, model, explainer, devices, each):
    """On devices of their own, several in one program, and both: weights to 3 % of the way they have come, those of
    the MLP to 1e-4.

    Rounding, which differs between programs, now and then tips a ReLU, and BatchNorm tells all images of the batch;
    another seed's weights are quite elsewhere.
    """
    config = make_config(**{'model.name': model, 'method.explainer': explainer})
    program, layout, state, resident = prepare(config, dataset, 1, DEVICES[:devices], 'trials', each)
    state, reports = training.run_epoch(program, layout, state, {}, *resident)
    test_images = parallel.replicate(layout, pad_test(dataset.test_images, layout))
    tests = training.run_evaluation(program, layout, state, test_images, dataset.test_labels)
    single, alone, new, resident = prepare(config, dataset, 1)
    prepared = training.prepare(recipe(config)[1], models.create(model, 10), None, dataset, config, alone)
    for seed, together in enumerate(parallel.split(layout, state)):
        start, loose = training.new_state(seed, prepared, (16, 16, 3)), 10 if model == 'resnet8' else 1
        ended, (report,) = training.run_epoch(single, alone, parallel.join(alone, [start]), {}, *resident)
        images = parallel.replicate(alone, pad_test(dataset.test_images, alone))
        assert training.run_evaluation(single, alone, ended, images, dataset.test_labels)[0] == pytest.approx(
            tests[seed], rel=1e-3 * loose)
        np.testing.assert_allclose(reports[seed]['loss'], report['loss'], rtol=1e-4 * loose)
        begun, ours, theirs = (jax.flatten_util.ravel_pytree(s.params)[0] for s in (start, together, ended))
        assert np.linalg.norm(ours - theirs) < 0.03 * np.linalg.norm(theirs - begun)
        assert model == 'resnet8' or np.abs(ours - theirs).max() < 1e-4


def test_evaluation_counts_every_image_once(dataset, monkeypatch):
    """40 test images in batches of 16 on 1 and 3 devices: as many as there are, in order."""
    monkeypatch.setattr('ikd.program.EVAL_BATCH', 16)
    logits = []
    for devices in (DEVICES[:1], DEVICES[:3]):
        program, layout, state, _ = prepare(make_config(batch_size=12), dataset, 0, devices)
        images = pad_test(dataset.test_images, layout)
        assert len(images) == 48 if len(devices) == 1 else 54
        monkeypatch.setattr(training.metrics, 'evaluate', lambda rows, labels: (rows, labels))
        images = parallel.replicate(layout, images)
        (rows, labels), = training.run_evaluation(program, layout, state, images, dataset.test_labels)
        logits.append(rows)
        assert len(rows) == 40 and (labels == dataset.test_labels).all()
    np.testing.assert_allclose(*logits, rtol=1e-4, atol=1e-5)
    model = models.create('resnet8', 10)
    variables = {'params': jax.device_get(state.params), 'batch_stats': jax.device_get(state.batch_stats)}
    direct, _ = model.apply(variables, normalise(dataset.test_images, dataset.mean, dataset.std))
    np.testing.assert_allclose(logits[0], direct, rtol=1e-3, atol=1e-4)


def test_as_many_threads_read_as_the_config_says(dataset):
    config = {'model.name': 'mlp', 'method.explainer': 'grad'}
    found = [prepare(make_config(**config, **{'data.workers': n}), dataset, 0)[0].workers for n in (None, 1, 77)]
    assert found == [usual_workers(), 1, 77]


def test_explaining_with_running_averages_changes_the_targets(dataset):
    """method.bn=running explains the evaluation-mode network: the same loss, targets that the averages decide."""
    for bn in 'batch', 'running':
        program, _, state, resident = prepare(make_config(**{'method.bn': bn}), dataset, 1)
        other = jax.tree.map(jnp.copy, state._replace(batch_stats=jax.tree.map(lambda x: x + 1, state.batch_stats)))
        one, two = (jax.device_get(program.advance(program.chunk)(begun, {}, program.order(begun), *resident)[1])
                    for begun in (state, other))
        assert one['cross_entropy'] == pytest.approx(two['cross_entropy'], rel=1e-5)
        assert (abs(one['entropy_q'] - two['entropy_q']) > 1e-4) == (bn == 'running')
