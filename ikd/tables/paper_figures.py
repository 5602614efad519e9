"""Figures 1 to 3 of 2009.09140 as files, from the files of finished cells.

The grids of `configs/figures/` name these functions, and `python -m ikd.reproduce` calls them as `Grid.report`. Each
writes <name>.md, and <name>.json with the numbers, into the folder `results` and returns the former's text.
"""
import functools
import pathlib

import numpy as np

from ikd.evaluation.class_cosines import EXPECTED, most_alike, pair_ranks
from ikd.evaluation.measure import rounded
from ikd.explainers.catalogue import NAMES, called
from ikd.grid import cell_name, picture_path
from ikd.networks import describe
from ikd.pictures.drawn import save_figure
from ikd.pictures.explanations import draw, explanations
from ikd.pictures.matrix import matrix_figure
from ikd.tables.markdown import compared, explain, lines_of, save, text_of
from ikd.tables.ordering import agreement, ordering_figure
from ikd.tables.sources import sources
from ikd.tables.statistics import mean_and_std
from ikd.tables.table import cells_of, table
from ikd.trained import compiled, load
from ikd.validation import resolve
from ikd.words import number

ROWS = {'by_true_class': 'true class', 'all_images': 'class'}  # of a matrix of cosines
READINGS = {'absolute; Grad-CAM as it is': ('absolute', 'as_is'),  # of input gradients, of Grad-CAM
            'signed; Grad-CAM upsampled': ('signed', 'upsampled')}
COUNTS = {'images': 'images', 'undefined': 'undefined correlations'}
AGAINST = {'all': 'every other', 'correct': 'every other, correctly classified', 'runner_up': 'the runner-up'}


def write(results, grid, records, parts, numbers=None):
    """Write the files, <name>.md of `parts`, lists of lines, with the grid's notes; returns its text.

    records: the contents of the cells' files that are shown.
    """
    text = text_of(grid.title, parts, (*grid.notes, *sources(records)))
    save(results, grid.name, text, rounded(numbers))
    return text


def records_of(found, cell, measured=None):
    """The contents of a cell's files, in the order of seeds; if `measured` names something, of those that have it."""
    records = found[cell_name(cell.config)].values()
    return [record for record in records if measured is None or measured in record.get('measured', {})]


def measured(found, cell, what):
    """What was measured of a cell's trials, in the order of seeds."""
    return [record['measured'][what] for record in records_of(found, cell, what)]


def examples(workdir, seed, explainer):
    """Figure 1: the first test image of each class, its maps by an explainer, their cosines. A matplotlib Figure."""
    trained = load(workdir, seed)
    config = trained.config.copy_and_resolve_references()
    config.method.explainer = explainer
    explain = compiled(trained, functools.partial(explanations, config, trained.model))
    title = f'{describe(trained.config)}: {called(explainer)}, its cosine to the map of the true class'
    return draw(explain, trained.dataset, trained.variables, title)


def figure1(grid, found, results):
    """Say which pictures of Figure 1 there are; each is drawn when its network is at hand."""
    lines, records = [], []
    for cell in grid.cells:
        path, there = picture_path(results, grid, cell), 'not drawn yet'
        if path.exists():
            there = f'[{path.name}]({path.name})'
            records += [record for record in records_of(found, cell) if record['seed'] == 0]
        lines.append(f'- {cell.row}, {describe(resolve(cell.config))}: {there}')
    return write(results, grid, records, [lines])


def mean_cosines(found, cell):
    """{explainer: {reading: what Figure 2 shows}} of a cell, means over its trials."""
    trials = measured(found, cell, 'class_cosines')
    class_names = tuple(measured(found, cell, 'class_names')[0])
    pairs = EXPECTED.get(cell.config.data.name, ())
    means = {}
    for explainer in trials[0]:
        for kind in ROWS:
            matrix = np.mean([np.array(trial[explainer][kind], float) for trial in trials], 0)
            means.setdefault(explainer, {})[kind] = {
                'matrix': matrix, 'pairs': pair_ranks(matrix, class_names, pairs),
                'most_alike': ['/'.join(pair) for pair in most_alike(matrix, class_names)],
                'zero_maps': np.mean([trial[explainer]['zero_maps'] for trial in trials])}
    return means


def figure2(grid, found, results):
    """Write Figure 2: a picture for each cell, and where the expected pairs stand among all."""
    numbers, lines, absent = {}, [], []
    for cell in grid.cells:
        config, trials = resolve(cell.config), len(measured(found, cell, 'class_cosines'))
        if not trials:
            absent.append(f'Not run yet: {cell.row}.')
            continue
        numbers[cell.row] = means = mean_cosines(found, cell)
        own, class_names = means[config.method.explainer], measured(found, cell, 'class_names')[0]
        note = ('Framed: the pairs that the paper finds more alike than others. '
                f"{100 * own['all_images']['zero_maps']:.1f} % of the maps are zero; their cosines count as 0. "
                f'Trials: {trials}.')
        matrices = {kind.replace('_', ' '): (own[kind]['matrix'], rows) for kind, rows in ROWS.items()}
        title = f'{describe(config)}: mean cosine between the maps of two classes'
        figure = matrix_figure(matrices, class_names, title, EXPECTED.get(config.data.name, ()), note)
        save_figure(figure, picture_path(results, grid, cell))
        for explainer, kinds in means.items():
            for kind, mean in kinds.items():
                pairs = [f"{name} {one['rank']} ({number(one['cosine'])})" for name, one in mean['pairs'].items()]
                lines.append([cell.row, NAMES[explainer], kind.replace('_', ' '), ', '.join(pairs),
                              ', '.join(mean['most_alike']), str(trials)])
    head = ['data', 'explainer', 'mean', 'expected pairs: rank (cosine)', 'the most alike', 'trials']
    ranks = [*lines_of(head, lines), '', 'Rank 1 is the most alike of all pairs of classes, of the matrix made '
             'symmetric, its diagonal left out.']
    records = [record for cell in grid.cells for record in records_of(found, cell, 'class_cosines')]
    return write(results, grid, records, [absent, ranks if lines else []], numbers)


def read_as(reading, explainer):
    """How the maps of an explainer are read in one of `READINGS`."""
    of_gradients, of_grad_cam = READINGS[reading]
    return of_grad_cam if explainer == 'grad_cam' else of_gradients


def mean_score(trials, explainer, reading, against):
    """Means over trials of `discriminativeness.score`: a dict, None where there is none; None of what one lacks."""
    scores = [trial[explainer][read_as(reading, explainer)][against] for trial in trials if explainer in trial]
    scores = [score for score in scores if score['score'] is not None]
    values = {field: [score[field] for score in scores] for field in scores[0]} if scores else {}
    return {field: None if None in found else float(np.mean(found)) for field, found in values.items()} or None


def by_explainer(found, cells):
    """What Figure 3 shows of a network: accuracies of LE and of `ce` (percent), scores, how far orders agree."""
    (plain,) = [cell for cell in cells if cell.config.method.name == 'ce']
    own = {resolve(cell.config).method.explainer: cell for cell in cells if cell.config.method.name == 'le'}
    accuracies = {explainer: [record['test_accuracy'] for record in records_of(found, own[explainer])]
                  for explainer in NAMES}
    trials = measured(found, plain, 'discriminativeness')
    scores = {reading: {explainer: {against: mean_score(trials, explainer, reading, against) for against in AGAINST}
                        for explainer in NAMES} for reading in READINGS}
    orders = {"the paper's order": list(range(len(NAMES)))}
    if all(accuracies.values()):
        orders['accuracy'] = [float(np.mean(values)) for values in accuracies.values()]
    for reading, of in scores.items():
        if all(one['all'] for one in of.values()):
            orders[f'D ({reading})'] = [one['all']['score'] for one in of.values()]
    pairs = [(a, b) for i, a in enumerate(orders) for b in list(orders)[i + 1:] if not (a[:3] == b[:3] == 'D (')]
    return {'accuracies': accuracies, 'ce': [record['test_accuracy'] for record in records_of(found, plain)],
            'scores': scores, 'agreement': {f'{a} and {b}': agreement(orders[a], orders[b]) for a, b in pairs}}


def panel(column, of):
    """What `ordering_figure` draws of a network."""
    points = {reading: {NAMES[explainer]: tuple(one['all'][field] for field in ('score', 'low', 'high'))
                        for explainer, one in scores.items() if one['all']}
              for reading, scores in of['scores'].items()}
    return (column, {NAMES[explainer]: values for explainer, values in of['accuracies'].items()},
            ('cross-entropy', np.mean(of['ce'])) if of['ce'] else None,
            {reading: found for reading, found in points.items() if found})


def figure3(grid, found, results):
    """Write Figure 3, a row for each network, and its numbers."""
    columns = dict.fromkeys(cell.column for cell in grid.cells)
    networks = {column: by_explainer(found, [cell for cell in grid.cells if cell.column == column])
                for column in columns}
    note = ('Left: mean and sample standard deviation over seeds; grey: each seed. Right: D = 1 - mean |rho| between '
            'the maps of the true class and of every\nother, in the network trained with cross-entropy; bars: 95 % '
            'bootstrap over images. From left to right: the order of discriminativeness that the paper cites.')
    figure = ordering_figure([panel(column, of) for column, of in networks.items()], grid.title, note)
    save_figure(figure, pathlib.Path(results) / f'{grid.name}.png')
    lines = []
    for cell in grid.cells:
        explainer = resolve(cell.config).method.explainer if cell.config.method.name == 'le' else None
        values = [record['test_accuracy'] for record in records_of(found, cell)]
        scores = [of[explainer]['all'] if explainer else None for of in networks[cell.column]['scores'].values()]
        lines.append([cell.column, cell.row, number(*cell.paper) if cell.paper else '', spread(values),
                      str(len(values)), *map(interval, scores)])
    details = [[column, NAMES[explainer], read_as(reading, explainer).replace('_', ' '),
                AGAINST[against], interval(one), number(one['rho']), *(f'{one[name]:.0f}' for name in COUNTS)]
               for column, of in networks.items() for reading, scores in of['scores'].items()
               for explainer, parts in scores.items() for against, one in parts.items() if one]
    orders = [[column, pair, *('undefined' if np.isnan(one[name]) else number(one[name])
                               for name in ('spearman', 'kendall', 'kendall_p'))]
              for column, of in networks.items() for pair, one in of['agreement'].items()]
    records = [record for cell in grid.cells for record in records_of(found, cell)]
    result = table(cells_of(grid, found), references=grid.references)
    differences = [explain(result['comparisons'], 'Points, above 0 is better'), '',
                   *compared(result['rows'], result['comparisons'], [*columns])]
    return write(results, grid, records, [
        lines_of(['network', 'method', 'accuracy (%), the paper', 'ours', 'trials',
                  *(f'D, {reading}' for reading in READINGS)], lines),
        ['## Differences on the same seeds', '', *differences] if result['comparisons'] else [],
        ['## Do the orders agree?', '', *lines_of(['network', 'orders', 'Spearman', 'Kendall', 'p'], orders)],
        ['## Discriminativeness', '', *lines_of(
            ['network', 'explainer', 'maps read as', "the true class's map against", 'D', 'mean rho',
             *COUNTS.values()], details)] if details else []], networks)


def spread(values):
    """`91.21 +- 0.07` of the values of seeds."""
    return number(*mean_and_std(values))


def interval(score):
    """`0.52 [0.50, 0.54]`, `0.52` without an interval."""
    if not score or score['low'] is None:
        return number(score['score']) if score else ''
    return f"{number(score['score'])} [{number(score['low'])}, {number(score['high'])}]"
