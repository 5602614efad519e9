"""Every method: it trains, lowers its loss, and does not depend on how many devices share the batch."""
import jax
import numpy as np
import pytest

from configs import digits as digits_config
from ikd import experiment, parallel, store, training, trials
from ikd.errors import InputError
from ikd.recipes import RECIPES, recipe
from ikd.report.journal import read_records
from ikd.validation import resolve

DEVICES = jax.devices()


METHODS = (*RECIPES, 'vam')


def make_config(method, **fields):
    """The method with ResNet8, and ResNet8 as teacher, on the digits, in smoke mode; trees of few channels."""
    config = digits_config.get_config(f'{method},smoke')
    config.update_from_flattened_dict({'data.size': 16, 'teacher.model': 'resnet8', 'teacher.assistant': 'resnet8',
                                       **({'model.width': 8} if method == 'hme' else {}), **fields})
    return resolve(config)


@pytest.mark.parametrize('method', METHODS)
def test_every_method_trains_and_lowers_its_loss(method, tmp_path):
    """The last epoch of the method's own objective has a lower loss than the first, and more labels are right."""
    config = make_config(method, epochs=5, **{'method.warmup_epochs': 1, 'data.limit': 512,
                                              'optimizer.learning_rate': 0.05})
    summary = experiment.run(config, tmp_path, DEVICES[:1])
    records = [r for r in read_records(tmp_path) if r['stage'] == recipe(config)[-1].name]
    assert records[-1]['train_loss'] < records[0]['train_loss']
    assert records[-1]['train_accuracy'] > max(30, records[0]['train_accuracy'])  # chance is 10
    assert summary['method'] == config.method.name
    taught = [stage for stage in recipe(config) if stage.teacher is not None]
    assert len(summary['trials'][0].get('teachers', {})) == len(taught)
    assert summary['explainer'] == ('grad_cam' if method in ('le', 'le_permut') else None)


@pytest.mark.parametrize('method', METHODS)
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
        prepared = job.stages[-1]
        program = prepared.program
        begun = training.new_state(0, prepared, job.image_shape)
        knowledge = {}
        if prepared.stage.teacher is not None:
            teacher = training.new_state(5, job.stages[prepared.stage.teacher], job.image_shape)
            knowledge = parallel.join(layout, [training.variables_of(teacher)])
        state, reports = parallel.join(layout, [begun]), []
        order = program.order(state)
        for _ in range(3):
            state, report = program.advance(state, knowledge, order, *job.resident)
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
    assert job.stages[0].model.dropout_rate == 0.25
    assert trials.make_model(config, experiment.load_data(config)).dropout_rate == 0


def test_a_second_method_takes_its_teacher_from_the_store(tmp_path):
    """KD and DKPP of a seed share a teacher: trained once, bit for bit the same, untouched by its student."""
    runs = {}
    for method in ('kd', 'dkpp'):
        summary = experiment.run(make_config(method), tmp_path / method, DEVICES[:1])
        runs[method] = summary, read_records(tmp_path / method)
    (entry,) = (tmp_path / 'store').iterdir()
    assert entry.name.startswith('teacher-') and [seed.name for seed in entry.iterdir()] == ['seed0']
    for summary, records in runs.values():
        assert [(r['stage'], r['epoch']) for r in records] == [
            ('teacher', 1), ('teacher', 2), ('student', 3), ('student', 4)]
        assert summary['trials'][0]['teachers'] == {'teacher': records[1]['test_accuracy']}
    teacher = [[{**r, 'stored': None} for r in records[:2]] for _, records in runs.values()]
    assert teacher[0] == teacher[1]
    assert not (tmp_path / 'dkpp' / 'checkpoints' / 'seed0' / '0-teacher').exists()


def test_only_the_same_work_is_taken_from_the_store():
    """Seeds lie side by side; another network, schedule, data or temperature of the assistant is another name."""
    def names(method='takd', **fields):
        config = make_config(method, **fields)
        return [store.stage_name(config, recipe(config), index) for index in range(2)]

    teacher, assistant = names()
    assert names(**{'method.alpha': 0.5, 'trials': 3}) == [teacher, assistant]
    assert names(**{'method.temperature': 2.0})[0] == teacher
    assert names(**{'method.temperature': 2.0})[1] != assistant
    assert names(**{'model.name': 'resnet14'}) == [teacher, assistant]
    others = [{'teacher.model': 'resnet14'}, {'epochs': 3}, {'optimizer.learning_rate': 0.2}, {'data.limit': 200},
              {'precision': 'tf32'}]
    found = [names(**other) for other in others]
    assert all(other[0] != teacher and other[1] != assistant for other in found)
    assert len({other[0] for other in found}) == len(others)
    assert names('le')[0] == names('le_uniform')[0] == names('le_permut')[0]


def test_a_stored_warm_up_is_the_trained_one(tmp_path):
    """LE after its control, whose warm-up it takes, ends bit for bit as LE alone."""
    experiment.run(make_config('le_uniform'), tmp_path / 'a' / 'control', DEVICES[:1])
    after = experiment.run(make_config('le'), tmp_path / 'a' / 'le', DEVICES[:1])
    alone = experiment.run(make_config('le'), tmp_path / 'b' / 'le', DEVICES[:1])
    assert read_records(tmp_path / 'a' / 'le')[0]['stored'] and 'stored' not in read_records(tmp_path / 'b' / 'le')[0]
    for name in ('test_accuracy', 'test_nll', 'test_ece'):
        assert after['trials'][0][name] == alone['trials'][0][name]


def test_a_store_that_cannot_be_written_costs_the_run_nothing(tmp_path, capsys):
    (tmp_path / 'file').write_text('in the way')
    config = make_config('le', store=str(tmp_path / 'file' / 'store'))
    summary = experiment.run(config, tmp_path / 'le', DEVICES[:1])
    assert len(summary['trials']) == 1 and (tmp_path / 'file').read_text() == 'in the way'
    assert 'cannot keep warmup-' in capsys.readouterr().err


def test_the_second_stage_of_srdl_shares_nothing_with_the_first():
    """Other weights, no momentum, the schedule from its beginning; the same seed, so the same images."""
    config = make_config('srdl', epochs=4)
    first, second = recipe(config)
    assert (first.epochs, second.epochs, second.teacher) == (2, 2, 0)
    assert first.span is second.span is None
    job = trials.make_job(config, None, experiment.load_data(config), parallel.Layout(tuple(DEVICES[:1]), 'data'))
    states = [training.new_state(0, prepared, (16, 16, 1)) for prepared in job.stages]
    kernels = [[leaf for leaf in jax.tree.leaves(state.params) if leaf.ndim > 1] for state in states]
    assert all((a != b).mean() > 0.99 for a, b in zip(*kernels, strict=True))
    begun = second.start(states[1], [states[0]._replace(step=np.int32(16))])
    assert begun.step == 0 and not any(leaf.any() for leaf in jax.tree.leaves(begun.opt_state))


def test_srdl_of_one_epoch_is_refused():
    with pytest.raises(InputError, match='srdl has two stages'):
        make_config('srdl', epochs=1, **{'method.warmup_epochs': 0})
