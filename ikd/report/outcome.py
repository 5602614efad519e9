"""What came of runs, for their report: a sentence, the number, the final table, differences on the same seeds."""
from ikd.explainers.catalogue import called
from ikd.recipes import EXPLAINED
from ikd.report.html import element, folded, join, paragraph, table
from ikd.tables.comparison import MEASURES, same_data
from ikd.tables.statistics import (
    detectable_difference,
    holm,
    mean_and_std,
    mean_interval,
    on_common_seeds,
    paired_difference,
    paired_p,
    share_interval,
)
from ikd.words import number, p_value, plural, spans

NAMES_OF = {'test_accuracy': 'accuracy (%)', 'test_nll': 'NLL (nats)', 'test_ece': 'ECE'}


def shown(mean, spread=None, decimals=2, sign=''):
    """`words.number` with the signs of print."""
    return number(mean, spread, decimals, sign).replace('+-', '±').replace('-', '\N{MINUS SIGN}')


def sentence(run):
    """What was run, in a sentence."""
    fields, seeds = run.fields, [trial['seed'] for trial in run.trials]
    method = fields['method.name']
    how = f'the method {method}'
    if method in EXPLAINED:
        whose = "the warm-up's" if method.startswith('le_frozen') else "the network's own"
        how += f", from {whose} {called(fields['method.explainer'])} explanations"
    images = f" ({run.summary['train_images']:,} training images)" if run.summary else ''
    return (f"The network {fields['model.name']} learns {fields['data.name']}{images} by {how}: "
            f"{plural(fields['epochs'], 'epoch')}, {plural(len(seeds), 'trial')}, seed{'s' * (len(seeds) > 1)} "
            f'{spans(sorted(seeds))}.')


def headline(run):
    """The number and its interval: over trials, or over test images where there is one trial."""
    accuracies = [*run.values('test_accuracy').values()]
    mean, half = mean_interval(accuracies)
    if run.summary is None:
        half, about = None, f"test accuracy so far, {plural(len(accuracies), 'trial')}, {reached(run)}"
    elif half is not None:
        about = f'test accuracy: the mean of {len(accuracies)} trials and half of its 95 % interval (t)'
    else:
        n = run.summary['test_images']
        low, high = (100 * bound for bound in share_interval(mean / 100, n))
        which = 'of one trial' if len(accuracies) == 1 else f'alike in {len(accuracies)} trials'
        about = f'test accuracy {which}; 95 % interval for {n:,} test images: {low:.2f} to {high:.2f}'
    return paragraph(element('b', f'{shown(mean, half)} %'), element('span', about), class_='headline')


def reached(run):
    """`stage teacher`: which networks the numbers of an unfinished run are of."""
    found = [*dict.fromkeys(trial['stage'] for trial in run.trials)]
    return f"stage{'s' * (len(found) > 1)} {', '.join(found)}"


def run_name(i, run):
    """The run's name in its colour, and, where it is not finished, that and how far it is."""
    return element('span', run.name, f' (unfinished, {reached(run)})' if run.summary is None else '',
                   class_=f'run run{i}')


def final(runs):
    """The final table, every trial, and what differs on the same seeds."""
    head = ['', 'accuracy (%)', '95 % interval', 'NLL (nats)', 'ECE', 'training (s)', 'trials']
    rows = [[run_name(i, run), *summary_cells(run)] for i, run in enumerate(runs)]
    held_out = any(run.fields.get('data.holdout') for run in runs)
    caption = (f"{'Images held out of the training set' if held_out else 'Test set'}, last epoch: mean ± sample "
               "standard deviation over trials; 95 % interval of the mean accuracy (Student's t), which one trial "
               'has not. NLL: negative log-likelihood; ECE: expected calibration error, 15 bins. Training: seconds a '
               'trial, of all stages, compilation included.')
    return join(table(head, rows, caption), differences(runs), folded('Every trial', every_trial(runs)))


def summary_cells(run):
    """The cells of a run in the final table; trials that are not finished, at unlike epochs, have no spread."""
    cells = []
    for measure, decimals in MEASURES.items():
        mean, std = mean_and_std(run.values(measure).values())
        cells.append(shown(mean, std if run.summary else None, decimals))
    _, half = mean_interval([*run.values('test_accuracy').values()])
    cells.insert(1, f'± {half:.2f}' if run.summary and half is not None else '')
    seconds, _ = mean_and_std(run.values('train_seconds').values())
    return [*cells, f'{seconds:,.0f}', len(run.trials)]


def every_trial(runs):
    """A row for each trial: its numbers, and how good the networks are that it learnt from."""
    teachers = [*dict.fromkeys(name for run in runs for trial in run.trials for name in trial.get('teachers', {}))]
    rows = []
    for i, run in enumerate(runs):
        for trial in run.trials:
            own = trial.get('teachers', {})
            rows.append([run_name(i, run), trial['seed'],
                         *(shown(trial[name], decimals=digits) for name, digits in MEASURES.items()),
                         f"{trial['train_seconds']:,.1f}", *(shown(own[t]) if t in own else '' for t in teachers)])
    return table(['', 'seed', *NAMES_OF.values(), 'training (s)', *(f'{name} (%)' for name in teachers)], rows)


def differences(runs):
    """The first run minus each other on the same data, on the seeds that both have finished; None without any.

    Runs on other data are named.
    """
    first, *others = runs
    elsewhere, pairs = [], []
    for run in others:
        if not same_data((run.summary, run.fields), (first.summary, first.fields)):
            elsewhere.append(run.name)
        elif first.summary and run.summary:
            both = {name: on_common_seeds(first.values(name), run.values(name)) for name in ('seed', *MEASURES)}
            if both['seed'][0]:
                pairs.append((run.name, both))
    note = paragraph(f"Not subtracted, as the data are others: {', '.join(elsewhere)}.",
                     class_='note') if elsewhere else None
    if not pairs:
        return note
    rows = []
    for (name, both), p in zip(pairs, holm([paired_p(*both['test_accuracy']) for _, both in pairs])):
        cells = [shown(*paired_difference(*both[measure]), digits, '+') for measure, digits in MEASURES.items()]
        found = detectable_difference(*both['test_accuracy'])
        rows.append([f'{first.name} \N{MINUS SIGN} {name}', *cells,
                     '' if p is None else p_value(p),
                     '' if found is None else f'{found:.2f}', spans(both['seed'][0])])
    caption = ('Paired by seed: mean difference ± half of its 95 % interval (t with one degree of freedom fewer than '
               "seeds); p of the accuracies, two-sided, Holm's correction over the rows; detectable: the smallest "
               'true difference in accuracy that so many seeds with this scatter detect with 80 % power. '
               'One seed, and differences that are all alike, have no interval.')
    return join(element('h3', 'Differences on the same seeds'),
                table(['', 'accuracy (points)', 'NLL (nats)', 'ECE', 'p', 'detectable', "seeds' numbers"], rows,
                      caption), note)
