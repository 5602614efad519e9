"""What the searches share: held-out images, and the same number of tries for each method."""
from ikd.grid import Cell, Grid
from ikd.grid_words import adapt
from ikd.tables.searches import report

HELD_OUT = 5000
TRIALS = 3


def search(name, title, setting, tries, notes, argument):
    """The Grid of a search: a column for each method, a row for each try.

    setting(): a fresh config. tries: {column: {row: fields of the config}}.
    """
    cells = []
    for column, rows in tries.items():
        for row, fields in rows.items():
            config = setting()
            config.update_from_flattened_dict({'data.holdout': HELD_OUT, **fields})
            cells.append(Cell(row, column, config))
    return adapt(Grid(name, title, tuple(cells), notes, trials=TRIALS, report=report), argument)


def values(method, field, found):
    """Tries that differ in one field: {'0.1': fields, ...}."""
    return {f'{value:g}': {'method.name': method, field: value} for value in found}


def variants(method, changes):
    """The method as the tables have it, and with each of the changes: {row: fields}."""
    return {row: {'method.name': method, **fields} for row, fields in {'as in the tables': {}, **changes}.items()}
