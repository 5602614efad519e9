"""Teachers that are given: the networks that finished runs ended with."""
import contextlib
import json
import shutil

import jax
import numpy as np
import pytest

from ikd import checkpoint, experiment, parallel, run_data, store
from ikd.errors import InputError, Stopped
from ikd.files import read_json, write_json
from ikd.journal import read_records
from ikd.networks import prepare_stages
from ikd.recipes import taught
from ikd.training import state_shapes
from tests.test_store import DEVICES, make_config

pytestmark = pytest.mark.usefixtures('without_pictures')


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """The directory of a finished run of two trials of cross-entropy, with the teachers' network."""
    workdir = tmp_path_factory.mktemp('finished') / 'run'
    experiment.run(make_config('ce', trials=2, **{'model.name': 'cnn4', 'optimizer.learning_rate': 0.02}), workdir,
                   DEVICES[:1])
    return workdir


def test_a_given_teacher_is_not_trained_and_is_named(finished, tmp_path):
    """Each seed has the run's trial of that seed; the summary has its accuracy; the student learns from it."""
    config = make_config('kd', trials=2, **{'teacher.checkpoint': str(finished)})
    summary = experiment.run(config, tmp_path / 'run', DEVICES[:1])
    there = {trial['seed']: trial['test_accuracy'] for trial in read_json(finished / 'summary.json')['trials']}
    assert {trial['seed']: trial['teachers'] for trial in summary['trials']} == {
        seed: {'teacher': accuracy} for seed, accuracy in there.items()}
    records = read_records(tmp_path / 'run', 0)
    assert [(r['stage'], r['epoch']) for r in records] == [('teacher', 0), ('student', 1), ('student', 2)]
    assert records[0]['given'] == str(finished)
    assert sorted(path.name for path in (tmp_path / 'run' / 'checkpoints' / 'seed0').iterdir()) == ['1-student']


@pytest.mark.slow
def test_a_given_teacher_teaches_as_if_it_had_been_trained_here(tmp_path, monkeypatch):
    """The same student, bit for bit, from a teacher out of the store and from a run that trained the same network.

    Which has not drawn what a run's own teacher draws, so that is made the same.
    """
    teacher = taught.teacher
    monkeypatch.setattr(taught, 'teacher', lambda config: teacher(config)._replace(draws=0))
    config = make_config('kd')
    trained = experiment.run(config, tmp_path / 'trained', DEVICES[:1])
    experiment.run(make_config('ce', **{'model.name': 'cnn4'}), tmp_path / 'teacher', DEVICES[:1])
    given = experiment.run(make_config('kd', **{'teacher.checkpoint': str(tmp_path / 'teacher')}), tmp_path / 'given',
                           DEVICES[:1])
    assert trained['trials'][0]['test_nll'] == given['trials'][0]['test_nll']
    assert trained['trials'][0]['teachers'] == given['trials'][0]['teachers']


def test_the_only_trial_of_a_run_teaches_every_seed(finished, tmp_path):
    """And the weights are those of its last checkpoint."""
    alone = tmp_path / 'alone'
    shutil.copytree(finished, alone)
    summary = json.loads((alone / 'summary.json').read_text())
    (alone / 'summary.json').write_text(json.dumps({**summary, 'trials': summary['trials'][1:]}))
    config = make_config('kd', seed=7, **{'teacher.checkpoint': str(alone)})
    prepared = prepare_stages(config, run_data.load_data(config), parallel.Layout(tuple(DEVICES[:1]), 'data'))[0]
    shapes = state_shapes(prepared, (16, 16, 1))
    state, told = store.adopt(alone, 7, shapes)
    tested = {name: value for name, value in summary['trials'][1].items() if name.startswith('test_')}
    assert told == {'trial': 1, 'weights': told['weights'], **tested} and len(told['weights']) == 12
    saved = checkpoint.last_tree(finished, 1)
    jax.tree.map(np.testing.assert_array_equal, state.params, saved['params'])
    assert jax.tree.structure(state.batch_stats) == jax.tree.structure(shapes.batch_stats)


@pytest.mark.parametrize('fields, message', [
    ({'teacher.checkpoint': 'nowhere'}, 'teacher.checkpoint=nowhere is not the directory of a finished run'),
    ({'teacher.model': 'cnn2'}, 'holds a cnn4 trained on digits, whose weights have other shapes'),
    ({'data.size': 8}, 'use the same data'),
    ({'data.holdout': 50}, 'was trained on images that data.holdout=50 holds out here'),
    ({'seed': 3}, 'has no trial of seed 3, only of 0, 1'),
    ({'seed': 1, 'trials': 2}, 'has no trial of seed 2, only of 0, 1'),
])
def test_a_teacher_that_cannot_be_had_is_refused_before_anything_is_written(finished, tmp_path, fields, message):
    config = make_config('kd', **{'teacher.checkpoint': str(finished), **fields})
    with pytest.raises(InputError, match=message) as error:
        experiment.run(config, tmp_path / 'run', DEVICES[:1])
    assert '\n' not in str(error.value) and not (tmp_path / 'run').exists()


def test_a_teacher_that_held_out_fewer_images_is_refused(tmp_path):
    """As it was trained on some of those that are held out here; those that hold out more hold out these, too."""
    config = make_config('kd', **{'data.holdout': 50})
    here, more, fewer = (run_data.load_data(make_config('kd', **{'data.holdout': count, 'data.limit': None}))
                         for count in (50, 51, 49))
    seen_by = lambda dataset: {image.tobytes() for image in dataset.train_images}
    held_out = {image.tobytes() for image in here.test_images} - seen_by(here)  # some digits are there twice
    assert not held_out & seen_by(more) and held_out & seen_by(fewer)
    for count in 0, 20, 49:
        write_json(tmp_path / 'config.json', {'data': {'holdout': count}})
        with pytest.raises(InputError, match='was trained on images that data.holdout=50 holds out here'):
            store.check_given(tmp_path, config, None)
    for count in 50, 51:
        write_json(tmp_path / 'config.json', {'data': {'holdout': count}})
        store.check_given(tmp_path, config, None)
    store.check_given(tmp_path, make_config('kd'), None)  # none is held out here


@pytest.mark.parametrize('method, network, fits', [
    ('hme', 'hme_tree', False), ('hme', 'hme_resnet18', True), ('ce', 'hme_tree', True)])
def test_only_a_tree_that_was_made_hard_cannot_teach(method, network, fits, tmp_path):
    write_json(tmp_path / 'config.json', {'method': {'name': method}, 'model': {'name': network}})
    with contextlib.nullcontext() if fits else pytest.raises(InputError, match='ended as a hard tree'):
        store.check_given(tmp_path, make_config('kd'), None)


def test_a_run_of_which_the_teacher_would_be_another_network_is_refused(finished, tmp_path):
    """A tree whose last stage was hard, which `teacher.model` would apply as a soft one: 11 % in the place of 96."""
    teacher = tmp_path / 'teacher'
    shutil.copytree(finished, teacher)
    config = read_json(teacher / 'config.json')
    config['method']['name'], config['model']['name'] = 'hme', 'hme_tree'
    write_json(teacher / 'config.json', config)
    with pytest.raises(InputError, match='ended as a hard tree'):
        experiment.run(make_config('kd', **{'teacher.checkpoint': str(teacher)}), tmp_path / 'run', DEVICES[:1])


def test_a_student_goes_on_with_the_teacher_it_began_with(finished, tmp_path):
    """Though the teacher's run has a trial of the student's seed by now; one that was trained anew is refused."""
    teacher = tmp_path / 'teacher'
    config = make_config('kd', seed=1, **{'teacher.checkpoint': str(teacher)})
    shutil.copytree(finished, teacher)
    both = json.loads((teacher / 'summary.json').read_text())
    write_json(teacher / 'summary.json', {**both, 'trials': both['trials'][:1]})
    undisturbed = experiment.run(config, tmp_path / 'undisturbed', DEVICES[:1])
    epochs = []
    with pytest.raises(Stopped):
        experiment.run(config, tmp_path / 'run', DEVICES[:1], stop=lambda: len(epochs) > 2 or epochs.append(1))
    (noted,) = [record for record in read_records(tmp_path / 'run') if 'given' in record]
    assert noted['trial'] == 0

    write_json(teacher / 'summary.json', both)
    last = max((teacher / 'checkpoints' / 'seed0').glob('*-*'))
    shutil.move(last, tmp_path / 'aside')
    shutil.copytree(teacher / 'checkpoints' / 'seed1' / last.name, last)
    with pytest.raises(InputError, match='seed 0 in .*, from which seed 1 has begun to learn, was trained anew'):
        experiment.run(config, tmp_path / 'run', DEVICES[:1])
    shutil.rmtree(last)
    shutil.move(tmp_path / 'aside', last)
    assert experiment.run(config, tmp_path / 'run', DEVICES[:1])['trials'][0]['test_nll'] == (
        undisturbed['trials'][0]['test_nll'])
