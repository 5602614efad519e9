"""Finished runs side by side: means over seeds, and differences between runs on the same seeds."""
import os

from ikd.config import IMAGES
from ikd.tables.markdown import lines_of, unscattered
from ikd.tables.statistics import mean_and_std, on_common_seeds, paired_difference
from ikd.words import number

MEASURES = {'test_accuracy': 2, 'test_nll': 3, 'test_ece': 3}  # decimals


def labels_of(summaries, workdirs, settings):
    """What runs are called in a table: method, explainer, virtual attention, and the network where they have several.

    Those that would be called alike are `told_apart`; settings: of each run the fields that say what it is.
    """
    several = len({summary['model'] for summary in summaries}) > 1
    names = [', '.join(filter(None, (f"`{summary['method']}`", summary['explainer'],
                                     'vam' if summary.get('vam') else '', summary['model'] if several else '')))
             for summary in summaries]
    return told_apart(names, [*map(os.path.normpath, workdirs)], settings)


def told_apart(names, places, settings):
    """The names; those that several have with, in brackets, the fields that differ, up to three, or their places."""
    def told(i):
        alike = [there for name, there in zip(names, settings) if name == names[i]]
        if len(alike) == 1:
            return names[i]
        fields = [field for field in settings[i] if any(there.get(field) != settings[i][field] for there in alike)]
        said = [', '.join(f'{field}={there.get(field)}' for field in fields) for there in alike]
        apart = len(fields) <= 3 and len({*said}) == len(alike)
        mine = ', '.join(f'{field}={settings[i][field]}' for field in fields)
        return f'{names[i]} ({mine if apart else places[i]})'

    return [told(i) for i in range(len(names))]


def same_data(one, other):
    """Whether two runs, (summary or None, fields) each, are of the same data; else they are not subtracted.

    By what their fields say of it, and by the checksums of images of one size, where both noted one.
    """
    (summary, fields), (base, its_fields) = one, other
    if any(fields.get(field) != its_fields.get(field) for field in IMAGES):
        return False
    sums = [(told or {}).get('data_checksum') for told in (summary, base)]
    return fields.get('data.size') != its_fields.get('data.size') or None in sums or sums[0] == sums[1]


def comparison(summaries, labels, settings):
    """A Markdown table: mean +- standard deviation over all seeds, and accuracy paired with the first run.

    summaries: contents of `summary.json` of each run; settings: as for `labels_of`. Accuracy in percent, its
    difference in points with a 95 % interval over the seeds that both runs have, if they are of the same data; NLL in
    nats; ECE in [0, 1].
    """
    rows = []
    for summary, name, fields in zip(summaries, labels, settings):
        trials = summary['trials']
        cells = [number(*mean_and_std([trial[measure] for trial in trials]), digits)
                 for measure, digits in MEASURES.items()]
        same = same_data((summary, fields), (summaries[0], settings[0]))
        cells.insert(1, 'other data' if not same else minus(summary, summaries[0]) if rows else '')
        seconds, _ = mean_and_std([trial['train_seconds'] for trial in trials])
        rows.append([name, *cells, f'{seconds:.0f}', str(len(trials))])
    head = ['method', 'accuracy (%)', f'minus {labels[0]}', 'NLL (nats)', 'ECE', 'training (s)', 'seeds']
    return '\n'.join(lines_of(head, rows)) + '\n'


def minus(summary, base):
    """`+1.50 +- 0.35`, the difference in accuracy on the seeds that both have; nothing without any."""
    ours, theirs = on_common_seeds(*({trial['seed']: trial['test_accuracy'] for trial in one['trials']}
                                     for one in (summary, base)))
    if not ours:
        return ''
    mean, half = paired_difference(ours, theirs)
    return number(mean, half, sign='+') + (f' ({unscattered(len(ours))})' if half is None else '')
