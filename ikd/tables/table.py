"""A grid's results beside the paper's: the numbers, and the same as CSV; as Markdown they are in `markdown`."""
import csv
import io
import pathlib

from ikd.files import replace_text
from ikd.grid import cell_name
from ikd.tables.markdown import markdown, save
from ikd.tables.sources import sources
from ikd.tables.statistics import (
    detectable_difference,
    holm,
    mean_and_std,
    on_common_seeds,
    paired_difference,
    paired_p,
)

CSV_FIELDS = ('column', 'row', 'cell', 'paper_mean', 'paper_std', 'mean', 'std', 'difference', 'nll', 'ece',
              'trials', 'seeds')


def report(grid, found, results):
    """Write <name>.md, .csv and .json of a grid into the folder `results`; returns the text.

    found: of `grid.read_cells`.
    """
    result = table(cells_of(grid, found), grid.error, grid.references, grid.ordered, grid.trials)
    records = [record for of_cell in found.values() for record in of_cell.values()]
    text = markdown(grid.title, result, grid.notes, sources(records), grid.error)
    save(results, grid.name, text, {'name': grid.name, 'title': grid.title, 'error': grid.error, **result,
                                    'notes': grid.notes})
    replace_text(pathlib.Path(results) / f'{grid.name}.csv', csv_text(result))
    return text


def cells_of(grid, found):
    """What `table` takes: the cells of one row and column, which share the seeds between them, as one."""
    cells = {}
    for cell in grid.cells:
        name = cell_name(cell.config)
        names, _, records = cells.setdefault((cell.row, cell.column), ([], cell.paper, {}))
        names.append(name)
        records.update(found[name])
    return [(*place, ' '.join(names), paper, records) for place, (names, paper, records) in cells.items()]


def table(cells, error=False, references=(), ordered=(), trials=5):
    """All numbers of a table, as a dict ready for JSON.

    cells: [(row, column, names of its cells, the paper's accuracy (mean, std) or None, {seed: contents of the cell's
    file}), ...]. Accuracies in percent; with `error` every number is an error, 100 - accuracy. NLL in nats, ECE in
    [0, 1]. references: rows that the others of their column are compared with, on common seeds. ordered: rows whose
    order with the others in the paper is checked. The p values of either are corrected over all of their kind
    (Holm). trials: how many seeds there should be. What was measured besides is compared likewise, by itself.
    """
    rows = [describe(*cell, error, trials) for cell in cells]
    comparisons = [compare(ours, theirs) for ours, theirs in pairs(rows, references)]
    measured = {}
    for name in dict.fromkeys(name for row in rows for name in row['measured']):
        have = [{**row, 'values': row['measured'][name]} for row in rows if name in row['measured']]
        measured[name] = [compare(ours, theirs) for ours, theirs in pairs(have, references)]
    orderings = [order(a, b, error) for a, b in ordered_pairs(rows, ordered)]
    for tests in comparisons, orderings, *measured.values():
        for test, p in zip(tests, holm([test.get('p') for test in tests])):
            test['p_holm'] = p
    for test in orderings:
        test['verdict'] = verdict(test, error)
    return {'rows': rows, 'comparisons': comparisons, 'measured': measured, 'orderings': orderings}


def describe(row, column, name, paper, records, error, trials):
    """A row of the table: the paper's number, the trials' numbers and their mean and sample standard deviation."""
    shown = (lambda accuracy: round(100 - accuracy, 10)) if error else lambda accuracy: accuracy
    values = {seed: shown(record['test_accuracy']) for seed, record in records.items()}
    mean, std = mean_and_std(values.values())
    paper_mean = paper and shown(paper[0])
    teachers = {seed: record.get('teachers', {}) for seed, record in records.items()}
    measured = {seed: numbers_of(record.get('measured', {})) for seed, record in records.items()}
    return {'row': row, 'column': column, 'cell': name, 'paper_mean': paper_mean, 'paper_std': paper and paper[1],
            'mean': mean, 'std': std, 'difference': mean - paper_mean if values and paper else None,
            'trials': len(values), 'missing': [seed for seed in range(trials) if seed not in values],
            'beyond': [seed for seed in values if seed >= trials],
            'nll': mean_and_std([record['test_nll'] for record in records.values()])[0],
            'ece': mean_and_std([record['test_ece'] for record in records.values()])[0],
            'teachers': by_name(teachers), 'measured': by_name(measured), 'values': values}


def numbers_of(measured):
    """Of what was measured of a trial the numbers; the rest is for figures."""
    return {name: value for name, value in measured.items() if isinstance(value, (int, float))}


def by_name(of_seeds):
    """{name: {seed: value}} of {seed: {name: value}}."""
    names = dict.fromkeys(name for values in of_seeds.values() for name in values)
    return {name: {seed: values[name] for seed, values in of_seeds.items() if name in values} for name in names}


def pairs(rows, references):
    """[(row, reference row of its column), ...] for rows that have common seeds; no pair twice."""
    found = []
    for row in rows:
        own = references.index(row['row']) if row['row'] in references else len(references)
        for reference in references[:own]:
            found += [(row, other) for other in rows if (other['row'], other['column']) == (reference, row['column'])
                      and other['values'].keys() & row['values'].keys()]
    return found


def compare(ours, theirs):
    """The difference of two rows on common seeds, with half its 95 % interval, p, and what could be detected."""
    values = on_common_seeds(ours['values'], theirs['values'])
    mean, half = paired_difference(*values)
    return {'column': ours['column'], 'row': ours['row'], 'reference': theirs['row'], 'difference': mean,
            'half_interval': half, 'p': paired_p(*values), 'detectable': detectable_difference(*values),
            'trials': len(values[0])}


def ordered_pairs(rows, ordered):
    """[(row, other), ...] of a column that both stand in the paper with unlike numbers, `row` one of `ordered`."""
    found = []
    for place, name in enumerate(ordered):
        for row in rows:
            found += [(row, other) for other in rows if row['row'] == name and other['column'] == row['column']
                      and other['row'] not in ordered[:place]
                      and None not in (row['paper_mean'], other['paper_mean'])
                      and row['paper_mean'] != other['paper_mean']]
    return found


def order(row, other, error):
    """Two rows, the `better` and the `worse` one in the paper, their difference on common seeds if there are any."""
    better, worse = (row, other) if (row['paper_mean'] > other['paper_mean']) != error else (other, row)
    found = {'column': row['column'], 'better': better['row'], 'worse': worse['row'],
             'paper_difference': better['paper_mean'] - worse['paper_mean']}
    if not better['values'].keys() & worse['values'].keys():
        return found
    measured = compare(better, worse)
    return {**found, **{field: measured[field] for field in ('difference', 'half_interval', 'p', 'trials')}}


def verdict(found, error):
    """Whether two rows stand to each other as in the paper: `holds`, `does not hold`, `undecided`, or `not run`.

    found: of `order`, with `p_holm`, which decides: below 0.05 the difference has a sign.
    """
    if 'difference' not in found:
        return 'not run'
    if found['p_holm'] is None or found['p_holm'] >= 0.05:
        return 'undecided'
    return 'holds' if (found['difference'] > 0) != error else 'does not hold'


def csv_text(result):
    """A line for each cell as CSV; the differences to references are columns of their own."""
    references = [*dict.fromkeys(comparison['reference'] for comparison in result['comparisons'])]
    measures = ('difference', 'half_interval', 'p_holm', 'detectable')
    fields = [*CSV_FIELDS, *(f'{measure}_to_{reference}' for reference in references for measure in measures)]
    lines = io.StringIO()
    writer = csv.DictWriter(lines, fields, extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    for row in result['rows']:
        own = [c for c in result['comparisons'] if (c['row'], c['column']) == (row['row'], row['column'])]
        writer.writerow({**row, 'seeds': ' '.join(map(str, row['values'])),
                         **{f"{measure}_to_{c['reference']}": c[measure] for c in own for measure in measures}})
    return lines.getvalue()
