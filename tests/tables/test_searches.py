"""What a search chooses, what it can't choose, and that the test set has no part in it."""
import json

import pytest

from ikd.config import default
from ikd.errors import InputError
from ikd.grid import Cell, Grid, cell_name
from ikd.tables.searches import choice, report
from ikd.tables.table import describe
from tests.small_grid import config_of
from tests.tables.cell_file import CONFIG, RECORD

HELD_OUT = {**RECORD, 'data': {'name': 'digits', 'train_images': 1337, 'test_images': 100},
            'config': {**CONFIG, 'data.holdout': 100}}


def row(name, accuracies, trials=3):
    records = {seed: {'test_accuracy': value, 'test_nll': 0.5, 'test_ece': 0.1}
               for seed, value in enumerate(accuracies)}
    return describe(name, 'CP', 'cell', None, records, False, trials)


def test_the_best_mean_is_chosen_and_its_lead_is_paired():
    found = choice([row('0.1', [90, 91, 92]), row('0.5', [91, 91.5, 93]), row('1', [80, 99, 80])])
    assert (found['best'], found['next'], found['tries']) == ('0.5', '0.1', 3)
    assert found['ahead'] == pytest.approx(2.5 / 3) and 0 < found['half_interval'] < 1


def test_no_choice_before_every_try_is_done():
    assert choice([row('0.1', [90, 91, 92]), row('0.5', [99, 99])])['best'] is None
    assert choice([row('as in the tables', [90, 91, 92])])['best'] == 'as in the tables'


def search(held_out):
    cells = []
    for value in (0.1, 0.5):
        config = default()
        config.method.update(name='confidence_penalty', beta=value)
        config.data.holdout = held_out
        cells.append(Cell(f'{value}', 'CP', config))
    return Grid('search', 'A search', tuple(cells), ('a note',), trials=2, report=report)


def test_the_report(tmp_path):
    """Ahead by 1 and 1.5: the interval is 12.71 x 0.25 to each side."""
    grid = search(100)
    found = {cell_name(cell.config): {} for cell in grid.cells}
    text = report(grid, found, tmp_path)
    assert '| CP | undecided, as not all have run |  |  | 2 |' in text and '| CP | 0.5 | not run | 0 |' in text
    for best, records in enumerate(found.values()):
        records |= {seed: {**HELD_OUT, 'test_accuracy': 90.0 + best + seed * (1 + best / 2)} for seed in (0, 1)}
    text = report(grid, found, tmp_path)
    assert '| CP | 0.5 | 91.75 +- 1.06 | +1.25 +- 3.18 (0.1) | 2 |' in text and '- a note' in text
    assert '1,337 images to train on, 100 to test held out of the training set' in text
    assert (tmp_path / 'search.md').read_text() == text
    assert json.loads((tmp_path / 'search.json').read_text())['best'][0]['best'] == '0.5'


def test_every_try_has_as_many_trials_and_is_one(tmp_path):
    """Seeds beyond the search's are left aside, and of two names of one config the first is shown."""
    grid = search(100)
    grid = grid._replace(cells=(*grid.cells, grid.cells[0]._replace(row='twin')), trials=1)
    found = {cell_name(cell.config): {seed: {**HELD_OUT, 'test_accuracy': accuracy} for seed, accuracy in of.items()}
             for cell, of in zip(grid.cells, ({0: 91.0, 1: 10.0}, {0: 90.0}))}
    text = report(grid, found, tmp_path)
    assert '| CP | 0.1 | 91.00 | +1.00 (0.5) | 2 |' in text and 'twin' not in text


def test_each_method_has_a_best_of_its_own(tmp_path):
    """Though every try of one is better than all of the other."""
    grid = search(100)
    other = [cell._replace(column='LS', config=config_of('label_smoothing', **{
        'method.alpha': alpha, 'data.holdout': 100})) for cell, alpha in zip(grid.cells, (0.8, 0.9))]
    grid = grid._replace(cells=(*grid.cells, *other), trials=1)
    found = {cell_name(cell.config): {0: {**HELD_OUT, 'test_accuracy': accuracy}}
             for cell, accuracy in zip(grid.cells, (90.0, 91.0, 52.0, 50.0))}
    text = report(grid, found, tmp_path)
    assert '| CP | 0.5 | 91.00 | +1.00 (0.1) | 2 |' in text and '| LS | 0.1 | 52.00 | +2.00 (0.5) | 2 |' in text


def test_a_search_on_the_test_set_is_refused(tmp_path):
    with pytest.raises(InputError, match='CP, 0.1 of search would be chosen by the test set; set data.holdout'):
        report(search(0), {}, tmp_path)
