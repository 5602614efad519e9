"""An epoch in two parts is the epoch."""
import json
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from ikd.epochs import check_finite, epoch_record, rest_of, with_rest
from ikd.errors import Diverged


@pytest.mark.parametrize('dtype', [np.float32, jnp.bfloat16, np.int32])
@pytest.mark.parametrize('cuts', [(0, 7), (0, 3, 7), (0, 1, 2, 6, 7)])
def test_the_parts_of_an_epoch_are_the_whole(dtype, cuts):
    """To the last bit and in the same type, through JSON, so that means over it are the same, too."""
    draw = np.random.default_rng(0)
    whole = {name: (1000 * draw.normal(size=7)).astype(dtype) for name in ('loss', 'accuracy')}
    rest, report, seconds = None, None, 0
    for first, last in zip(cuts, cuts[1:]):
        part = {name: values[first:last] for name, values in whole.items()}
        report, seconds = with_rest(rest, part, 0.5)
        rest = json.loads(json.dumps(rest_of(report, seconds)))
    assert seconds == 0.5 * (len(cuts) - 1)
    for name, values in whole.items():
        assert report[name].dtype == values.dtype and report[name].tobytes() == values.tobytes()


def test_a_mean_over_many_steps_of_bfloat16():
    """Summed in that type, ones stop to add up at 256."""
    job = SimpleNamespace(config=SimpleNamespace(batch_size=1))
    report = {'loss': np.ones(400, jnp.bfloat16)}
    assert epoch_record(job, 0, SimpleNamespace(name='ce'), 1, 0.1, 1.0, report, {})['train_loss'] == 1


def test_what_a_record_says():
    """Four steps of ten images in two seconds, in the third epoch."""
    job = SimpleNamespace(config=SimpleNamespace(batch_size=10))
    found = epoch_record(job, 5, SimpleNamespace(name='ce'), 3, 0.1, 2.0, {'loss': np.arange(4.0)}, {'test_nll': 7})
    assert found == {'seed': 5, 'stage': 'ce', 'epoch': 3, 'step': 12, 'learning_rate': 0.1, 'seconds': 2.0,
                     'images_per_second': 20.0, 'train_loss': 1.5, 'test_nll': 7}


def test_a_part_that_is_no_number_is_none():
    """JSON has no other word for it; the loss itself is another matter."""
    job = SimpleNamespace(config=SimpleNamespace(batch_size=10))
    report = {'loss': np.ones(2), 'ratio': np.array([1.0, np.nan]), 'odds': np.array([1.0, np.inf])}
    found = epoch_record(job, 5, SimpleNamespace(name='ce'), 3, 0.1, 2.0, report, {})
    assert (found['train_loss'], found['train_ratio'], found['train_odds']) == (1, None, None)
    json.dumps(found, allow_nan=False)


def test_a_bad_step_is_named_where_no_test_was_made():
    """Steps are counted from 0 over the whole run: the third of the fifth epoch, of ten steps each."""
    prepared = SimpleNamespace(program=SimpleNamespace(steps=10), stage=SimpleNamespace(name='ce'))
    good, bad = ({'loss': np.float32([1, 2, last, last])} for last in (3, np.nan))
    check_finite([0, 1], prepared, 2, 3, [good, good], [{}, {}])
    with pytest.raises(Diverged, match=r'seed 1 is not a number since step 42 \(stage ce, epoch 2\)'):
        check_finite([0, 1], prepared, 2, 3, [good, bad], [{}, {}])
    with pytest.raises(Diverged, match='seed 0 is not a number since step 43 '):
        check_finite([0], prepared, 2, 3, [good], [{'test_nll': np.inf}])
