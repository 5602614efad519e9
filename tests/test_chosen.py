"""The table of chosen settings has those of the search in results/, and otherwise the search's setting."""
import json
import pathlib

import pytest

from configs.searches import mnist
from configs.tables import chosen, sets
from ikd.config import flatten
from ikd.errors import InputError
from ikd.tables.searches import choice
from ikd.validation import resolve

SEARCHED = {'LE-Permut': 'LE(Grad)', 'LE-Frozen-Turned': 'LE-Frozen'}  # as which others are configured


def test_settings_are_those_that_the_search_chose():
    """Of all tries, and for `best of 7` of the first seven."""
    found = json.loads(pathlib.Path('results/search-mnist-images1000.json').read_text())
    best = {one['column']: one['best'] for one in found['best']}
    first = {method: choice([row for row in found['rows'] if row['column'] == method][:7])['best'] for method in best}
    tries = {(cell.column, cell.row): cell.config for cell in mnist.grid('images=1000').cells}
    cells, anew = chosen.grid().cells, {method for method in best if best[method] != first[method]}
    named = [cell.row.partition(' (best of 7)') for cell in cells]
    assert {SEARCHED.get(row, row) for row, before, _ in named if not before} == {*best}
    assert {SEARCHED.get(row, row) for row, before, _ in named if before} == anew
    for cell, (row, before, _) in zip(cells, named):
        method = SEARCHED.get(row, row)
        searched = flatten(resolve(tries[method, (first if before else best)[method]]))
        own = flatten(resolve(cell.config))
        assert searched.keys() == own.keys()
        differ = {field for field in own if own[field] != searched[field]} - {'data.holdout'}
        assert differ <= ({'method.name'} if row in SEARCHED else set())
        assert (own['data.holdout'], own['data.train_images']) == (0, 1000) != (searched['data.holdout'], 1000)


def test_sets_have_the_chosen_settings_and_no_image_in_common():
    """Nor with the images of the table of chosen settings."""
    of_row = {cell.row: flatten(resolve(cell.config)) for cell in chosen.grid().cells}
    images = {}
    for cell in sets.grid().cells:
        own, (i,) = flatten(resolve(cell.config)), cell.seeds
        assert {field for field in own if own[field] != of_row[cell.row][field]} == {'data.train_skip'}
        images.setdefault(cell.row, {})[i] = range(own['data.train_skip'], own['data.train_skip'] + 1000)
    assert all(found == images['CE'] and [*found] == [*range(20)] for found in images.values())
    assert len({*range(1000)}.union(*images['CE'].values())) == 21000
    with pytest.raises(InputError, match='leave images=N out'):
        sets.grid('images=300')


def test_other_numbers_of_images_are_refused():
    with pytest.raises(InputError, match='chosen for 1,000 images'):
        chosen.grid('smoke,images=300')
