"""What `python -m ikd.evaluate` has measured of a run's network, as a part of a report."""
import shlex

from ikd.files import read_json
from ikd.report.html import command_line, element, join, paragraph, picture, table
from ikd.tables.evaluation import attack_table, corruption_table, directions, measure_table, remarks
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
    command = command_line(shlex.join(['python', '-m', 'ikd.evaluate', f'--workdir={run.workdir}']))
    if found is None:
        return paragraph('Not evaluated yet. ', command, ' measures calibration, robustness and how faithful the '
                         'explanations are.', class_='note')
    try:
        parts = [paragraph(facts(found)), robustness(found), explainers(found)]
    except (AttributeError, LookupError, TypeError, ValueError):
        return paragraph('evaluation.json lacks what is shown here. ', command, ' writes it again.', class_='note')
    pictures = [picture((folder / f'{name}.png').read_bytes(), name, caption) for name, caption in PICTURES.items()
                if (folder / f'{name}.png').is_file()]
    return join(*parts, element('div', *pictures, class_='pictures'))


def facts(found):
    """A sentence: what was evaluated, how good it is; another: what it confuses."""
    run, network = found['run'], found['network']
    text = (f"The network of seed {run['seed']} on {run['test_images']} test images: accuracy "
            f"{number(network['accuracy'])} %, NLL {number(network['nll'], decimals=3)} nats, ECE "
            f"{number(network['ece'], decimals=3)}.")
    pairs = confused(network['confusion'], network['class_names'])
    return text + (f" Most often confused: {', '.join(pairs)}." if pairs else '')


def confused(matrix, names):
    """`4 taken for 9 (12)` for the largest numbers off the diagonal of a confusion matrix [k, k], rows true."""
    counts = [(count, i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) if i != j and count]
    return [f'{names[i]} taken for {names[j]} ({count})'
            for count, i, j in sorted(counts, key=lambda one: -one[0])[:MOST_CONFUSED]]


def robustness(found):
    """Accuracy under attack and of corrupted images."""
    network, parts = found['network'], []
    for title, (head, rows), says in (
            ('Under attack', attack_table(network), 'Accuracy (%) where each pixel may change by so much at most'),
            ('Corrupted images', corruption_table(network), 'Accuracy (%) by severity')):
        if rows:
            caption = f"{says}; the first {found['run']['robustness_images']:,} test images."
            parts += [element('h3', title), table(head, rows, caption)]
    return join(*parts)


def explainers(found):
    """Measures of each explainer with intervals, and why some explainers are absent."""
    head, rows = measure_table(found['explainers'], estimate)
    absent = '; '.join(f'{name}: {reason}' for name, reason in found['not_applicable'].items())
    if not rows and not absent:
        return None
    caption = (f"Mean over {found['run']['images']} test images, its 95 % interval. "
               f"{directions(head).replace('_', ' ')}{remarks(found)}")
    return join(element('h3', 'Explainers'),
                table([cell.replace('_', ' ') for cell in head], rows, caption) if rows else None,
                paragraph(f'Not applicable: {absent}.', class_='note') if absent else None)


def estimate(one):
    """`0.520`, below it `[0.500, 0.540]`."""
    value, low, high = (one[field] if one[field] is None else number(one[field], decimals=3)
                        for field in ('value', 'low', 'high'))
    return value if low is None else join(value, element('small', f'[{low}, {high}]'))
