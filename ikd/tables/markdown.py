"""A table as Markdown, for people: overview, what differs on the same seeds, the paper's order, notes; its files."""
import pathlib

from ikd.files import replace_text, write_json
from ikd.tables.statistics import mean_and_std
from ikd.words import number, p_value, plural, spans

ORDER = ("It holds, or does not, where p after Holm's correction for all pairs of this list is below 0.05; the p of "
         'the differences above are corrected for those, and so may be others. The 95 % interval of the difference '
         'on the same seeds is that of a pair by itself.')


def save(results, name, text, numbers=None):
    """Write <name>.md and, if there are numbers, a dict, <name>.json into the folder `results`."""
    replace_text(pathlib.Path(results) / f'{name}.md', text)
    if numbers is not None:
        write_json(pathlib.Path(results) / f'{name}.json', numbers)


def lines_of(head, rows):
    """A Markdown table: head and rows are lists of cells."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ['---'] * len(head), *rows)]


def text_of(title, parts, notes):
    """A Markdown text: the title, the parts, which are lists of lines, without empty ones, a list of the notes."""
    parts = [[f'# {title}'], *parts, ['## Notes'], [f'- {note}' for note in notes]]
    return '\n\n'.join('\n'.join(part) for part in parts if part) + '\n'


def markdown(title, result, notes, facts, error=False):
    """The whole text. result: of `table.table`; facts: sentences of where the numbers come from."""
    columns = [*dict.fromkeys(row['column'] for row in result['rows'])]
    parts = [overview(result['rows'], columns, error), absent(result['rows'], columns)]
    if any(row['teachers'] or row['measured'] for row in result['rows']):
        parts += [['## Also measured'], measured(result['rows'], columns)]
    for name, comparisons in result['measured'].items():
        if comparisons:
            parts += [[f'## Differences of the {name}'], [explain(comparisons, f'The {name}')],
                      compared(result['rows'], comparisons, columns, decimals=3)]
    if result['comparisons']:
        parts += [['## Differences on the same seeds'],
                  [explain(result['comparisons'], f"Points, {'below' if error else 'above'} 0 is better")],
                  compared(result['rows'], result['comparisons'], columns)]
    if result['orderings']:
        parts += [["## The paper's order"], [ORDER],
                  [verdict(found, columns, error) for found in result['orderings']]]
    return text_of(title, parts, (*notes, *facts))


def label(row, columns):
    """The first cells of a row: its network, if the table has several, and its method."""
    return [row['column'], row['row']] if len(columns) > 1 else [row['row']]


def heading(columns):
    """What stands over the cells of `label`."""
    return ['network', 'method'] if len(columns) > 1 else ['method']


def overview(rows, columns, error):
    """Every cell beside the paper's; empty ones are `not run`."""
    unit = 'test error (%)' if error else 'test accuracy (%)'
    head = [*heading(columns), f'{unit}, the paper', 'ours', 'difference', 'trials']
    body = [[*label(row, columns),
             '' if row['paper_mean'] is None else number(row['paper_mean'], row['paper_std']),
             number(row['mean'], row['std']),
             '' if row['difference'] is None else number(row['difference'], sign='+'), str(row['trials'])]
            for row in rows]
    return [*lines_of(head, body), '', 'Mean +- sample standard deviation over the trials, at the last epoch.']


def absent(rows, columns):
    """What is missing, in a line, and in another what is there beyond the seeds asked for, as it was not planned."""
    def listed(kind):
        return '; '.join(f"{' '.join(label(row, columns))} ({spans(row[kind])})" for row in rows if row[kind])

    lines = {'missing': 'Not run yet, by seed', 'beyond': 'Run beyond the seeds asked for, and counted'}
    return [f'{words}: {found}.' for kind, words in lines.items() if (found := listed(kind))]


def measured(rows, columns):
    """Mean and deviation of what else was measured, and of the accuracies of the networks that were learnt from."""
    found = [{f'{name} (%)': values for name, values in row['teachers'].items()} | row['measured'] for row in rows]
    names = [*dict.fromkeys(name for values in found for name in values)]
    cell = lambda values: number(*mean_and_std(values), 3) if values else ''
    return lines_of([*heading(columns), *names], [
        [*label(row, columns), *(cell([*values.get(name, {}).values()]) for name in names)]
        for row, values in zip(rows, found) if values])


def explain(comparisons, what):
    """How to read the comparisons of a table, which begins with what is compared."""
    tests = sum(comparison['p'] is not None for comparison in comparisons)
    if not tests:
        return f'{what}. Differences that do not scatter have no interval.'
    return (f'{what}: mean +- half its 95 % interval (paired t, trials - 1 degrees of freedom). In brackets p after '
            f"Holm's correction for this table's {plural(tests, 'comparison')}, and the smallest true difference "
            'that so many trials with this scatter detect with 80 % power (two-sided, 5 %, uncorrected).')


def compared(rows, comparisons, columns, decimals=2):
    """A row for each method, a column for each reference."""
    references = [*dict.fromkeys(comparison['reference'] for comparison in comparisons)]
    found = {(c['column'], c['row'], c['reference']): c for c in comparisons}
    body = []
    for row in rows:
        own = [found.get((row['column'], row['row'], reference)) for reference in references]
        if any(own):
            body.append([*label(row, columns), *(difference(one, decimals) for one in own)])
    return lines_of([*heading(columns), *(f'minus {reference}' for reference in references)], body)


def unscattered(trials):
    """Why a difference has no interval (`statistics.standard_error`)."""
    return 'one seed' if trials == 1 else f'alike on {trials} seeds'


def difference(comparison, decimals=2):
    """`-0.29 +- 0.05 (p 0.003; 0.07)`."""
    if comparison is None:
        return ''
    if comparison['p'] is None:
        return f"{number(comparison['difference'], None, decimals, '+')} ({unscattered(comparison['trials'])})"
    return (f"{number(comparison['difference'], comparison['half_interval'], decimals, '+')} "
            f"({corrected(comparison)}; {comparison['detectable']:.{decimals}f})")


def corrected(test):
    """`p 0.003` of a comparison or an ordering."""
    return f"p {p_value(test['p_holm'])}"


def verdict(found, columns, error):
    """A line: which of two the paper has ahead, and whether it is so here."""
    where = f"{found['column']}: " if len(columns) > 1 else ''
    text = f"- {where}{found['better']} ahead of {found['worse']} (by {abs(found['paper_difference']):.2f}): "
    if 'difference' not in found:
        return text + found['verdict']
    ahead = -found['difference'] if error else found['difference']
    trials = plural(found['trials'], 'trial')
    if found['half_interval'] is None:
        return f"{text}undecided, {unscattered(found['trials'])} ({number(ahead, sign='+')}, {trials})"
    ahead = number(ahead, found['half_interval'], sign='+')
    return f"{text}{found['verdict']} ({ahead}, {corrected(found)}, {trials})"
