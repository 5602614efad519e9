"""Checkpoints: what was saved comes back, what is damaged is noticed, a save that fails is told of."""
import pathlib
import shutil

import numpy as np
import orbax.checkpoint as ocp
import pytest

from ikd import checkpoint
from ikd.errors import InputError, Unwritable
from ikd.stages import State
from tests.small_run import assert_same


def make_state(step, width=16):
    """A State of noise, with an optimiser's nested tuples, after so many steps."""
    draw = np.random.default_rng(step)
    noise = lambda *shape: draw.normal(size=shape).astype(np.float32)
    params = {'conv': {'kernel': noise(3, 3, 8, width)}, 'dense': {'kernel': noise(64, 10), 'bias': noise(10)}}
    return State(np.uint32(0), np.int32(step), params, {'norm': {'mean': noise(16)}},
                 ((), ({'momentum': {'bias': noise(10)}}, np.int32(step))), {})


def save(workdir, *steps, rest=None, seed=0):
    """Save the states of these steps; the stage's folder."""
    with checkpoint.manager(workdir, seed, 0, 'warmup') as saved:
        for step in steps:
            checkpoint.save([saved], step, [make_state(step)], [rest])
    return pathlib.Path(saved.directory)


def newest(workdir, example=make_state(0)):
    """(State, rest) of the newest usable checkpoint of seed 0, by a manager that knows nothing of the saving."""
    with checkpoint.manager(workdir, 0, 0, 'warmup') as saved:
        found = checkpoint.newest([saved], [example])
    return found and found[0]


def test_what_was_saved_comes_back(tmp_path):
    """The tree as it was, with what is kept beside it, to the last bit; the last two are there, and nothing else."""
    assert newest(tmp_path) is None
    values = np.float32([1 / 3, np.pi])
    folder = save(tmp_path, 1, 2, 3, rest={'loss': values.tolist()})
    state, rest = newest(tmp_path)
    assert_same(state, make_state(3))
    np.testing.assert_array_equal(np.float32(rest['loss']), values)
    assert sorted(path.name for path in folder.iterdir()) == ['2', '3']
    assert_same(checkpoint.last_tree(tmp_path, 0)['params'], make_state(3).params)


def damages(file, content, draw):
    """(what was done, content) of a file emptied, cut in half, and, if it has data, with a bit turned, five times."""
    yield 'emptied', b''
    yield 'cut', content[:len(content) // 2]
    for _ in range(5 * (file.parent.name == 'd')):
        turned = bytearray(content)
        turned[draw.integers(len(turned))] ^= 1 << draw.integers(8)
        yield 'turned', bytes(turned)


def test_no_damage_goes_unnoticed(tmp_path, capsys):
    """Whatever is done to a file of the newest checkpoint, what is restored is it or the one before, in one line."""
    folder = save(tmp_path / 'good', 1, 2)
    passed, draw = [], np.random.default_rng(0)
    for file in sorted(path for path in (folder / '2').rglob('*') if path.is_file()):
        for what, content in damages(file, file.read_bytes(), draw):
            shutil.rmtree(tmp_path / 'bad', ignore_errors=True)
            shutil.copytree(tmp_path / 'good', tmp_path / 'bad')
            (tmp_path / 'bad' / file.relative_to(tmp_path / 'good')).write_bytes(content)
            state, _ = newest(tmp_path / 'bad')
            assert_same(state, make_state(int(state.step)))
            told = capsys.readouterr().err
            if state.step == 1:
                passed.append((file.parent.name, what))
                assert told.count('\n') == 1 and '0-warmup/2 is damaged' in told
            else:
                assert not told
    assert {('d', 'emptied'), ('d', 'cut'), ('d', 'turned'), ('default', 'emptied')} <= {*passed}


def test_the_checksum_sees_what_orbax_does_not(tmp_path, capsys):
    """A whole checkpoint whose contents are not what was saved: one weight, a type, a shape, a name, what is beside.

    Written by Orbax itself, so that nothing else can notice.
    """
    state = make_state(2)
    tree = checkpoint.sealed(state)
    kernel = state.params['dense']['kernel']
    nudged = kernel.copy()
    nudged[3, 4] = np.nextafter(nudged[3, 4], np.float32(9))
    dense = lambda **change: {**tree, 'params': {**state.params, 'dense': {**state.params['dense'], **change}}}
    for changed in [
        dense(kernel=nudged), dense(kernel=kernel.view(np.int32)), dense(kernel=kernel.reshape(10, 64)),
        {**tree, 'params': {'conv': state.params['conv'], 'tense': state.params['dense']}},
        {**tree, 'seal': {**tree['seal'], 'rest': np.frombuffer(b'[1]', np.uint8)}},
    ]:
        shutil.rmtree(tmp_path, ignore_errors=True)
        with checkpoint.manager(tmp_path, 0, 0, 'warmup') as saved:
            checkpoint.save([saved], 1, [make_state(1)], [None])
            saved.save(2, args=ocp.args.StandardSave(changed))
        assert newest(tmp_path)[0].step == 1
        assert 'is not what was saved' in capsys.readouterr().err


def test_if_none_is_whole_one_line_says_what_to_remove(tmp_path):
    folder = save(tmp_path, 1, 2)
    for step in '1', '2':
        shutil.rmtree(folder / step / 'default')
    with pytest.raises(InputError) as caught:
        newest(tmp_path)
    assert str(caught.value) == (
        f'the checkpoint {folder}/2 is damaged (it cannot be read), and there is none before it to go on from; '
        f'remove {folder}, and the stage is trained again')
    assert sorted(path.name for path in folder.iterdir()) == ['1', '2']
    shutil.rmtree(folder)
    assert newest(tmp_path) is None


def test_a_folder_that_orbax_cannot_open(tmp_path):
    folder = save(tmp_path, 1, 2)
    (folder / '2' / '_CHECKPOINT_METADATA').write_text('{"metrics": 3}')
    with pytest.raises(InputError, match='0-warmup is damaged .* remove the newest folder there'):
        newest(tmp_path)
    shutil.rmtree(folder / '2')
    assert newest(tmp_path)[0].step == 1


def test_the_last_network_is_there_whatever_the_one_before_it_is(tmp_path):
    folder = save(tmp_path, 1, 2)
    (folder / '1' / '_CHECKPOINT_METADATA').write_text('{"metrics": 3}')
    tree = checkpoint.last_tree(tmp_path, 0)
    assert tree['step'] == 2
    assert_same(tree['params'], make_state(2).params)


@pytest.mark.parametrize('index', [9, 10])
def test_the_last_network_is_that_of_the_largest_numbers(tmp_path, index):
    """Not of the last names: step 12 comes after 8, stage 10 after 9, whichever was written last."""
    for stage in index, 19 - index:
        with checkpoint.manager(tmp_path, 0, stage, 'part') as saved:
            for step in 8, 12:
                checkpoint.save([saved], step, [make_state(100 * stage + step)], [None])
    assert checkpoint.last_tree(tmp_path, 0)['step'] == 1012


def test_of_another_network(tmp_path):
    """Orbax would give the saved shapes for those that are asked for."""
    save(tmp_path, 1)
    with pytest.raises(InputError, match='is of another network, and there is none before it'):
        newest(tmp_path, make_state(0, width=8))


def test_what_a_kill_leaves_of_a_save_is_cleared_away(tmp_path):
    """And so is an old one of which a kill left a part: it is the older of two, never the one that is needed."""
    folder = save(tmp_path, 1, 2)
    (folder / '3.orbax-checkpoint-tmp' / 'default.orbax-checkpoint-tmp').mkdir(parents=True)
    shutil.rmtree(folder / '1' / 'default')
    assert newest(tmp_path)[0].step == 2
    save(tmp_path, 3, 4)
    assert sorted(path.name for path in folder.iterdir()) == ['3', '4']


def test_checkpoints_of_earlier_versions_have_no_checksum(tmp_path):
    with checkpoint.manager(tmp_path, 0, 0, 'warmup') as saved:
        saved.save(7, args=ocp.args.StandardSave(make_state(2)._asdict()))
    state, rest = newest(tmp_path)
    assert_same(state, make_state(2))
    assert rest is None


def test_a_damaged_last_checkpoint_of_a_finished_run(tmp_path):
    folder = save(tmp_path, 1)
    shutil.rmtree(folder / '1' / 'default')
    with pytest.raises(InputError, match=f'warmup/1 is damaged .* remove {tmp_path}/summary.json'):
        checkpoint.last_tree(tmp_path, 0)
    shutil.rmtree(folder / '1')
    for seed in 0, 5:
        with pytest.raises(InputError, match=f'no checkpoint of seed {seed} any more'):
            checkpoint.last_tree(tmp_path, seed)


@pytest.mark.parametrize('last', [True, False])
def test_a_save_that_fails_in_the_background(small_disk, last):
    """On a full disk; also if nothing is saved after it. The one before it stays, and with more room it goes on."""
    folder, resize = small_disk(1)
    state = make_state(3)._replace(extra={'noise': np.random.default_rng(0).normal(size=200_000)})
    with pytest.raises(Unwritable) as caught:
        with checkpoint.manager(folder, 0, 0, 'warmup') as saved:
            checkpoint.save([saved], 2, [make_state(2)], [None])
            checkpoint.save([saved], 3, [state], [None])
            if not last:
                checkpoint.save([saved], 4, [make_state(4)], [None])
    assert str(caught.value) == f'cannot save a checkpoint to {saved.directory} (No space left on device)'
    resize(9)
    assert_same(newest(folder)[0], make_state(2))
    save(folder, 3, 4)
    assert newest(folder)[0].step == 4
