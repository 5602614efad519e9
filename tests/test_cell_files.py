"""The files of finished cells: what they hold, which are damaged or of something else, and when a trial is done."""
import copy
import json

import flax.linen as nn
import pytest

from ikd.config import flatten
from ikd.errors import InputError
from ikd.files import temporary
from ikd.grid import (
    cell_name,
    cell_path,
    drawn,
    is_done,
    measured_of,
    picture_path,
    read_cell,
    read_cells,
    write_cell,
)
from ikd.models import MODELS
from ikd.tables.sources import steps_of
from ikd.validation import resolve, usual
from tests.small_grid import SUMMARY, small


def test_a_cells_file(tmp_path):
    cell = small('le').cells[0]
    assert read_cell(tmp_path, cell, 3) is None
    write_cell(tmp_path, cell, SUMMARY, 3, {'similarity': 0.5})
    name = cell_name(cell.config)
    record = json.loads((tmp_path / 'cells' / f'{name}-3.json').read_text())
    assert read_cell(tmp_path, cell, 3) == record
    assert {field: record[field] for field in ('cell', 'seed', 'test_accuracy', 'git_commit', 'precision', 'measured',
                                               'data', 'device', 'versions', 'train_seconds')} == {
        'cell': name, 'seed': 3, 'test_accuracy': 97.5, 'git_commit': 'abc', 'precision': 'float32',
        'measured': {'similarity': 0.5},
        'data': {'name': 'digits', 'train_images': 100, 'test_images': 50, 'checksum': 'c0ffee'},
        'device': SUMMARY['device'], 'versions': {'jax': '1'}, 'train_seconds': 4.0}
    assert record['schedule'] == [{'stage': 'warmup', 'epochs': 32}, {'stage': 'introspective', 'epochs': 128}]
    assert record['config'] == {field: value for field, value in flatten(resolve(cell.config)).items()
                                if field in record['config']} and 'seed' not in record['config']
    temporary(cell_path(tmp_path, name, 4)).write_text('{')  # what a crash leaves
    assert read_cells(tmp_path, small('le')) == {name: {3: record}}


def test_what_two_tables_measure_of_a_network_is_kept(tmp_path):
    """Until it is another network, by its accuracy."""
    cell, other = small('le').cells[0], copy.deepcopy(SUMMARY)
    write_cell(tmp_path, cell, SUMMARY, 3, {'similarity': 0.5})
    both = {'similarity': 0.5, 'likeness': 0.1}
    assert write_cell(tmp_path, cell, SUMMARY, 3, {'likeness': 0.1})['measured'] == both
    assert len(write_cell(tmp_path, cell, SUMMARY, 3)['measured']) == 2
    (trial,) = [trial for trial in other['trials'] if trial['seed'] == 3]
    trial['test_accuracy'] = 1.0
    assert write_cell(tmp_path, cell, other, 3, {'likeness': 0.2})['measured'] == {'likeness': 0.2}
    assert 'measured' not in write_cell(tmp_path, cell, SUMMARY, 3)
    for measured in {}, {'likeness': 0.3}, {'likeness': 0.4}:  # one that finds nothing has measured, too
        assert write_cell(tmp_path, cell, SUMMARY, 3, measured)['measured'] == measured


@pytest.mark.parametrize('text', ['', '{', '[]', '{"seed": 3}', '{"seed": 3, "test_accuracy": 90, "config": {}}'])
def test_a_damaged_file_is_one_line(tmp_path, text):
    cell = small('le').cells[0]
    path = cell_path(tmp_path, cell_name(cell.config), 3)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError, match=f'{path.name} is damaged; remove it') as error:
        read_cell(tmp_path, cell, 3)
    assert '\n' not in str(error.value)


def test_a_file_without_what_tables_tell_is_damaged(tmp_path):
    cell = small('le').cells[0]
    path = cell_path(tmp_path, cell_name(cell.config), 3)
    record = write_cell(tmp_path, cell, SUMMARY, 3)
    assert read_cell(tmp_path, cell, 3) == record
    harmed = [{key: value for key, value in record.items() if key != name} for name in ('test_nll', 'device')]
    harmed += [{**record, name: value} for name, value in (
        ('test_nll', 'low'), ('data', {'name': 'digits'}), ('schedule', [{'stage': 'ce'}]), ('schedule', 'ce 2'),
        ('device', {'count': 1, 'kind': 'cpu'}), ('versions', []), ('measured', [1]))]
    for harm in harmed:
        path.write_text(json.dumps(harm))
        with pytest.raises(InputError, match='is damaged; remove it'):
            read_cell(tmp_path, cell, 3)


def test_the_file_of_an_older_version_lacks_fields(tmp_path):
    """Those have their defaults there, also in what a table tells of its training."""
    cell = small('le').cells[0]
    record = write_cell(tmp_path, cell, SUMMARY, 3)
    told = steps_of(record)
    record['config'] = {field: value for field, value in record['config'].items() if value != usual().get(field)}
    cell_path(tmp_path, cell_name(cell.config), 3).write_text(json.dumps(record))
    assert steps_of(read_cell(tmp_path, cell, 3)) == told


@pytest.mark.parametrize('field, value', [('seed', 2), ('test_accuracy', 100.5), ('test_accuracy', -1.0),
                                          ('test_accuracy', float('nan')), ('test_accuracy', None), ('config', [])])
def test_a_whole_file_of_another_seed_or_of_no_accuracy_is_damaged(field, value, tmp_path):
    """All else is there, so that it is this that is seen."""
    cell = small('le').cells[0]
    record = write_cell(tmp_path, cell, SUMMARY, 3)
    cell_path(tmp_path, cell_name(cell.config), 3).write_text(json.dumps({**record, field: value}))
    with pytest.raises(InputError, match='is damaged; remove it'):
        read_cell(tmp_path, cell, 3)


def test_seeds_are_found_in_rising_order(tmp_path):
    grid, seeds = small('le'), [10, 9, 3, 100, 0, 21, 2, 1]
    for seed in seeds:
        write_cell(tmp_path, grid.cells[0], {**SUMMARY, 'trials': [{**SUMMARY['trials'][0], 'seed': seed}]}, seed)
    (found,) = read_cells(tmp_path, grid).values()
    assert [*found] == sorted(seeds)


@pytest.mark.parametrize('accuracy', [0.0, 100.0])
def test_none_and_all_right_are_accuracies(accuracy, tmp_path):
    cell, trial = small('le').cells[0], {**SUMMARY['trials'][0], 'test_accuracy': accuracy}
    record = write_cell(tmp_path, cell, {**SUMMARY, 'trials': [trial]}, 3)
    assert read_cell(tmp_path, cell, 3) == record


def test_a_trial_whose_picture_is_not_there_is_not_done(tmp_path):
    """That of seed 0, of which it is; the other seeds are, and cells without a picture."""
    grid = small('ce', 'le')
    grid = grid._replace(cells=(grid.cells[0]._replace(picture=lambda directory, seed: None), grid.cells[1]))
    with_picture, without = (cell_name(cell.config) for cell in grid.cells)
    found = {with_picture: {0: {}, 1: {}}, without: {0: {}, 1: {}}}
    assert drawn(tmp_path, grid, found) == {with_picture: {1: {}}, without: {0: {}, 1: {}}}
    picture_path(tmp_path, grid, grid.cells[0]).touch()
    assert drawn(tmp_path, grid, found) == found


def test_a_file_that_says_another_config(tmp_path):
    """Refused; but one that lacks a field, being older than it, means its default."""
    cell = small('le').cells[0]
    write_cell(tmp_path, cell, SUMMARY, 3)
    path = cell_path(tmp_path, cell_name(cell.config), 3)
    record = json.loads(path.read_text())
    del record['config']['data.holdout']
    path.write_text(json.dumps(record))
    assert read_cell(tmp_path, cell, 3) == record
    record['config']['method.alpha'] = 0.8
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match='is of another config: method.alpha differs; remove it'):
        read_cell(tmp_path, cell, 3)


def test_a_cell_that_is_to_be_measured_is_done_when_it_was():
    plain = small('ce').cells[0]
    measured = plain._replace(measure=lambda directory, seed: {})
    assert is_done(plain, {}) and not is_done(plain, None)
    assert is_done(measured, {'measured': {}}) and not is_done(measured, {})


def test_what_a_cell_measures_is_a_dict():
    plain = small('ce').cells[0]
    assert measured_of(plain, 'runs', 3) is None
    assert measured_of(plain._replace(measure=lambda directory, seed: {directory: seed}), 'runs', 3) == {'runs': 3}
    with pytest.raises(InputError, match='measure of ce must return a dict of numbers by name, not 0.5'):
        measured_of(plain._replace(measure=lambda directory, seed: 0.5), 'runs', 3)


def test_a_data_set_with_a_configuration_has_a_file(tmp_path):
    grid = small('le')
    grid.cells[0].config.data.name = 'cifar10_corrupted/fog_1:1.0.0'
    write_cell(tmp_path, grid.cells[0], SUMMARY, 3)
    ((name, records),) = read_cells(tmp_path, grid).items()
    assert [*records] == [3] and name.startswith('cifar10_corrupted_fog_1_1.0.0-') and '/' not in name


def test_a_file_of_other_code_of_ones_own_is_no_cells(tmp_path, monkeypatch):
    """Else a table would have numbers of code that is no longer there; what was written before is taken as it is."""
    class Mine(nn.Module):
        num_classes: int

    class Other(Mine):
        width: int = 2

    monkeypatch.setitem(MODELS, 'cnn2', Mine)
    cell = small('ce').cells[0]
    record = write_cell(tmp_path, cell, SUMMARY, 3)
    assert read_cell(tmp_path, cell, 3) == record
    monkeypatch.setitem(MODELS, 'cnn2', Other)
    path = cell_path(tmp_path, cell_name(cell.config), 3)
    with pytest.raises(InputError, match=f'your own code .* is not what the network of {path} was trained with; '
                       'give another --results and --workdir'):
        read_cell(tmp_path, cell, 3)
    del record['own_code']
    path.write_text(json.dumps(record))
    assert read_cell(tmp_path, cell, 3) == record
