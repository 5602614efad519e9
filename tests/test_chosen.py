"""The table of chosen settings has those of the search in results/, and otherwise the search's setting."""
import json
import pathlib

import pytest

from configs.searches import mnist
from configs.tables import chosen
from ikd.config import flatten
from ikd.errors import InputError
from ikd.validation import resolve

SEARCHED = {'LE-Permut': 'LE(Grad)', 'LE-Frozen-Turned': 'LE-Frozen'}  # as which others are configured


def test_settings_are_those_that_the_search_chose():
    found = json.loads(pathlib.Path('results/search-mnist-images1000.json').read_text())
    best = {one['column']: one['best'] for one in found['best']}
    tries = {(cell.column, cell.row): cell.config for cell in mnist.grid('images=1000').cells}
    cells = chosen.grid().cells
    assert {SEARCHED.get(cell.row, cell.row) for cell in cells} == {*best}
    for cell in cells:
        method = SEARCHED.get(cell.row, cell.row)
        searched, own = flatten(resolve(tries[method, best[method]])), flatten(resolve(cell.config))
        assert searched.keys() == own.keys()
        differ = {field for field in own if own[field] != searched[field]} - {'data.holdout'}
        assert differ <= ({'method.name'} if cell.row in SEARCHED else set())
        assert (own['data.holdout'], own['data.train_images']) == (0, 1000) != (searched['data.holdout'], 1000)


def test_other_numbers_of_images_are_refused():
    with pytest.raises(InputError, match='chosen for 1,000 images'):
        chosen.grid('smoke,images=300')
