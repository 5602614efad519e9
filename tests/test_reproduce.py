"""A grid from one command: in which order it is run, divided, measured, stopped, refused.

A quick stand-in for `experiment.run` trains nothing.
"""
import os
import pathlib
import signal
import sys
import time

import jax
import pytest

from ikd import experiment, reproduce
from ikd.errors import Apart, Diverged, InputError, OutOfMemory, Stopped
from ikd.grid import cell_name, write_cell
from tests.tiny_grid import CONFIG, finished, one_device, reproduced

NOT_WRITABLE = '/proc/self'  # a folder in which nobody, not even root, can make a file

TRIAL = 'seed', 'test_accuracy', 'test_nll', 'test_ece', 'train_seconds'


@pytest.fixture(scope='module', autouse=True)
def settings():
    with one_device():
        yield


@pytest.fixture
def quick(monkeypatch):
    """A stand-in for training: the list of (method, seeds, config, directory) that it was asked for."""
    asked = []

    def run(config, workdir, seeds, finished, stop):
        asked.append((config.method.name, seeds, config, workdir))
        trials = [{'seed': seed, 'test_accuracy': 90.0 + len(asked) % 3 + seed, 'test_nll': 0.1, 'test_ece': 0.01,
                   'train_seconds': 60.0} for seed in seeds]
        finished({'trials': trials, 'train_images': 9, 'test_images': 8, 'git_commit': None, 'versions': {'jax': '1'},
                  'device': {'platform': 'cpu', 'kind': 'cpu', 'count': 1}})

    monkeypatch.setattr(experiment, 'run', run)
    return asked


def test_time_is_up_before_a_cell(tmp_path, quick, capsys):
    """Exit code 0, and the table of what there is."""
    assert reproduced(tmp_path, '--minutes=0') == 0 and not quick
    shown = capsys.readouterr()
    assert 'time is up, 3 of 3 left; go on with: ' in shown.err
    assert '| CE | 97.00 +- 0.10 | not run |  | 0 |' in shown.out


def test_a_signal_stops_the_grid(tmp_path, quick, capsys, monkeypatch):
    """In a cell or between two: exit code 0, the table of what there is; afterwards signals mean what they meant."""
    run, before = experiment.run, signal.getsignal(signal.SIGTERM)

    def interrupted(*args, stop, **more):
        os.kill(os.getpid(), signal.SIGTERM)
        limit = time.monotonic() + 60
        while not stop():
            assert time.monotonic() < limit
            time.sleep(0.01)
        if quick:
            raise Stopped('stopped in epoch 1 of 2, after step 1 of 4')
        run(*args, stop=stop, **more)

    monkeypatch.setattr(experiment, 'run', interrupted)
    for message in ('asked to stop, 2 of 3 left; go on with: ',
                    ' stopped in epoch 1 of 2, after step 1 of 4, all saved; go on with: '):
        assert reproduced(tmp_path) == 0 and len(finished(tmp_path)) == 1
        shown = capsys.readouterr()
        assert message in shown.err and '| CE |' in shown.out
        assert signal.getsignal(signal.SIGTERM) == before


def test_the_order_of_running(tmp_path, quick, capsys):
    """All cells of a seed, relatives in a row, before the next seed; what has a file is not asked for again."""
    assert reproduced(tmp_path, trials=2) == 0
    assert [seeds for _, seeds, *_ in quick] == [[0]] * 3 + [[1]] * 3
    assert [method for method, *_ in quick[:3]] in (['ce', 'le_uniform', 'le'], ['le_uniform', 'le', 'ce'])
    assert ', seed 1, about 3 min left' in capsys.readouterr().err
    for method, _, config, directory in quick:
        assert directory == tmp_path / 'runs' / cell_name(config) and f'-{method}-' in directory.name
        assert config.store == str(tmp_path / 'runs' / 'store') and config.parallel == 'data' and config.seed == 0
    assert reproduced(tmp_path, trials=3) == 0
    assert [seeds for _, seeds, *_ in quick[6:]] == [[2]] * 3


def test_the_time_left_is_judged_by_trials_on_such_a_device(tmp_path, quick, capsys):
    """Those of another platform tell nothing."""
    assert reproduced(tmp_path) == 0
    for path in (tmp_path / 'results' / 'cells').glob('*.json'):
        path.write_text(path.read_text().replace('"platform": "cpu"', '"platform": "gpu"'))
    capsys.readouterr()
    assert reproduced(tmp_path, trials=2) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith('[')]
    assert [line.split(', seed 1')[1] for line in told] == ['', ', about 2 min left', ', about 1 min left']


def test_a_fresh_clone_runs_only_what_is_missing(tmp_path, quick, capsys):
    assert reproduced(tmp_path, trials=2) == 0
    (missing,) = (tmp_path / 'results' / 'cells').glob('*-ce-*-0.json')
    missing.unlink()
    capsys.readouterr()
    assert reproduced(tmp_path, '--render', trials=2) == 0 and len(quick) == 6
    assert 'Not run yet, by seed: CE (0).' in capsys.readouterr().out
    assert reproduced(tmp_path, trials=2) == 0
    assert [(method, seeds) for method, seeds, *_ in quick[6:]] == [('ce', [0])]


def test_parts_rows_and_columns(tmp_path, quick):
    assert reproduced(tmp_path, '--cells=1/2') == 0
    assert [method for method, *_ in quick] == ['le_uniform', 'le']
    assert reproduced(tmp_path, '--cells=2/2', '--trials=2') == 0
    assert [(method, seeds) for method, seeds, *_ in quick[2:]] == [('ce', [0]), ('ce', [1])]
    assert reproduced(tmp_path, '--rows=CE,LE(Grad)', '--columns=MLP', '--trials=2') == 0
    assert [(method, seeds) for method, seeds, *_ in quick[4:]] == [('le', [1])]


def test_seeds_trained_together(tmp_path, quick):
    assert reproduced(tmp_path, '--together=2', '--rows=CE', trials=3) == 0
    assert [(seeds, config.parallel) for _, seeds, config, _ in quick] == [([0, 1], 'trials'), ([2], 'trials')]
    assert [record['seed'] for record in finished(tmp_path).values()] == [0, 1, 2]


def test_neither_saved_nor_tested_more_often_than_is_of_use(tmp_path, quick):
    assert reproduced(tmp_path, '--rows=CE', text=CONFIG.replace("'epochs': 2", "'epochs': 160")) == 0
    assert [(config.checkpoint_every, config.test_every) for _, _, config, _ in quick] == [(10, 10)]


def test_what_a_cell_measures(tmp_path, quick):
    """Of the run's directory and the seed; also where a file is there that lacks it."""
    assert reproduced(tmp_path, '--rows=CE') == 0 and 'measured' not in [*finished(tmp_path).values()][0]
    measured = CONFIG.replace('(97.0, 0.1))', '(97.0, 0.1), lambda directory, seed: {str(directory): seed})')
    for _ in range(2):
        assert reproduced(tmp_path, '--rows=CE', text=measured) == 0
    (record,) = finished(tmp_path).values()
    assert record['measured'] == {f"{tmp_path}/runs/{record['cell']}": 0} and len(quick) == 2


def test_what_was_measured_is_kept(tmp_path, quick, capsys):
    """A command that has read a cell's file before another one measured writes it anew; a network that was trained
    anew, in another workdir, is told of, and what was measured of the old one goes."""
    measured = CONFIG.replace('(97.0, 0.1))', '(97.0, 0.1), lambda directory, seed: {"maps": 3})')
    assert reproduced(tmp_path, '--rows=CE', text=measured) == 0
    cell, (record,) = reproduce.load(f'{tmp_path}/tiny.py').cells[0], finished(tmp_path).values()
    summary = {**record, 'trials': [{name: record[name] for name in TRIAL}],
               'train_images': 9, 'test_images': 8}
    assert write_cell(tmp_path / 'results', cell, summary, 0)['measured'] == {'maps': 3}
    summary['trials'][0]['test_accuracy'] = 12.0
    assert 'measured' not in write_cell(tmp_path / 'results', cell, summary, 0)
    capsys.readouterr()
    assert reproduced(tmp_path, '--rows=CE', text=measured) == 0
    told = capsys.readouterr().err
    assert 'CE, seed 0: trained anew' in told and '92.00 % in the place of 12.00' in told


def test_a_seed_that_diverges_leaves_the_others(tmp_path, quick, monkeypatch, capsys):
    """Of seeds trained together: they are tried again one by one."""
    run = experiment.run

    def diverging(config, workdir, seeds, **more):
        if 1 in seeds:
            raise Diverged('the loss of seed 1 is not a number')
        run(config, workdir, seeds, **more)

    monkeypatch.setattr(experiment, 'run', diverging)
    assert reproduced(tmp_path, '--together=3', '--rows=CE', trials=3) == 1
    assert [record['seed'] for record in finished(tmp_path).values()] == [0, 2]
    assert capsys.readouterr().err.count('ikd: ') == 1


def test_seeds_that_have_come_apart_are_trained_one_by_one(tmp_path, quick, monkeypatch, capsys):
    """As after a command that was cut while it tried seeds of which one had diverged one by one."""
    run = experiment.run

    def apart(config, workdir, seeds, **more):
        if len(seeds) > 1:
            raise Apart('checkpoints would be lost')
        run(config, workdir, seeds, **more)

    monkeypatch.setattr(experiment, 'run', apart)
    assert reproduced(tmp_path, '--together=3', '--rows=CE', trials=3) == 0
    assert [record['seed'] for record in finished(tmp_path).values()] == [0, 1, 2]
    assert 'would be lost' not in capsys.readouterr().err


def test_a_cell_that_diverges_stops_no_other(tmp_path, quick, capsys, monkeypatch):
    run = experiment.run

    def diverging(config, *rest, **more):
        if config.method.name == 'le_uniform':
            raise Diverged('the loss of seed 0 is not a number')
        run(config, *rest, **more)

    monkeypatch.setattr(experiment, 'run', diverging)
    assert reproduced(tmp_path) == 1 and len(finished(tmp_path)) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('ikd: digits-mlp-le_uniform-') and last.endswith(': the loss of seed 0 is not a number')


def test_seeds_with_no_room_together_are_trained_one_by_one(tmp_path, quick, capsys, monkeypatch):
    """And a cell that has none by itself stops no other."""
    run = experiment.run

    def crowded(config, workdir, seeds, **more):
        if len(seeds) > 1 or config.method.name == 'le_uniform':
            raise OutOfMemory('the device has not enough memory')
        run(config, workdir, seeds, **more)

    monkeypatch.setattr(experiment, 'run', crowded)
    assert reproduced(tmp_path, '--together=2', trials=2) == 1
    assert sorted(record['seed'] for record in finished(tmp_path).values()) == [0, 0, 1, 1]
    *_, first, second = capsys.readouterr().err.splitlines()
    assert all(line.startswith('ikd: digits-mlp-le_uniform-') and 'has not enough memory' in line
               for line in (first, second))


def test_other_errors_of_the_device_end_a_grid(tmp_path, quick, monkeypatch):
    def broken(*_, **__):
        raise jax.errors.JaxRuntimeError('INTERNAL: no driver')

    monkeypatch.setattr(experiment, 'run', broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match='no driver'):
        reproduced(tmp_path, '--together=2', trials=2)


def test_the_folder_of_data(tmp_path, quick):
    """As it is, whatever is in it: readers look for a folder of the set's name, official files' and TFDS's alike."""
    (tmp_path / 'data' / 'digits').mkdir(parents=True)
    reproduced(tmp_path, f'--data={tmp_path}/data', '--rows=CE')
    assert [config.data.dir for _, _, config, _ in quick] == [f'{tmp_path}/data']


def test_images_of_ones_own_are_part_of_a_cells_name(tmp_path, quick, capsys):
    """Two folders of images: what is done of one is not taken for the other's."""
    text = CONFIG.replace("config = common.digits()", "config = common.digits(); config.data.name = 'folder'")
    for folder, images in ('a', 'ab'), ('b', 'cd'):
        for name in images:
            (tmp_path / folder / name).mkdir(parents=True)
            for image in '12':
                (tmp_path / folder / name / f'{image}.png').write_bytes(name.encode())
        reproduced(tmp_path, f'--data={tmp_path}/{folder}', '--rows=CE', text=text)
    assert len(quick) == len({directory for *_, directory in quick}) == len(finished(tmp_path)) == 2


@pytest.mark.parametrize('arguments, message', [
    (['--config=nowhere.py'], "there is no file nowhere.py; ikd's own are in configs/"),
    (['--config=README.md'], 'README.md is no Python file'),
    (['--config=configs/le_digits.py'], r'has no function grid\(argument\); python -m ikd.main'),
    (['--config=configs/tables/table3.py:smok', '--render'], "unknown argument 'smok'"),
    (['--config=configs/tables/table3.py'], 'no --workdir; give a folder'),
    (['--config=configs/tables/table3.py', '--workdir=x', '--cells=3/2'], '--cells=3/2: give i/n'),
    (['--config=configs/tables/table3.py', '--workdir=x', '--rows=CE,KD'], "no 'KD'; choose from CE, Dropout"),
    (['--config=configs/tables/table3.py', '--workdir=x', '--columns=CNN'], "--columns: no 'CNN'; choose from MLP"),
    (['--config=configs/tables/table3.py', '--workdir=x', '--rows='], "--rows: no ''; choose from CE"),
    (['--config=configs/tables/table3.py', '--workdir=x', '--minutes=nan'], '--minutes=nan: give a number'),
    (['--config=configs/tables/table3.py', '--workdir=x', '--minutes=-1'], '--minutes=-1.0: give a number'),
    (['--config=configs/tables/table3.py', '--workdir=x', '--data=nowhere'], 'nowhere'),
    (['--config=configs/tables/table3.py', '--workdir=x', '--trials=0'], '--trials=0: give at least 1'),
    (['--config=configs/tables/table3.py', '--workdir=x', '--together=0'], '--together=0: give at least 1'),
])
def test_bad_input(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        reproduce.main([*arguments, f'--results={tmp_path}/results'])
    assert '\n' not in str(error.value) and not pathlib.Path('x').exists()


@pytest.mark.parametrize('config', ['tables/table3', 'figures/figure2', 'figures/figure3', 'searches/cwtm'])
def test_results_that_cannot_be_written(config, tmp_path):
    """To train, or only to render: before anything is trained, also where only a new file shows it."""
    (tmp_path / 'file').write_text('in the way')
    for flag in f'--workdir={tmp_path}/runs', '--render':
        for place in tmp_path / 'file', NOT_WRITABLE:
            with pytest.raises(InputError, match=f'cannot write to {place} .*; choose another --results'):
                reproduce.main([f'--config=configs/{config}.py', flag, f'--results={place}'])
    assert not (tmp_path / 'runs').exists()


def test_the_command_line_exits_with_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['ikd.reproduce', '--config=nowhere.py'])
    with pytest.raises(SystemExit, match='2'):
        reproduce.cli()
    shown = capsys.readouterr().err
    assert shown.count('\n') == 1 and shown.startswith('ikd: there is no file nowhere.py')
