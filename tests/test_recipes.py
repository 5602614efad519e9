"""Every method: it trains, lowers its loss, and does not depend on how many devices share the batch."""
import jax
import numpy as np
import pytest

from configs import digits as digits_config
from ikd import experiment, parallel, training, trials
from ikd.recipes import RECIPES, recipe
from ikd.report.journal import read_records
from ikd.validation import resolve

DEVICES = jax.devices()


def make_config(method, **fields):
    """The method with ResNet8 on the digits, in smoke mode."""
    config = digits_config.get_config(f'{method},smoke')
    config.update_from_flattened_dict({'data.size': 16, **fields})
    return resolve(config)


@pytest.mark.parametrize('method', RECIPES)
def test_every_method_trains_and_lowers_its_loss(method, tmp_path):
    """Three epochs with the same objective: the last has a lower loss than the first, and the labels are learnt."""
    config = make_config(method, epochs=4, **{'method.warmup_epochs': 1})
    summary = experiment.run(config, tmp_path, DEVICES[:1])
    records = [r for r in read_records(tmp_path) if r['stage'] == recipe(config)[-1].name]
    assert records[-1]['train_loss'] < records[0]['train_loss']
    assert records[-1]['train_accuracy'] > 50
    assert summary['method'] == method
    assert summary['explainer'] == ('grad_cam' if method in ('le', 'le_permut') else None)


@pytest.mark.parametrize('method', RECIPES)
def test_two_devices_equal_one(method):
    """Three steps of the last stage: random numbers, statistics and whatever couples the batch span the devices.

    In norm, as float32's rounding now and then tips a ReLU; other random numbers differ by a tenth and more.
    """
    config = make_config(method, **{'method.rate': 0.3})
    dataset = experiment.load_data(config)
    ends, losses = [], []
    for devices in (DEVICES[:1], DEVICES[:2]):
        layout = parallel.Layout(tuple(devices), 'data')
        job = trials.make_job(config, None, dataset, layout)
        begun = training.new_state(0, 0, job.models[-1], job.optimizer, dataset.train_images.shape[1:], 0)
        state, order, reports = parallel.join(layout, [begun]), None, []
        for _ in range(3):
            order = job.programs[-1].order(state)
            state, report = job.programs[-1].advance(state, order, *job.resident)
            jax.block_until_ready(state)
            reports.append(float(report['loss']))
        ends.append(jax.flatten_util.ravel_pytree(parallel.split(layout, state)[0].params)[0])
        losses.append(reports)
    start = jax.flatten_util.ravel_pytree(begun.params)[0]
    assert np.linalg.norm(ends[1] - ends[0]) < 1e-3 * np.linalg.norm(ends[0] - start)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_the_variants_of_le_share_their_warm_up():
    stages = [recipe(make_config(method))[0] for method in ('le', 'le_permut', 'le_uniform')]
    assert stages[0] == stages[1] == stages[2] and stages[0].name == 'warmup'


def test_dropout_is_in_the_network_that_is_trained_and_not_in_the_one_that_is_tested():
    config = make_config('dropout', **{'method.rate': 0.25})
    layout = parallel.Layout(tuple(DEVICES[:1]), 'data')
    job = trials.make_job(config, None, experiment.load_data(config), layout)
    assert job.models[0].dropout_rate == 0.25
    assert trials.make_model(config, experiment.load_data(config)).dropout_rate == 0
