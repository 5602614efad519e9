"""Picture of two orders side by side: what explainers teach and how well they tell classes apart (Figure 3)."""
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import kendalltau, spearmanr

from ikd.pictures import COLOURS, in_lines
from ikd.tables.statistics import mean_and_std


def agreement(first, second):
    """How far two scores order the same n >= 2 things alike: a dict.

    `spearman`, `kendall`: correlations in [-1, 1], NaN where one of the scores is constant. `kendall_p`: the exact
    two-sided probability of a Kendall correlation at least as far from 0 between unrelated orders (with ties SciPy's
    approximation); `best_p`: the smallest that n things without ties can give, 2 / n!. Four things have 24 orders, so
    best_p is 0.083: not even complete agreement is significant at 5 %.
    """
    n = len(first)
    with np.errstate(invalid='ignore', divide='ignore'):
        kendall = kendalltau(first, second)
    constant = min(np.ptp(first), np.ptp(second)) == 0
    return {'spearman': np.nan if constant else float(spearmanr(first, second).statistic),
            'kendall': float(kendall.statistic), 'kendall_p': float(kendall.pvalue),
            'best_p': 2 / float(np.prod(np.arange(1, n + 1)))}


def draw_points(axes, place, values, label=None, **style):
    """A point with an error bar at a place: values are (middle, low, high), the last two None for no bar."""
    middle, low, high = values
    bar = None if low is None else [[middle - low], [high - middle]]
    axes.errorbar([place], [middle], bar, marker='o', markersize=6, capsize=4,
                  linestyle='none', label=label, **style)


def draw_accuracies(axes, accuracies, baseline):
    """The left of a row: every seed grey, their mean with an error bar; arguments as of `ordering_figure`."""
    for place, values in enumerate(accuracies.values()):
        if len(values):
            mean, spread = mean_and_std(values)
            axes.plot(np.full(len(values), place), values, '.', color='#999999', markersize=5, zorder=1)
            draw_points(axes, place, (mean, mean - (spread or 0), mean + (spread or 0)), color=COLOURS[0])
        else:
            axes.text(place, 0.03, 'not run', transform=axes.get_xaxis_transform(), ha='center', fontsize=8,
                      color='#777777')
    if baseline:
        axes.axhline(baseline[1], color='#555555', linestyle='--', linewidth=1, label=f'{baseline[0]} (mean)')
        axes.legend(fontsize=8, loc='best')
    elif not any(map(len, accuracies.values())):
        axes.set_yticks([])


def draw_scores(axes, explainers, scores):
    """The right of a row: the readings of each explainer beside each other; arguments as of `ordering_figure`."""
    for i, (reading, found) in enumerate(scores.items()):
        shift = (i - (len(scores) - 1) / 2) * 0.12
        for j, (explainer, values) in enumerate(found.items()):
            draw_points(axes, explainers.index(explainer) + shift, values, reading if j == 0 else None,
                        color=COLOURS[i % len(COLOURS)])
    if scores:
        axes.legend(fontsize=8, loc='best')
    axes.set_ylim(-0.03, 1.03)


def ordering_figure(panels, title, note=''):
    """Figure 3, a row for each network: accuracy by explainer on the left, discriminativeness on the right.

    panels: a list of (name, accuracies, baseline, scores). accuracies: explainer -> [values of the seeds], percent;
    baseline: (name, percent) of a line across, or None; scores: reading -> {explainer: (middle, low, high)}, in
    [0, 1]. Explainers stand in the order of `accuracies`, in both; one without values says so in its place. Error
    bars of accuracies: sample standard deviation over seeds, one seed has none. Returns a matplotlib Figure.
    """
    rows = len(panels)
    below = 0.25 + 0.2 * (note.count('\n') + 1)
    title = in_lines(title, 120)
    above = 0.85 + 0.2 * title.count('\n')
    height = 3.1 * rows + above - 0.35 + below
    figure = Figure(figsize=(10.5, height), dpi=110)
    grid = figure.subplots(rows, 2, squeeze=False)
    figure.subplots_adjust(0.075, (below + 0.45) / height, 0.985, 1 - above / height, wspace=0.2, hspace=0.42)
    figure.text(0.015, 1 - 0.12 / height, title, fontsize=11, va='top')
    figure.text(0.015, 0.1 / height, note, fontsize=8, va='bottom', color='#333333')
    for (name, accuracies, baseline, scores), (left, right) in zip(panels, grid):
        explainers = list(accuracies)
        draw_accuracies(left, accuracies, baseline)
        draw_scores(right, explainers, scores)
        left.set_title(f'{name}: test accuracy of LE (%)', fontsize=10, loc='left')
        right.set_title(f'{name}: class-discriminativeness', fontsize=10, loc='left')
        for axes in (left, right):
            axes.set_xticks(range(len(explainers)), explainers, fontsize=9)
            axes.set_xlim(-0.5, len(explainers) - 0.5)
            axes.tick_params(axis='y', labelsize=8)
            axes.grid(axis='y', color='#dddddd')
            axes.set_axisbelow(True)
    return figure
