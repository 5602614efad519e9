"""Cells, what is left to do and in which order, the grids of `configs/`."""
import importlib
import pathlib

import jax
import pytest

from ikd import reproduce
from ikd.grid import Cell, Grid, cell_name, families, missing, share, write_cell
from ikd.validation import resolve
from tests.small_grid import SUMMARY, config_of, small

FILES = [path for kind in ('tables', 'searches') for path in sorted(pathlib.Path('configs', kind).glob('*.py'))
         if path.stem != 'shared']

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


def test_a_name_says_what_a_cell_is():
    name = cell_name(config_of('le'))
    assert name.startswith('digits-cnn2-le-grad_cam-') and len(name.rpartition('-')[2]) == 8
    assert cell_name(config_of('kd', **{'model.vam': True})).startswith('digits-cnn2-vam-kd-')
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
    for cell, seed, accuracy in ((one, 1, 90.0), (one, 3, 10.0), (other, 1, 10.0), (other, 3, 94.0),
                                 (smoothed, 3, 95.0)):
        trial = {**SUMMARY['trials'][0], 'seed': seed, 'test_accuracy': accuracy}
        write_cell(tmp_path, cell, {**SUMMARY, 'trials': [trial]}, seed)
    text = reproduce.render(grid, tmp_path)
    assert '| CE |  | 92.00 +- 2.83 |  | 2 |' in text and '| LS | +1.00 (one seed) |' in text
    assert 'Not run yet, by seed: CE (0, 2); LS (0 to 2).' in text and 'Seeds: 1, 3' in text


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


def test_parts_are_nearly_alike_in_size():
    lists = [['a'], ['b'], ['c', 'd']]
    assert [sum(map(len, share(lists, i, 2))) for i in (1, 2)] == [2, 2]
