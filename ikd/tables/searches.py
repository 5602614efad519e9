"""A search's results: the best setting of each method by held-out accuracy. The test set has no part in it."""
from ikd.errors import InputError
from ikd.grid import cell_name
from ikd.tables.markdown import absent, lines_of, save, text_of
from ikd.tables.sources import sources
from ikd.tables.statistics import on_common_seeds, paired_difference
from ikd.tables.table import describe
from ikd.words import number


def report(grid, found, results):
    """Write <name>.md and <name>.json of a search into the folder `results`; returns the text.

    InputError if a cell of the grid does not hold out what it is judged by.
    """
    for cell in grid.cells:
        if not cell.config.data.holdout:
            raise InputError(f'{cell.column}, {cell.row} of {grid.name} would be chosen by the test set; set '
                             'data.holdout in its config')
    found = {name: {seed: record for seed, record in of_cell.items() if seed < grid.trials}
             for name, of_cell in found.items()}
    tries = {}
    for cell in grid.cells:  # on a short schedule two tries may be one
        tries.setdefault((cell.column, cell_name(cell.config)), cell.row)
    rows = [describe(row, column, name, None, found[name], False, grid.trials)
            for (column, name), row in tries.items()]
    columns = [*dict.fromkeys(row['column'] for row in rows)]
    best = [choice([row for row in rows if row['column'] == column]) for column in columns]
    text = markdown(grid, rows, columns, best, sources([r for records in found.values() for r in records.values()]))
    save(results, grid.name, text, {'name': grid.name, 'title': grid.title, 'best': best, 'rows': rows,
                                    'notes': grid.notes})
    return text


def choice(rows):
    """The best row of a method by its mean, and how far it is ahead of the next on common seeds.

    `best` is None where tries are missing: the best of those that happen to be done is no choice.
    """
    found = {'column': rows[0]['column'], 'tries': len(rows), 'best': None}
    if any(row['missing'] for row in rows):
        return found
    first, *others = sorted(rows, key=lambda row: -row['mean'])
    found |= {'best': first['row'], 'mean': first['mean'], 'std': first['std']}
    if others:
        ahead, half = paired_difference(*on_common_seeds(first['values'], others[0]['values']))
        found |= {'next': others[0]['row'], 'ahead': ahead, 'half_interval': half}
    return found


def markdown(grid, rows, columns, best, facts):
    """What was found first, then every try."""
    head = ['method', 'best', 'accuracy on held-out images (%)', 'ahead of the next', 'tries']
    body = []
    for found in best:
        ahead = number(found['ahead'], found['half_interval'], sign='+') if 'next' in found else ''
        body.append([found['column'], found['best'] or 'undecided, as not all have run',
                     number(found['mean'], found['std']) if found['best'] else '',
                     f"{ahead} ({found['next']})" if ahead else '', str(found['tries'])])
    parts = [lines_of(head, body),
             ['Mean +- sample standard deviation over the trials; ahead of the next: +- half of the 95 % interval '
              '(paired t). Every try has the same epochs, trials and images. The best of a few tries is a choice, no '
              'result, and its lead flatters it: the tables measure it anew, on the test set. Of tries that are '
              'alike the first is named.'], absent(rows, columns)]
    tries = [[row['column'], row['row'], number(row['mean'], row['std']), str(row['trials'])] for row in rows]
    parts += [['## Every try'], lines_of(['method', 'setting', 'accuracy on held-out images (%)', 'trials'], tries)]
    return text_of(grid.title, parts, (*grid.notes, *facts))
