"""Seeds trained together go on together, whatever a kill has left of each; those trained apart lose nothing."""
import shutil

import jax
import pytest

from configs import digits as digits_config
from ikd import checkpoint, experiment
from ikd.errors import InputError, Stopped
from ikd.journal import read_records
from tests.test_checkpoint import make_state, save


def test_seeds_trained_together_go_on_from_the_same_step(tmp_path, capsys):
    """The newest that both have, and that is whole in both; what comes after it is deleted."""
    first, second = save(tmp_path, 2, 3, seed=0), save(tmp_path, 1, 2, seed=1)
    with checkpoint.manager(tmp_path, 0, 0, 'warmup') as one, checkpoint.manager(tmp_path, 1, 0, 'warmup') as other:
        found = checkpoint.newest([one, other], [make_state(0)] * 2)
        assert [int(state.step) for state, _ in found] == [2, 2] and one.all_steps() == [2]
    save(tmp_path, 3, seed=0)
    save(tmp_path, 3, seed=1)
    shutil.rmtree(second / '3' / 'default')
    with checkpoint.manager(tmp_path, 0, 0, 'warmup') as one, checkpoint.manager(tmp_path, 1, 0, 'warmup') as other:
        found = checkpoint.newest([one, other], [make_state(0)] * 2)
        assert [int(state.step) for state, _ in found] == [2, 2] and not (first / '3').exists()
    assert capsys.readouterr().err.count('seed1/0-warmup/3 is damaged') == 1


def newest_of_two(workdir, interval):
    """The steps from which seeds 0 and 1 go on together, or None."""
    with checkpoint.manager(workdir, 0, 0, 'warmup') as one, checkpoint.manager(workdir, 1, 0, 'warmup') as other:
        found = checkpoint.newest([one, other], [make_state(0)] * 2, interval=interval)
    return found and [int(state.step) for state, _ in found]


def test_a_kill_between_the_first_saves_of_two_seeds(tmp_path, capsys):
    """They begin anew, as what is lost is what every kill may cost; a line tells of it."""
    assert newest_of_two(tmp_path, 4) is None and not capsys.readouterr().err
    folder = save(tmp_path, 4, seed=0)
    assert newest_of_two(tmp_path, 4) is None
    assert capsys.readouterr().err == (f'ikd: going on without {folder}/4, as the seeds to train together have '
                                       'no checkpoint of 0-warmup in common; they begin it anew\n')
    assert not (folder / '4').exists() and newest_of_two(tmp_path, 4) is None and not capsys.readouterr().err


@pytest.mark.parametrize('first, second, lost', [
    ([36, 40], [], ['seed0/0-warmup/40']), ([], [5], ['seed1/0-warmup/5']),
    ([10, 12], [], ['seed0/0-warmup/12']), ([36, 40], [8, 12], ['seed0/0-warmup/40', 'seed1/0-warmup/12']),
    ([36, 40], [28, 32], ['seed0/0-warmup/40', 'seed1/0-warmup/32'])])
def test_seeds_that_were_trained_apart_lose_nothing(tmp_path, first, second, lost):
    """They are refused together, nothing is deleted, and a line says what to do."""
    folders = [save(tmp_path, *steps, seed=seed) for seed, steps in enumerate((first, second))]
    with pytest.raises(InputError) as caught:
        newest_of_two(tmp_path, 4)
    lost = [tmp_path / 'checkpoints' / path for path in lost]
    names, there = (' and '.join(map(str, paths)) for paths in (lost, [path.parent for path in lost]))
    assert str(caught.value) == (
        f'{names} would be lost, as the seeds to train together have no checkpoint of 0-warmup in common; train them '
        'one after another (config.parallel=data, config.together=1; --together=1 of ikd.reproduce), or remove '
        f'{there}, and what was there is trained again')
    for folder, steps in zip(folders, (first, second)):
        assert sorted(int(path.name) for path in folder.iterdir()) == steps
    for path in lost:
        shutil.rmtree(path.parent)
    assert newest_of_two(tmp_path, 4) is None


def test_a_seed_in_a_later_stage_does_not_begin_an_earlier_one_anew_for_another(tmp_path):
    """Its journal would lose what its checkpoints have reached; whether it has a checkpoint of the earlier or not."""
    with checkpoint.manager(tmp_path, 0, 1, 'student') as saved:
        checkpoint.save([saved], 2, [make_state(2)], [None])
    for steps in (), (1,):
        save(tmp_path, *steps, seed=0)
        with pytest.raises(InputError, match='0/1-student/2 would .* of 0-warmup .* remove .*/seed0/1-student, and'):
            newest_of_two(tmp_path, 4)
    save(tmp_path, 1, seed=1)
    assert newest_of_two(tmp_path, 4) == [1, 1]


def test_no_seed_is_saved_before_the_last_saves_of_all_are_whole(tmp_path):
    """Else a kill could leave one two saves before the other, which keeps the last two: none in common."""
    class Manager:
        directory = tmp_path

        def wait_until_finished(self):
            done.append('whole')

        def save(self, step, args):
            done.append('saved')

    done = []
    checkpoint.save([Manager(), Manager()], 1, [make_state(1)] * 2, [None] * 2)
    assert done == ['whole', 'whole', 'saved', 'saved']


def run(workdir, stop=lambda: False, **fields):
    """Train seeds of an MLP for three epochs on one device, each a call of two steps."""
    config = digits_config.get_config('ce,smoke')
    config.update_from_flattened_dict({'model.name': 'mlp', 'data.size': 8, 'data.limit': 64, 'epochs': 3,
                                       'checkpoint_every': 1, **fields})
    return experiment.run(config, workdir, jax.devices()[:1], stop=stop)


def stop_after(epochs):
    """A stop() that says so after so many: it is asked before the seed, and twice in each epoch."""
    asked = []
    return lambda: asked.append(1) or len(asked) == 1 + 2 * epochs


TOGETHER = {'trials': 2, 'parallel': 'trials', 'together': 2}


@pytest.mark.usefixtures('without_pictures')
def test_a_run_killed_between_the_first_saves_goes_on_by_itself(tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path / 'run', stop_after(1), **TOGETHER)
    shutil.rmtree(tmp_path / 'run' / 'checkpoints' / 'seed1' / '0-ce' / '2')
    run(tmp_path / 'run', **TOGETHER)
    assert [record['epoch'] for record in read_records(tmp_path / 'run', 0)] == [1, 2, 3]


@pytest.mark.usefixtures('without_pictures')
def test_a_seed_stopped_alone_is_not_begun_anew_for_another(tmp_path):
    """Two epochs are more than a kill may cost; one after another both are trained to the end, none twice."""
    with pytest.raises(Stopped):
        run(tmp_path / 'run', stop_after(2))
    before = read_records(tmp_path / 'run')
    with pytest.raises(InputError, match='seed0/0-ce/4 would be lost'):
        run(tmp_path / 'run', **TOGETHER)
    assert read_records(tmp_path / 'run') == before
    assert len(run(tmp_path / 'run', trials=2)['trials']) == 2
    assert read_records(tmp_path / 'run', 0)[:2] == before
