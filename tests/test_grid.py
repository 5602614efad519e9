"""Cells and their files, what is left to do and in which order, the grids of `configs/`."""
import copy
import importlib
import json
import pathlib

import jax
import pytest

from ikd import reproduce
from ikd.config import default, flatten
from ikd.errors import InputError
from ikd.files import temporary
from ikd.grid import (
    Cell,
    Grid,
    cell_name,
    cell_path,
    drawn,
    families,
    is_done,
    missing,
    picture_path,
    read_cell,
    read_cells,
    share,
    write_cell,
)
from ikd.validation import resolve

FILES = [path for kind in ('tables', 'searches') for path in sorted(pathlib.Path('configs', kind).glob('*.py'))
         if path.stem != 'shared']
SUMMARY = {'trials': [{'seed': 3, 'test_accuracy': 97.5, 'test_nll': 0.1, 'test_ece': 0.02, 'train_seconds': 4.0}],
           'train_images': 100, 'test_images': 50, 'data_checksum': 'c0ffee', 'git_commit': 'abc',
           'versions': {'jax': '1'}, 'device': {'platform': 'cpu', 'kind': 'cpu', 'count': 1}}

# The paper's tables as printed: networks, then a row for each method.
PRINTED = {
    'table1': ('CNN-8 CNN-6', 'CE 86.86 85.18, KD 88.48 86.55, CWTM 87.03 85.65, CWTM-P 87.41 85.74, '
                              'CWTM-R 87.22 85.25, DKPP 87.73 86.30'),
    'table2': ('ResNet14 ResNet8', 'CE 90.26 87.95, Dropout 90.33 88.02, LS 90.52 88.14, CP 90.42 88.25, '
                                   'LE(Grad-CAM) 91.21 88.70'),
    'table3': ('MLP', 'CE 98.61, Dropout 98.73, LS 98.75, CP 98.82, LE(Grad) 98.90'),
    'table4': ('ResNet14 ResNet8', 'CE 90.26 87.95, DML 90.39 88.23, BAN 90.58 87.22, BAN+L 90.83 88.03, '
                                   'LE(Grad-CAM) 91.21 88.70'),
    'table5': ('ResNet14 ResNet8', 'KD 91.14 88.07, Hint 91.29 88.52, AT+KD 91.31 88.15, FSP+KD 91.42 88.11, '
                                   'TAKD 91.27 88.09, LE(Grad-CAM) 91.21 88.70'),
    'table6': ('MLP ResNet14 ResNet8', 'CE 98.61 90.26 87.95, LE-Permut 98.81 90.91 88.22, '
                                       'LE(Grad) 98.90 91.01 88.27, LE(Grad-CAM) - 91.21 88.70'),
}


def grid_of(path, argument=''):
    return importlib.import_module('.'.join(path.with_suffix('').parts)).grid(argument)


def table(number, argument=''):
    return grid_of(pathlib.Path(f'configs/tables/table{number}.py'), argument)


def config_of(method='ce', **fields):
    config = default()
    config.update_from_flattened_dict({'method.name': method, 'model.name': 'cnn2', **fields})
    return config


def small(*methods, trials=2):
    cells = tuple(Cell(method, 'CNN-2', config_of(method)) for method in methods)
    return Grid('small', 'Small', cells, trials=trials)


def test_a_name_says_what_a_cell_is():
    name = cell_name(config_of('le'))
    assert name.startswith('digits-cnn2-le-grad_cam-') and len(name.rpartition('-')[2]) == 8
    same = [config_of('le', **{field: value}) for field, value in [
        ('seed', 3), ('trials', 5), ('data.dir', 'x'), ('store', 'x'), ('parallel', 'trials'),
        ('method.warmup_epochs', 32), ('method.lam', 0.1)]]
    assert {cell_name(config) for config in same} == {name}
    others = [config_of('le', **{field: value}) for field, value in [
        ('epochs', 100), ('method.alpha', 0.8), ('data.holdout', 5), ('precision', 'tf32'), ('model.width', 8)]]
    assert len({cell_name(config) for config in [config_of('le'), *others]}) == 6


def test_names_of_finished_cells_stay():
    """A change here orphans every file in results/cells of these."""
    assert [cell_name(cell.config) for cell in table(3).cells] == [
        'mnist-mlp-ce-550c3e75', 'mnist-mlp-dropout-2467ce13', 'mnist-mlp-label_smoothing-8da41cc7',
        'mnist-mlp-confidence_penalty-4b0940e5', 'mnist-mlp-le_uniform-b59b7576',
        'mnist-mlp-le_permut-grad-52b751ab', 'mnist-mlp-le-grad-c53a36bc']
    assert cell_name(table(2).cells[-1].config) == 'cifar10-resnet8-le-grad_cam-ebd646c5'


def test_tables_share_cells():
    def names(number, row):
        return {cell_name(cell.config) for cell in table(number).cells if (cell.row, cell.column) == (row, 'ResNet8')}

    for row in ('CE', 'LS', 'LE-Uniform', 'LE-Permut', 'LE(Grad-CAM)'):
        assert len(names(2, row) | names(4, row) | names(5, row) | names(6, row)) == 1
    mlp = {cell_name(cell.config) for cell in table(6).cells if cell.column == 'MLP'
           and 'Frozen' not in cell.row}
    assert mlp <= {cell_name(cell.config) for cell in table(3).cells}


@pytest.mark.parametrize('name', PRINTED)
def test_the_papers_numbers(name):
    columns, rows = PRINTED[name]
    printed = {}
    for row in rows.split(', '):
        method, *numbers = row.split(' ')
        printed |= {(method, column): float(number) for column, number in zip(columns.split(), numbers)
                    if number != '-'}
    found = {(cell.row, cell.column): cell.paper[0] for cell in table(name[-1]).cells if cell.paper}
    assert printed.items() <= found.items()
    added = {row for row, _ in found.keys() - printed.keys()}
    assert added <= {'CE', 'LS', 'LE-Permut'}  # from the paper's other tables


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_every_grid_is_a_lab_book_entry_that_can_run(path):
    module = importlib.import_module('.'.join(path.with_suffix('').parts))
    for argument in ('', 'smoke', 'epochs=20'):
        assert f'python -m ikd.reproduce --config={path}' in module.__doc__
        grid = module.grid(argument)
        places = list(dict.fromkeys((cell.row, cell.column) for cell in grid.cells))
        trials = [(cell.row, cell.column, seed) for cell in grid.cells for seed in cell.seeds or range(grid.trials)]
        assert len(trials) == len(set(trials)) == grid.trials * len(places)
        assert ',' not in ''.join(row + column for row, column in places)
        for cell in grid.cells:
            resolve(cell.config)
        if argument:
            assert max(cell.config.epochs for cell in grid.cells) == {'smoke': 2, 'epochs=20': 20}[argument]
        if path.parts[1] == 'searches':
            assert all(cell.config.data.holdout == 5000 for cell in grid.cells)
            assert len({sum(cell.column == column for cell in grid.cells)
                        for _, column in places if column != 'CE' and 'open points' not in column}) == 1
        rows = {row for row, _ in places}
        if 'LE(Grad-CAM)' in rows or 'LE(Grad)' in rows:
            assert 'LE-Uniform' in rows and (path.parts[1] == 'searches' or 'LE-Permut' in rows)


def test_a_data_set_with_a_configuration_has_a_file(tmp_path):
    grid = small('le')
    grid.cells[0].config.data.name = 'cifar10_corrupted/fog_1:1.0.0'
    write_cell(tmp_path, grid.cells[0], SUMMARY, 3)
    ((name, records),) = read_cells(tmp_path, grid).items()
    assert [*records] == [3] and name.startswith('cifar10_corrupted_fog_1_1.0.0-') and '/' not in name


def test_relatives_are_one_family():
    """LE and its controls share a warm-up, students a teacher; each cell is in one family, once."""
    found = [[cell.row for _, cell in family] for family in families(table(5, 'model=resnet8'))]
    assert sorted(map(sorted, found)) == sorted(map(sorted, [
        ['CE'], ['LS'], ['KD', 'Hint', 'AT+KD', 'FSP+KD', 'TAKD'], ['LE-Uniform', 'LE-Permut', 'LE(Grad-CAM)']]))
    grid = small('ce', 'ce', 'kd')
    assert [[name for name, _ in family] for family in families(grid)] == [
        [cell_name(grid.cells[0].config)], [cell_name(grid.cells[2].config)]]


@pytest.mark.parametrize('n', [1, 2, 3, 20])
def test_parts_are_the_whole(n):
    lists = families(table(5))
    parts = [share(lists, i, n) for i in range(1, n + 1)]
    whole = sorted(name for family in lists for name, _ in family)
    assert sorted(name for part in parts for family in part for name, _ in family) == whole
    assert all(family in lists for part in parts for family in part)


def test_all_of_a_seed_before_the_next():
    """In the grid's order, so that what others are compared with is there when a grid is cut."""
    grid = small('ce', 'le', 'le_uniform', trials=3)
    names = [cell_name(cell.config) for cell in grid.cells]
    found = {names[0]: {0: {}}, names[1]: {1: {}}, names[2]: {}}
    rows = lambda together: [(cell.row, seeds) for _, cell, seeds in missing(grid, found, together=together)]
    assert rows(1) == [('le', [0]), ('le_uniform', [0]), ('ce', [1]), ('le_uniform', [1]),
                       ('ce', [2]), ('le', [2]), ('le_uniform', [2])]
    assert rows(2) == [('ce', [1]), ('le', [0]), ('le_uniform', [0, 1]),
                       ('ce', [2]), ('le', [2]), ('le_uniform', [2])]


def test_a_row_of_several_cells(tmp_path):
    """Each trains its own seeds and no other, and the row has them all; a file of another seed is left out."""
    cells = [Cell('CE', 'CNN-2', config_of(**{'data.train_skip': 10 * i}), seeds=(i,)) for i in (1, 3)]
    grid = Grid('sets', 'Sets', (*cells, Cell('LS', 'CNN-2', config_of('label_smoothing'))), references=('CE',),
                trials=4)
    found = {cell_name(cell.config): {} for cell in grid.cells}
    assert [(cell.row, seeds) for _, cell, seeds in missing(grid, found, together=4)] == [
        ('CE', [1]), ('CE', [3]), ('LS', [0, 1, 2, 3])]
    assert sum(len(share(families(grid), i, 2)) for i in (1, 2)) == 3
    one, other, smoothed = grid.cells
    for cell, seed, accuracy in (one, 1, 90.0), (one, 3, 10.0), (other, 3, 94.0), (smoothed, 3, 95.0):
        trial = {**SUMMARY['trials'][0], 'seed': seed, 'test_accuracy': accuracy}
        write_cell(tmp_path, cell, {**SUMMARY, 'trials': [trial]}, seed)
    text = reproduce.render(grid, tmp_path)
    assert '| CE |  | 92.00 +- 2.83 |  | 2 |' in text and '| LS | +1.00 (one seed) |' in text
    assert 'Not run yet, by seed: CE (0, 2); LS (0 to 2).' in text and 'Seeds: 1, 3' in text


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
    for name in 'test_nll', 'device':
        path.write_text(json.dumps({key: value for key, value in record.items() if key != name}))
        with pytest.raises(InputError, match='is damaged; remove it'):
            read_cell(tmp_path, cell, 3)


@pytest.mark.parametrize('field, value', [('seed', 2), ('test_accuracy', 100.5), ('test_accuracy', -1.0),
                                          ('test_accuracy', float('nan')), ('test_accuracy', None), ('config', [])])
def test_a_whole_file_of_another_seed_or_of_no_accuracy_is_damaged(field, value, tmp_path):
    """All else is there, so that it is this that is seen."""
    cell = small('le').cells[0]
    record = write_cell(tmp_path, cell, SUMMARY, 3)
    cell_path(tmp_path, cell_name(cell.config), 3).write_text(json.dumps({**record, field: value}))
    with pytest.raises(InputError, match='is damaged; remove it'):
        read_cell(tmp_path, cell, 3)


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


@pytest.mark.slow
@pytest.mark.parametrize('name, argument', [('table1', ''), ('table5', 'model=resnet8'), ('srdl', 'model=resnet8'),
                                            ('kdexplainer', '')])
def test_every_cell_can_be_trained(name, argument):
    """Each stage of each cell is traced on images of CIFAR-10's shape; nothing is computed."""
    from ikd import parallel, timed_steps, training
    from ikd.networks import prepare_stages
    images, layout = timed_steps.dataset(32, 3), parallel.Layout(tuple(jax.devices()[:1]), 'data')
    for cell in grid_of(pathlib.Path(f'configs/tables/{name}.py'), argument).cells:
        stages = prepare_stages(resolve(cell.config), images, layout)
        for prepared in stages:
            state = training.state_shapes(prepared, (32, 32, 3))
            teacher = prepared.stage.teacher
            knowledge = {} if teacher is None else training.variables_of(
                training.state_shapes(stages[teacher], (32, 32, 3)))
            program = prepared.program
            order = jax.eval_shape(program.order, state)
            _, report = jax.eval_shape(program.advance(program.chunk), state, knowledge, order, images.train_images,
                                       images.train_labels)
            assert 'loss' in report
