"""An epoch in two parts is the epoch; what is told of one, and when it is tested and drawn."""
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from ikd import epochs, parallel
from ikd.config import default
from ikd.epochs import check_finite, epoch_record, is_due, is_final_network, rest_of, with_rests
from ikd.errors import Diverged
from ikd.journal import Journal, read_records
from ikd.recipes import recipe
from ikd.stages import Stage, State
from ikd.validation import resolve
from tests.test_journal import events


@pytest.mark.parametrize('dtype', [np.float32, jnp.bfloat16, np.int32])
@pytest.mark.parametrize('cuts', [(0, 7), (0, 3, 7), (0, 1, 2, 6, 7)])
def test_the_parts_of_an_epoch_are_the_whole(dtype, cuts):
    """To the last bit and in the same type, through JSON, so that means over it are the same, too."""
    draw = np.random.default_rng(0)
    whole = {name: (1000 * draw.normal(size=7)).astype(dtype) for name in ('loss', 'accuracy')}
    other = {name: values[::-1] for name, values in whole.items()}  # another seed's
    rests, reports, seconds = [None, None], None, 0
    for first, last in zip(cuts, cuts[1:]):
        parts = [{name: values[first:last] for name, values in one.items()} for one in (whole, other)]
        reports, seconds, by = with_rests(rests, parts, 0.5)
        rests = [json.loads(json.dumps(rest_of(report, seconds, by))) for report in reports]
    assert seconds == 0.5 * (len(cuts) - 1)
    for expected, report in zip((whole, other), reports):
        for name, values in expected.items():
            assert report[name].dtype == values.dtype and report[name].tobytes() == values.tobytes()


def test_a_mean_over_many_steps_of_bfloat16():
    """Summed in that type, ones stop to add up at 256."""
    job = SimpleNamespace(config=SimpleNamespace(batch_size=1))
    report = {'loss': np.ones(400, jnp.bfloat16)}
    assert epoch_record(job, 0, SimpleNamespace(name='ce'), 1, 0.1, 1.0, report, {}, {})['train_loss'] == 1


def test_what_a_record_says():
    """Four steps of ten images in two seconds, in the third epoch."""
    job = SimpleNamespace(config=SimpleNamespace(batch_size=10))
    found = epoch_record(job, 5, SimpleNamespace(name='ce'), 3, 0.1, 2.0, {'loss': np.arange(4.0)}, {'test_nll': 7},
                         {'commit': 'abc', 'device': 'a chip'})
    assert found == {'seed': 5, 'stage': 'ce', 'epoch': 3, 'step': 12, 'learning_rate': 0.1, 'seconds': 2.0,
                     'images_per_second': 20.0, 'train_loss': 1.5, 'test_nll': 7,
                     'commit': 'abc', 'device': 'a chip'}


def test_a_part_that_is_no_number_is_none():
    """JSON has no other word for it; the loss itself is another matter."""
    job = SimpleNamespace(config=SimpleNamespace(batch_size=10))
    report = {'loss': np.ones(2), 'ratio': np.array([1.0, np.nan]), 'odds': np.array([1.0, np.inf])}
    found = epoch_record(job, 5, SimpleNamespace(name='ce'), 3, 0.1, 2.0, report, {}, {})
    assert (found['train_loss'], found['train_ratio'], found['train_odds']) == (1, None, None)
    json.dumps(found, allow_nan=False)


def test_a_bad_step_is_named_where_no_test_was_made():
    """Steps are counted from 0 over the whole run: the third of the fifth epoch, of ten steps each."""
    prepared = SimpleNamespace(program=SimpleNamespace(steps=10), stage=SimpleNamespace(name='ce'))
    good, bad = ({'loss': np.float32([1, 2, last, last])} for last in (3, np.nan))
    check_finite([0, 1], prepared, 2, 3, [good, good], [{}, {}])
    with pytest.raises(Diverged, match=r'seed 1 is not a number since step 42 \(stage ce, epoch 2\)'):
        check_finite([0, 1], prepared, 2, 3, [good, bad], [{}, {}])
    with pytest.raises(Diverged, match=r'of seed 0 on the test images are no numbers, .* \(stage ce, epoch 2\)'):
        check_finite([0], prepared, 2, 3, [good], [{'test_nll': np.inf}])
    with pytest.raises(Diverged, match='seed 0 is not a number since step 42 '):
        check_finite([0], prepared, 2, 3, [bad], [{'test_nll': np.inf}])


@pytest.mark.parametrize('epoch, first, advice', [
    (1, 0, 'so from the first step: look at'), (1, 1, 'smaller learning rate'), (2, 0, 'smaller learning rate')])
def test_a_smaller_rate_is_no_advice_where_no_weight_has_moved(epoch, first, advice):
    prepared = SimpleNamespace(program=SimpleNamespace(steps=3), stage=SimpleNamespace(name='le'))
    losses = np.where(np.arange(3) < first, 1, np.nan)
    with pytest.raises(Diverged, match=advice):
        check_finite([0], prepared, epoch, 4, [{'loss': losses}], [{}])


def test_what_is_done_now_and_then_is_done_at_the_end():
    assert [epoch for epoch in range(1, 8) if is_due(epoch, 7, 3)] == [3, 6, 7]
    assert [epoch for epoch in range(1, 4) if is_due(epoch, 3, 10)] == [3]


@pytest.mark.parametrize('method, network, drawn', [
    ('ce', 'cnn2', [True]), ('le', 'cnn2', [True, True]), ('kd', 'cnn2', [False, True]),
    ('takd', 'cnn2', [False, False, True]), ('hme', 'hme_tree', [False, True])])
def test_a_stage_whose_network_is_not_the_last_ones_is_not_drawn(method, network, drawn):
    """A teacher, or a tree whose decisions are not yet what they are in the end."""
    config = default()
    config.method.name, config.model.name = method, network
    job = SimpleNamespace(stages=[SimpleNamespace(stage=stage) for stage in recipe(resolve(config))])
    assert [is_final_network(job, prepared.stage) for prepared in job.stages] == drawn


def test_a_run_of_two_stages_is_told_of(tmp_path, monkeypatch):
    """Four epochs of a teacher, six of a student, tested every third of each and at its end; a quarter of the run is
    what lies between two pictures, of which the teacher has none.
    """
    titles, lines, told, tested = [], [], [], {'test_accuracy': 50.0, 'test_nll': 1.0}
    monkeypatch.setattr(epochs, 'run_evaluation', lambda *given: [tested])
    monkeypatch.setattr(epochs, 'draw', lambda explain, dataset, variables, title, most: (
        titles.append((title, variables['params'])) or Figure()))
    stages = [SimpleNamespace(stage=Stage(*given), program=SimpleNamespace(steps=2))
              for given in (('teacher', None, 4, None, 'mlp'), ('student', None, 6))]
    job = SimpleNamespace(stages=stages, epochs=10, layout=parallel.Layout(tuple(jax.devices()[:1]), 'data'),
                          dataset=SimpleNamespace(test_labels=None), test_images=None, explain=None,
                          config=SimpleNamespace(test_every=3, batch_size=8))
    report = {'loss': np.array([1.0, 2.0]), 'accuracy': np.array([20.0, 40.0])}
    with Journal(tmp_path, 5) as journal:
        group = SimpleNamespace(job=job, seeds=[5], journals=[journal], progress=SimpleNamespace(tell=lines.append),
                                on_epoch=told.append)
        for prepared, before in zip(stages, (0, 4)):
            for epoch in range(1, prepared.stage.epochs + 1):
                state = State(5, 2 * epoch, before + epoch, {}, (), {})
                epochs.tell_epoch(group, prepared, state, epoch, before, 0.1, 1.0, [report], {})
    records = read_records(tmp_path, 5)
    assert told == records
    assert [(record['stage'], record['epoch']) for record in records] == [
        ('teacher' if epoch < 5 else 'student', epoch) for epoch in range(1, 11)]
    assert [record['epoch'] for record in records if tested.items() <= record.items()] == [3, 4, 7, 10]
    assert [record['epoch'] for record in records if 'test_nll' in record] == [3, 4, 7, 10]
    assert lines[5:7] == ['seed 5  student 6/10  loss 1.500  train 30.0 %',
                          'seed 5  student 7/10  loss 1.500  train 30.0 %  test 50.0 %']
    assert titles == [(f'epoch {epoch}', epoch) for epoch in (5, 8, 10)]
    assert [event.step for event in events(tmp_path, 5) for value in event.summary.value
            if value.tag == 'explanations'] == [5, 8, 10]
