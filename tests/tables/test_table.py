"""A table's numbers by hand and by SciPy, its lines as they are printed."""
import csv
import io
import json

import pytest
from scipy.stats import ttest_rel

from ikd.grid import Cell, Grid, cell_name
from ikd.tables.markdown import markdown
from ikd.tables.statistics import holm
from ikd.tables.table import csv_text, report, table
from tests.small_grid import config_of
from tests.tables.cell_file import RECORD

CE, LS, LE = [98.5, 98.6, 98.7], [98.8, 98.7, 98.9], [98.9, 99.1, 99.0]


def records(accuracies, first=0, **fields):
    return {first + i: {'test_accuracy': value, 'test_nll': 0.5, 'test_ece': 0.1, **fields}
            for i, value in enumerate(accuracies)}


def cells(column='MLP', **others):
    rows = {'CE': ((98.61, 0.05), records(CE)), 'LS': ((98.75, 0.02), records(LS)), 'LE-Uniform': (None, {}),
            'LE(Grad)': ((98.9, 0.03), records(LE)), **others}
    return [(row, column, f'cell-{row}', paper, values) for row, (paper, values) in rows.items()]


def table_of(cells, **options):
    return table(cells, references=('CE', 'LS', 'LE-Uniform'), ordered=('LE(Grad)',), trials=3, **options)


def test_numbers_beside_the_papers():
    result = table_of(cells(), error=True)
    ce, ls, uniform, le = result['rows']
    assert (ce['mean'], ce['std'], ce['paper_mean']) == pytest.approx((1.4, 0.1, 1.39))
    assert (le['difference'], le['nll'], le['ece']) == pytest.approx((1.0 - 1.1, 0.5, 0.1))
    assert (le['trials'], le['missing'], uniform['missing']) == (3, [], [0, 1, 2])
    assert uniform['mean'] is None and uniform['difference'] is None


def test_comparisons_are_paired_and_corrected():
    """Each pair once, only with what has run; signs turn with `error`, p does not."""
    result, turned = table_of(cells()), table_of(cells(), error=True)
    found = {(c['row'], c['reference']): c for c in result['comparisons']}
    assert [*found] == [('LS', 'CE'), ('LE(Grad)', 'CE'), ('LE(Grad)', 'LS')]
    tests = [ttest_rel(a, b) for a, b in ((LS, CE), (LE, CE), (LE, LS))]
    assert [c['p'] for c in result['comparisons']] == pytest.approx([test.pvalue for test in tests])
    assert [c['p_holm'] for c in result['comparisons']] == pytest.approx(holm([test.pvalue for test in tests]))
    for comparison, opposite in zip(result['comparisons'], turned['comparisons']):
        assert comparison['difference'] == pytest.approx(-opposite['difference'])
        assert comparison['p_holm'] == pytest.approx(opposite['p_holm'])
    low, high = tests[1].confidence_interval(0.95)
    mean, half = (found['LE(Grad)', 'CE'][name] for name in ('difference', 'half_interval'))
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_only_common_seeds_are_compared():
    result = table_of(cells(**{'LE(Grad)': ((98.9, 0.03), records([99.0, 98.0, 97.0], first=2))}))
    (comparison,) = [c for c in result['comparisons'] if (c['row'], c['reference']) == ('LE(Grad)', 'CE')]
    assert (comparison['trials'], comparison['p'], comparison['half_interval']) == (1, None, None)
    assert comparison['difference'] == pytest.approx(99.0 - 98.7)
    assert result['rows'][3]['trials'] == 3 and result['rows'][3]['missing'] == [0, 1]
    assert result['rows'][3]['beyond'] == [3, 4]
    assert ('Not run yet, by seed: LE-Uniform (0 to 2); LE(Grad) (0 to 1).\n'
            'Run beyond the seeds asked for, and counted: LE(Grad) (3 to 4).\n') in markdown('T', result, [], [])
    assert table_of(cells(**{'LS': (None, records([1.0], first=9))}))['comparisons'][0]['row'] == 'LE(Grad)'


def test_all_numbers_of_a_row_are_of_the_same_trials():
    """Those beyond the seeds asked for are counted in NLL and ECE as they are in the accuracy."""
    beyond = records([97.0], first=5, test_nll=2.0, test_ece=0.4)
    row = table([('LE', 'R', 'a', None, {**records([99.0, 98.0]), **beyond})], trials=2)['rows'][0]
    assert (row['mean'], row['nll'], row['ece']) == pytest.approx((98.0, 1.0, 0.2))
    assert (row['trials'], row['beyond']) == (3, [5])


@pytest.mark.parametrize('ours, verdict', [
    ([99.0, 99.1, 99.3], 'holds'), ([98.0, 98.1, 98.3], 'does not hold'), ([98.4, 98.8, 98.6], 'undecided'),
    ([98.9, 99.0, 99.1], 'undecided'), ([99.0], 'undecided'), ([], 'not run')])
@pytest.mark.parametrize('error', [False, True])
def test_the_papers_order(ours, verdict, error):
    rows = [row for row in cells(**{'LE(Grad)': ((98.9, 0.03), records(ours))}) if row[0] != 'LS']
    (order,) = table_of(rows, error=error)['orderings']
    assert (order['better'], order['worse'], order['verdict']) == ('LE(Grad)', 'CE', verdict)


def test_an_order_that_others_make_uncertain():
    """LE - CE is 0.3, 0.5, 0.6: t = 5.29 and p = 0.0339, which Holm doubles, as the paper has two pairs."""
    result = table_of(cells(**{'LE(Grad)': ((98.9, 0.03), records([98.8, 99.1, 99.3]))}))
    order = result['orderings'][0]
    assert (order['worse'], order['verdict']) == ('CE', 'undecided')
    assert order['p'] == pytest.approx(0.0339, abs=1e-4) and order['p_holm'] == pytest.approx(2 * order['p'])


def test_a_row_that_the_paper_has_below():
    """BAN of Table 4: the paper's own numbers give the order, whichever row is asked about."""
    rows = [('CE', 'R', 'a', (87.95, 0.3), records([88, 88.1])),
            ('BAN', 'R', 'b', (87.22, 0.03), records([87, 87.2]))]
    result = table(rows, ordered=('BAN',))
    (order,) = result['orderings']
    assert (order['better'], order['worse'], order['verdict']) == ('CE', 'BAN', 'holds')
    assert order['difference'] == pytest.approx(0.95)
    assert '- CE ahead of BAN (by 0.73): holds' in markdown('T', result, (), ())  # where nothing else is compared


def test_what_was_measured_and_the_teachers():
    more = {'teachers': {'teacher': 92.0}, 'measured': {'entropy': 0.5, 'map': [1]}}
    rows = [('KD', 'R', 'a', None, records([90, 91], **more))]
    row = table(rows)['rows'][0]
    assert row['teachers'] == {'teacher': {0: 92.0, 1: 92.0}} and row['measured'] == {'entropy': {0: 0.5, 1: 0.5}}
    text = markdown('T', table(rows, trials=2), (), ())
    assert '| method | teacher (%) | entropy |' in text and '| KD | 92.000 +- 0.000 | 0.500 +- 0.000 |' in text


@pytest.mark.parametrize('more, name, value', [({'teachers': {'teacher': 92.0}}, 'teacher (%)', '92.000'),
                                               ({'measured': {'entropy': 0.5}}, 'entropy', '0.500')])
def test_what_else_there_is_stands_beside_those_who_have_it(more, name, value):
    """Either alone; rows without it are left out, and parts without a line leave no gap."""
    rows = [('CE', 'R', 'a', None, records([90, 91])), ('KD', 'R', 'b', None, records([90], **more))]
    for trials in (1, 2):
        text = markdown('T', table(rows, trials=trials), (), ())
        lines = text.partition('## Also measured\n\n')[2].partition('\n\n')[0].splitlines()
        assert lines == [f'| method | {name} |', '| --- | --- |', f'| KD | {value} |'] and '\n\n\n' not in text
        assert ('Not run yet, by seed: KD (1).' in text) == (trials == 2)


def test_differences_of_what_was_measured():
    """By hand: KD - plain is -0.10, -0.09, -0.11: t = 17.3 and p = 0.0033; 4.303 x 0.00577, 3.264 x 0.01."""
    def measured(*values):
        return {seed: {**record, 'measured': {'entropy': value}}
                for (seed, record), value in zip(records([90, 91, 92]).items(), values)}

    rows = [('plain', 'R', 'a', None, measured(0.50, 0.52, 0.48)), ('KD', 'R', 'b', None, measured(0.40, 0.43, 0.37)),
            ('LS', 'R', 'c', None, records([89, 91, 92])), ('CP', 'R', 'd', None, records([88, 91, 92]))]
    result = table(rows, references=('plain',), trials=3)
    (found,) = result['measured']['entropy']  # LS and CP have no entropy
    assert (found['row'], found['reference']) == ('KD', 'plain') and found['p_holm'] == found['p']
    lines = markdown('T', result, (), ()).partition('## Differences of the entropy')[2].splitlines()
    assert '| KD | -0.100 +- 0.025 (p 0.003; 0.033) |' in lines and lines[2].startswith('The entropy: mean +- half')
    assert "this table's 1 comparison," in lines[2]


def test_the_text():
    """By hand: LE - LS is 0.1, 0.4, 0.1, so t = 2 and p = 0.1835; 4.303 x 0.1 and 3.264 x 0.1732 follow it.

    LE - CE is 0.3, 0.5, 0.4, t = 6.93 and p = 0.0202: Holm makes it three times as much of three comparisons, twice
    of the two pairs whose order the paper has.
    """
    lines = markdown('Title', table_of(cells(), error=True), ['a note'], ['a fact'], error=True).splitlines()
    assert lines[0] == '# Title'
    for line in (
            '| CE | 1.39 +- 0.05 | 1.40 +- 0.10 | +0.01 | 3 |', '| LE-Uniform |  | not run |  | 0 |',
            'Not run yet, by seed: LE-Uniform (0 to 2).', '| method | minus CE | minus LS |',
            '| LS | -0.20 +- 0.25 (p 0.148; 0.33) |  |',
            '| LE(Grad) | -0.40 +- 0.25 (p 0.061; 0.33) | -0.20 +- 0.43 (p 0.184; 0.57) |',
            '- LE(Grad) ahead of CE (by 0.29): holds (+0.40 +- 0.25, p 0.040, 3 trials)',
            '- LE(Grad) ahead of LS (by 0.15): undecided (+0.20 +- 0.43, p 0.184, 3 trials)'):
        assert line in lines, line
    assert lines[-2:] == ['- a note', '- a fact']
    several = markdown('T', table_of(cells() + cells('CNN')), (), ())
    assert '| CNN | CE | 98.61 +- 0.05 | 98.60 +- 0.10 | -0.01 | 3 |' in several
    assert '- CNN: LE(Grad) ahead of CE' in several


def test_one_seed_has_no_interval():
    rows = [(row, 'R', row, None, records([90.0])) for row in ('CE', 'LS')]
    lines = markdown('T', table(rows, references=('CE',), trials=1), (), ()).splitlines()
    assert 'Points, above 0 is better. Differences that do not scatter have no interval.' in lines
    assert '| LS | +0.00 (one seed) |' in lines


def test_differences_that_are_all_alike_decide_nothing():
    rows = [('CE', 'R', 'a', (87.0, 0.1), records([90.0, 90.5])),
            ('LE', 'R', 'b', (88.0, 0.1), records([90.03, 90.53]))]
    lines = markdown('T', table(rows, references=('CE',), ordered=('LE',), trials=2), (), ()).splitlines()
    assert '| LE | +0.03 (alike on 2 seeds) |' in lines
    assert '- LE ahead of CE (by 1.00): undecided, alike on 2 seeds (+0.03, 2 trials)' in lines


def test_csv():
    rows = [*csv.DictReader(io.StringIO(csv_text(table_of(cells(), error=True))))]
    assert [row['row'] for row in rows] == ['CE', 'LS', 'LE-Uniform', 'LE(Grad)']
    assert float(rows[3]['mean']) == pytest.approx(1.0) and rows[3]['seeds'] == '0 1 2' and rows[2]['mean'] == ''
    assert float(rows[3]['difference_to_CE']) == pytest.approx(-0.4) and rows[0]['difference_to_CE'] == ''
    assert float(rows[3]['p_holm_to_LS']) == pytest.approx(ttest_rel(LE, LS).pvalue)  # the largest of three


def test_the_files_of_a_table(tmp_path):
    """Of errors as of accuracies: what the numbers are is said in the text, and they are in all three files.

    Of the grid's whole name, a dot included.
    """
    for error, mean, sign in (False, 91.0, 1), (True, 9.0, -1):
        configs = [config_of('ce'), config_of('label_smoothing')]
        grid = Grid('small-0.5', 'Small', tuple(Cell(row, 'R', config, (90.5, 0.1)) for row, config in zip(
            ('CE', 'LS'), configs)), ('a note',), error, trials=2)
        found = {cell_name(config): {seed: {**RECORD, 'seed': seed, 'test_accuracy': value + seed}
                                     for seed in (0, 1)} for config, value in zip(configs, (89.5, 90.5))}
        text = report(grid, found, tmp_path)
        assert (tmp_path / 'small-0.5.md').read_text() == text and '- a note' in text
        assert ('test error (%)' if error else 'test accuracy (%)') in text
        assert f"Points, {'below' if error else 'above'} 0 is better" in text
        assert f'{mean:.2f} +- 0.71' in text
        whole = json.loads((tmp_path / 'small-0.5.json').read_text())
        assert whole['error'] is error and whole['rows'][1]['mean'] == pytest.approx(mean)
        assert whole['comparisons'][0]['difference'] == pytest.approx(sign)
        rows = [*csv.DictReader((tmp_path / 'small-0.5.csv').read_text().splitlines())]
        assert float(rows[1]['mean']) == pytest.approx(mean) and float(rows[0]['paper_std']) == 0.1


def test_two_rows_that_are_both_asked_about_are_one_pair():
    """Or Holm's correction would count it twice."""
    rows = [(row, 'R', row, (paper, 0.1), records([paper, paper + 1])) for row, paper in
            (('LE', 88.0), ('LS', 87.0), ('CE', 86.0))]
    found = table(rows, ordered=('LE', 'LS'))['orderings']
    assert [(one['better'], one['worse']) for one in found] == [('LE', 'LS'), ('LE', 'CE'), ('LS', 'CE')]


def test_errors_have_no_more_digits_than_accuracies():
    """100 - 98.61 is 1.3900000000000006 in floating-point numbers."""
    ce, *_ = table_of(cells(), error=True)['rows']
    assert (ce['paper_mean'], [*ce['values'].values()]) == (1.39, [round(100 - value, 2) for value in CE])
