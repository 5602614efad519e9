"""What `python -m ikd.evaluate` shows of its numbers: pictures, and tables as text."""
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from ikd.evaluation.explanations import MEASURES
from ikd.pictures import COLOURS, in_lines
from ikd.pictures.matrix import FIELD, MOST_NUMBERED
from ikd.tables.markdown import lines_of
from ikd.words import number

MOST_NAMED = 100  # classes whose names have room


def reliability_figure(network, title):
    """The reliability diagram (Guo et al. 2017, figure 1), and below how many images each bin has.

    network: with `reliability`, `ece`, `accuracy`, as in evaluation.json. Returns a matplotlib Figure.
    """
    bins = [one for one in network['reliability'] if one['count']]
    left, width = [one['low'] for one in bins], bins[0]['high'] - bins[0]['low']
    figure = Figure(figsize=(5, 5.9), dpi=110, layout='constrained')
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    figure.suptitle(in_lines(title, 60), fontsize=10)
    upper.plot([0, 1], [0, 1], color='#888888', linewidth=1, linestyle='--', label='perfectly calibrated')
    upper.bar(left, [one['accuracy'] for one in bins], width, align='edge', color=COLOURS[0], edgecolor='white',
              label='accuracy')
    upper.plot([one['confidence'] for one in bins], [one['accuracy'] for one in bins], 'o', color=COLOURS[1],
               markersize=4, label='at the mean confidence')
    upper.set(ylabel='accuracy', ylim=(0, 1.02), xlim=(0, 1))
    upper.set_title(f"ECE {number(network['ece'], decimals=4)}, accuracy {number(network['accuracy'])} %", fontsize=9)
    figure.legend(loc='outside lower center', ncols=3, fontsize=8, frameon=False)
    lower.bar(left, [one['count'] for one in bins], width, align='edge', color='#999999', edgecolor='white')
    lower.set(xlabel='confidence', ylabel='images', yscale='log', ylim=(0.8, None))
    return figure


def confusion_figure(network, title):
    """How many images of a class are taken for which, as a matrix; colours are shares of the true class.

    network: with `confusion` and `class_names`. Up to 20 classes have their numbers, more a bar of colours; up to
    100 have their names. Returns a matplotlib Figure.
    """
    counts, names = np.array(network['confusion']), network['class_names']
    k = len(names)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    longest = max(map(len, names)) if k <= MOST_NAMED else 0
    side = FIELD * min(k, MOST_NUMBERED) + 0.09 * longest + 1.6
    figure = Figure(figsize=(side, side), dpi=110, layout='constrained')
    axes = figure.subplots()
    scale = PowerNorm(0.5, 0, 1)  # as what is seldom is what is looked for
    drawn = axes.imshow(shares, cmap='Blues', norm=scale)
    size = 9 if k <= MOST_NUMBERED else max(3, 170 / k)
    if k <= MOST_NAMED:
        axes.set_xticks(range(k), names, rotation=90 if longest > 3 else 0, fontsize=size, parse_math=False)
        axes.set_yticks(range(k), names, fontsize=size, parse_math=False)
    else:
        axes.set(xticks=[], yticks=[])
    figure.suptitle(in_lines(title, 14 * side), fontsize=9)
    axes.set(xlabel='predicted', ylabel='true class')
    if k <= MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                axes.text(column, row, count, fontsize=8 if count < 1000 else 6.5, ha='center', va='center',
                          color='white' if shares[row, column] > 0.3 else 'black')
    else:
        figure.colorbar(drawn, ax=axes, fraction=0.04, label='share of the true class').ax.tick_params(labelsize=8)
    return figure


def curves_figure(result, title):
    """Deletion and insertion curves of every explainer, and the areas under them. Returns a matplotlib Figure."""
    kinds = [kind for kind in ('deletion', 'insertion') if any(kind in curve for curve in result['curves'].values())]
    figure = Figure(figsize=(4.6 * len(kinds), 4.4 + 0.1 * len(result['curves'])), dpi=110, layout='constrained')
    title = f"{title}: {result['run']['images']} test images"
    figure.suptitle(in_lines(title, 56 * len(kinds)), fontsize=10)
    for kind, axes in zip(kinds, figure.subplots(1, len(kinds), squeeze=False)[0]):
        for place, (name, curve) in enumerate(result['curves'].items()):
            area = number(result['explainers'][name][kind]['value'], decimals=3)
            axes.plot(curve['fractions'], curve[kind], color=COLOURS[place % len(COLOURS)],
                      linestyle='-' if place < len(COLOURS) else '--', label=f'{name} {area}', linewidth=1.5)
        axes.set(ylim=(0, 1.02), xlim=(0, 1), ylabel='probability of the predicted class',
                 xlabel=f"share of pixels {'deleted' if kind == 'deletion' else 'inserted'}, most salient first")
        axes.set_title(f'{kind}: {MEASURES[kind]} is better', fontsize=9)
        axes.legend(fontsize=7.5, title='area', title_fontsize=7.5, loc='upper center', bbox_to_anchor=(0.5, -0.14),
                    ncols=2, frameon=False)
    return figure


def directions(measures):
    """`Better: deletion low, insertion high.`"""
    return f"Better: {', '.join(f'{one} {MEASURES[one]}' for one in measures if one in MEASURES)}."


def remarks(result):
    """` grad_cam has the run's options: relu False.` where these are not the default ones, and whose confusions."""
    run, explainers = result['run'], result['explainers']
    changed = [f"{name} {run['explainer_options'][name]}" for name in run['changed_options']]
    shown = changed and run['explainer'] in explainers
    options = f" {run['explainer']} has the run's options: {', '.join(changed)}." if shown else ''
    other = run['confused'] if any('likeness' in found for found in explainers.values()) else None
    return options + (f' Likeness compares maps with what {other}, confuses.' if other else '')


def attack_table(network):
    """(head, rows) of cells: accuracy under each attack by how far pixels may change; no rows without attacks."""
    accuracy = {(one['attack'], one['epsilon']): number(one['accuracy']) for one in network['adversarial']}
    epsilons, clean = sorted({epsilon for _, epsilon in accuracy}), number(network['robustness_accuracy'])
    rows = [[attack.upper(), clean, *(accuracy[attack, epsilon] for epsilon in epsilons)]
            for attack in dict.fromkeys(attack for attack, _ in accuracy)]
    return ['attack', 'none', *(f'{epsilon:g}/255' for epsilon in epsilons)], rows


def corruption_table(network):
    """(head, rows) of cells: accuracy under each corruption by severity; no rows without any."""
    clean = number(network['robustness_accuracy'])
    rows = [[kind.replace('_', ' '), clean, *map(number, values), number(np.mean(values))]
            for kind, values in network['corruptions'].items()]
    return ['corruption', 'none', *'12345', 'mean'], rows


def measure_table(explainers, shown):
    """(head, rows) of cells: each explainer's measures, by `shown` as text; those without a value are empty."""
    measures = [name for name in MEASURES if any(name in found for found in explainers.values())]
    cell = lambda found: '' if found is None or found['value'] is None else shown(found)
    rows = [[name, *(cell(found.get(one)) for one in measures)] for name, found in explainers.items()]
    return ['explainer', *measures], rows


def text(result, title):
    """The numbers as Markdown tables, for a terminal."""
    network, run = result['network'], result['run']
    parts = [[f"{title}: accuracy {number(network['accuracy'])} %, NLL {number(network['nll'], decimals=3)} nats, "
              f"ECE {number(network['ece'], decimals=4)} ({run['test_images']:,} test images)"]]
    for how, (head, rows) in ('attacked', attack_table(network)), ('corrupted, severity', corruption_table(network)):
        if rows:
            first = f"accuracy (%) of the first {run['robustness_images']:,} test images, {how}"
            parts.append(lines_of([first, *head[1:]], rows))
    head, rows = measure_table(result['explainers'], lambda found: number(found['value'], decimals=3))
    if rows:
        parts += [[*lines_of(head, rows), f"{directions(head)} {run['images']} test images; intervals are in "
                   f'evaluation.json.{remarks(result)}']]
    parts += [[f'{name} does not apply: {why}' for name, why in result['not_applicable'].items()]]
    return '\n\n'.join('\n'.join(part) for part in parts if part) + '\n'
