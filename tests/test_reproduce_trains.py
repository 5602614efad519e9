"""A grid whose cells are truly trained: what is run and written, cut and gone on with."""
import json

import pytest

from ikd import checkpoint, reproduce
from ikd.grid import cell_name
from ikd.journal import read_records
from tests.tiny_grid import CONFIG, finished, one_device, reproduced

pytestmark = pytest.mark.usefixtures('without_pictures')


@pytest.fixture(scope='module', autouse=True)
def settings():
    with one_device():
        yield


def lasting(record):
    """What of a cell's file does not depend on when and how fast it was trained."""
    return {name: value for name, value in record.items() if name not in ('finished', 'train_seconds')}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The folder of a truly trained grid that nothing happened to."""
    folder = tmp_path_factory.mktemp('whole')
    assert reproduced(folder) == 0
    return folder


def test_every_cell_and_the_table(whole, capsys, count_epochs):
    cells = finished(whole)
    result = json.loads((whole / 'results' / 'tiny.json').read_text())
    assert {row['cell']: row['mean'] for row in result['rows']} == {
        record['cell']: record['test_accuracy'] for record in cells.values()} and len(cells) == 3
    assert [(c['row'], c['reference']) for c in result['comparisons']] == [
        ('LE-Uniform', 'CE'), ('LE(Grad)', 'CE'), ('LE(Grad)', 'LE-Uniform')]
    assert reproduced(whole, '--render') == 0
    shown = capsys.readouterr().out
    assert (whole / 'results' / 'tiny.md').read_text() == shown and '- a note' in shown
    assert len((whole / 'results' / 'tiny.csv').read_text().splitlines()) == 4
    assert reproduced(whole) == 0 and not count_epochs
    assert 'nothing to train' in capsys.readouterr().err


def test_relatives_share_their_warm_up(whole):
    """It was trained once: 2 + 2 + 1 epochs. What a file says is what the run says."""
    assert [path.name[:6] for path in (whole / 'runs' / 'store').iterdir()] == ['warmup']
    records = {path.parent.name: read_records(path.parent) for path in (whole / 'runs').glob('*/metrics.jsonl')}
    assert sum('stored' not in record for of_cell in records.values() for record in of_cell) == 5
    for record in finished(whole).values():
        assert record['test_nll'] == records[record['cell']][-1]['test_nll']


@pytest.mark.parametrize('stop_after', [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 1, 3, 4))])
def test_cut_at_any_moment_it_goes_on(whole, tmp_path, count_epochs, stop_after):
    count_epochs.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        reproduced(tmp_path)
    count_epochs.stop_after = None
    assert reproduced(tmp_path) == 0 and len(count_epochs) == 5
    assert {name: lasting(record) for name, record in finished(tmp_path).items()} == {
        name: lasting(record) for name, record in finished(whole).items()}


def test_time_is_up_in_a_cell(whole, tmp_path, count_epochs, capsys, monkeypatch):
    """An epoch takes a minute here: after one the first trial of two epochs stops, and the next command goes on."""
    monkeypatch.setattr(reproduce, 'now', lambda: 60.0 * len(count_epochs))
    for epochs, after in (1, 1), (2, None):
        assert reproduced(tmp_path, '--minutes=1', '--rows=CE') == 0
        assert len(count_epochs) == epochs and len(finished(tmp_path)) == epochs - 1
        assert (f'stopped after epoch {after} of 2' in capsys.readouterr().err) == (after is not None)
    assert all(lasting(record) == lasting(finished(whole)[name]) for name, record in finished(tmp_path).items())


def test_a_cell_that_another_command_trains_is_left_to_it(tmp_path, capsys):
    """Two tables that share it are run in one workdir at once."""
    (tmp_path / 'tiny.py').write_text(CONFIG.replace('TRIALS', '1'))
    name = cell_name(reproduce.load(f'{tmp_path}/tiny.py').cells[0].config)
    with checkpoint.trained_here(tmp_path / 'runs' / name, 0):
        assert reproduced(tmp_path, '--rows=CE,LE-Uniform') == 1
    assert [record['cell'] for record in finished(tmp_path).values()] != [name] and len(finished(tmp_path)) == 1
    assert f'ikd: {name}: seed 0 of {tmp_path}/runs/{name} is being trained by another process; wait' in (
        capsys.readouterr().err)


def test_a_cell_whose_run_is_damaged_does_not_keep_others(tmp_path, count_epochs, capsys):
    """Its only checkpoint is; the first cell is left, the second is trained, and a line says what to do."""
    count_epochs.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        reproduced(tmp_path, '--rows=CE')
    count_epochs.stop_after = None
    (run,) = (path for path in (tmp_path / 'runs').iterdir() if path.name != 'store')
    for path in (run / 'checkpoints').rglob('*'):
        if path.is_file() and path.stat().st_size > 100:
            path.write_bytes(bytes(path.stat().st_size))
    capsys.readouterr()
    assert reproduced(tmp_path, '--rows=CE,LE-Uniform') == 1
    assert [record['cell'] for record in finished(tmp_path).values()] != [run.name] and len(finished(tmp_path)) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith('ikd:')]
    assert len(told) == 1 and told[0].startswith(f'ikd: {run.name}: ') and 'damaged' in told[0]
