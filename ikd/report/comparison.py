"""Finished runs side by side: means over seeds, and differences between runs on the same seeds."""
import os

import numpy as np

from ikd.report.statistics import paired_difference

DATA = ('dataset', 'train_images', 'test_images')
MEASURES = {'test_accuracy': 2, 'test_nll': 3, 'test_ece': 3}  # decimals


def labels_of(summaries, workdirs, settings):
    """What runs are called in a table: method, explainer, virtual attention, and the network where they have several.

    Those that would be called alike are `told_apart`; settings: of each run the fields that say what it is.
    """
    several = len({summary['model'] for summary in summaries}) > 1
    names = [', '.join(filter(None, (f"`{summary['method']}`", summary['explainer'], 'vam' if summary['vam'] else '',
                                     summary['model'] if several else ''))) for summary in summaries]
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


def values(summary, name, seeds):
    """A measure of the summary's trials of these seeds."""
    of = {trial['seed']: trial[name] for trial in summary['trials']}
    return [of[seed] for seed in seeds]


def comparison(summaries, labels):
    """A Markdown table: mean +- standard deviation over all seeds, and accuracy paired with the first run.

    summaries: contents of `summary.json` of each run. Accuracy in percent, its difference in points with a 95 %
    interval over the seeds that both runs have, if they are of one data set; NLL in nats; ECE in [0, 1].
    """
    lines = [f'| method | accuracy (%) | minus {labels[0]} | NLL (nats) | ECE | training (s) | seeds |',
             '|---|---|---|---|---|---|---|']
    base = summaries[0]
    for i, (summary, name) in enumerate(zip(summaries, labels)):
        seeds = [trial['seed'] for trial in summary['trials']]
        cells = []
        for measure, digits in MEASURES.items():
            found = values(summary, measure, seeds)
            spread = f' +- {np.std(found, ddof=1):.{digits}f}' if len(found) > 1 else ''
            cells.append(f'{np.mean(found):.{digits}f}{spread}')
        common = sorted({*seeds} & {trial['seed'] for trial in base['trials']})
        if any(summary[field] != base[field] for field in DATA):
            cells.insert(1, 'other data')
        elif i and common:
            mean, half = paired_difference(*(values(s, 'test_accuracy', common) for s in (summary, base)))
            spread = f' +- {half:.2f}' if half is not None else ' (one seed)' if len(common) == 1 else ''
            cells.insert(1, f'{round(mean, 2) + 0.0:+.2f}{spread}')
        else:
            cells.insert(1, '')
        seconds = np.mean([trial['train_seconds'] for trial in summary['trials']])
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds:.0f} | {len(seeds)} |")
    return '\n'.join(lines) + '\n'
