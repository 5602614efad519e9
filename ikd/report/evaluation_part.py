"""What `python -m ikd.evaluate` has measured of a run's network, as a part of a report."""
import shlex

import numpy as np

from ikd.files import read_json
from ikd.report.evaluation import directions, remarks
from ikd.report.html import command_line, element, join, paragraph, picture, table
from ikd.words import number

PICTURES = {
    'reliability': 'How often predictions are right, by how sure the network is of them.',
    'confusion': 'Confusion matrix: true classes in rows, predictions in columns.',
    'faithfulness': 'Deletion and insertion: the probability of the predicted class as pixels are taken away or put '
                    'back, those that an explainer finds most important first.'}
MOST_CONFUSED = 5


def evaluation(run):
    """The part's Html: tables, pictures, or the command that makes them."""
    folder = run.workdir / 'evaluation'
    found = read_json(folder / 'evaluation.json')
    if found is None:
        command = shlex.join(['python', '-m', 'ikd.evaluate', f'--workdir={run.workdir}'])
        return paragraph('Not evaluated yet. ', command_line(command), ' measures calibration, robustness and how '
                         'faithful the explanations are.', class_='note')
    network = found.get('network', {})
    pictures = [picture((folder / f'{name}.png').read_bytes(), name, caption) for name, caption in PICTURES.items()
                if (folder / f'{name}.png').is_file()]
    return join(paragraph(facts(found)), *adversarial(network), *corruptions(found), *explainers(found),
                element('div', *pictures, class_='pictures'))


def facts(found):
    """A sentence: what was evaluated, how good it is, what it confuses."""
    run, network = found.get('run', {}), found.get('network', {})
    known = [f"{name} {number(network[field], decimals=digits)}{unit}" for field, name, digits, unit in
             (('accuracy', 'accuracy', 2, ' %'), ('nll', 'NLL', 3, ' nats'), ('ece', 'ECE', 3, ''))
             if network.get(field) is not None]
    images = run.get('test_images', run.get('images', '?'))  # `images` are those whose explanations were judged
    start = f"The network of seed {run.get('seed', '?')} on {images} test images"
    text = f"{start}: {', '.join(known)}." if known else f'{start}.'
    pairs = confused(network.get('confusion') or [], network.get('class_names') or [])
    if pairs:
        text += f" Most often confused: {', '.join(pairs)}."
    return text


def confused(matrix, names):
    """`4 taken for 9 (12)` for the largest numbers off the diagonal of a confusion matrix [k, k], rows true."""
    counts = [(count, i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) if i != j and count]
    return [f'{names[i]} taken for {names[j]} ({count})'
            for count, i, j in sorted(counts, key=lambda one: -one[0])[:MOST_CONFUSED]]


def adversarial(network):
    """Accuracy under attack by the size of the change."""
    attacks = network.get('adversarial') or []
    sizes = sorted({attack['epsilon'] for attack in attacks})
    of = {(attack['attack'], attack['epsilon']): number(attack['accuracy']) for attack in attacks}
    rows = [[name.upper(), *unchanged(network), *(of.get((name, size), '') for size in sizes)]
            for name in dict.fromkeys(attack['attack'] for attack in attacks)]
    if not rows:
        return []
    head = ['attack', *('none' for _ in unchanged(network)), *(f'{size:g}/255' for size in sizes)]
    return [element('h3', 'Under attack'), table(
        head, rows, 'Accuracy (%) where each pixel may change by so much at most; the first '
        f"{max(attack['images'] for attack in attacks):,} test images at most.")]


def unchanged(network):
    """Accuracy on the very images, as they are: a list of one cell, or of none in evaluations that do not have it."""
    known = network.get('robustness_accuracy')
    return [] if known is None else [number(known)]


def corruptions(found):
    """Accuracy under each corruption by severity."""
    images = found.get('run', {}).get('robustness_images')
    network = found.get('network', {})
    kinds = network.get('corruptions') or {}
    rows = [[kind.replace('_', ' '), *unchanged(network), *map(number, values), number(np.mean(values))]
            for kind, values in kinds.items()]
    if not rows:
        return []
    severities = [str(i + 1) for i in range(max(map(len, kinds.values())))]
    head = ['corruption', *('none' for _ in unchanged(network)), *severities, 'mean']
    return [element('h3', 'Corrupted images'),
            table(head, rows, 'Accuracy (%) by severity'
                  f"{f'; the first {images:,} test images' if images else ''}.")]


def explainers(found):
    """Measures of each explainer with intervals, and why some explainers are absent."""
    measured = found.get('explainers') or {}
    measures = [*dict.fromkeys(measure for of in measured.values() for measure in of)]
    rows = [[name, *(estimate(of.get(measure)) for measure in measures)] for name, of in measured.items()]
    parts = [element('h3', 'Explainers')] if rows or found.get('not_applicable') else []
    if rows and measures:
        parts.append(table(['explainer', *(measure.replace('_', ' ') for measure in measures)], rows,
                           f"Mean over {found.get('run', {}).get('images', 'the')} test images, its 95 % interval. "
                           f"{directions(measures).replace('_', ' ')}{remarks(found)}"))
    absent = '; '.join(f'{name}: {reason}' for name, reason in (found.get('not_applicable') or {}).items())
    return parts + ([paragraph(f'Not applicable: {absent}.', class_='note')] if absent else [])


def estimate(one):
    """`0.520`, below it `[0.500, 0.540]`; nothing where there is no value."""
    if not one or one.get('value') is None:
        return ''
    if None in (one.get('low'), one.get('high')):
        return number(one['value'], decimals=3)
    value, low, high = (number(one[field], decimals=3) for field in ('value', 'low', 'high'))
    return join(value, element('small', f'[{low}, {high}]'))
