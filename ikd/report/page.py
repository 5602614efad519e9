"""The report of a run, alone or beside others, as one HTML page that needs nothing else."""
import datetime
import pathlib

from ikd.errors import InputError
from ikd.report.command import command
from ikd.report.curves import plot, values_of
from ikd.report.evaluation_part import evaluation
from ikd.report.gallery import figure1, figure2, trees
from ikd.report.html import command_line, document, element, folded, join, paragraph, section, table
from ikd.report.outcome import final, headline, run_name, sentence
from ikd.report.runs import named_apart, read_run, stages
from ikd.report.style import MOST_RUNS, SCRIPT, STYLE
from ikd.words import plural

CURVES = {'train_loss': 'Loss, training', 'train_accuracy': 'Accuracy, training (%)',
          'test_accuracy': 'Accuracy, test (%)', 'test_nll': 'NLL, test (nats)', 'test_ece': 'ECE, test',
          'learning_rate': 'Learning rate'}
MOST_PARTS = 9  # of the loss, before the others are folded away


def report(workdir, others=(), data_dir=None, own_file=None):
    """The HTML of the report of the run in the directory workdir, with the runs in `others` beside it.

    data_dir: where the data is now, if not where the runs' configs say. own_file: what `--config` named to train runs
    with code of the user's own. InputError for a directory that holds no run, and for more than eight.
    """
    if len(others) >= MOST_RUNS:
        raise InputError(f'{len(others)} runs to compare with; a report has room for {MOST_RUNS - 1}')
    runs = named_apart([read_run(directory) for directory in (workdir, *others)])
    run = runs[0]
    title = f"{run.name}: {run.fields['model.name']} on {run.fields['data.name']}"
    versus = paragraph('Beside it: ', ', '.join(one.name for one in runs[1:]), '.') if others else None
    grown = of_each(runs, trees)
    body = element(
        'main', element('header', element('h1', title), paragraph(sentence(run)), versus, unfinished(runs),
                        headline(run)),
        section('Results', final(runs)),
        section('Training', curves(runs)),
        section('Figure 1: what the network looks at', of_each(runs, figure1)),
        section('Figure 2: which classes look alike', of_each(runs, lambda one: figure2(one, data_dir))),
        section('Trees', grown) if grown else None,
        section('Evaluation', of_each(runs, evaluation)),
        section('What the runs do differently', config_difference(runs)) if others else None,
        section('How it was run', of_each(runs, lambda one: facts(one, own_file))))
    return document(title, body, STYLE, SCRIPT)


def of_each(runs, show):
    """A part of the page's run; those of the others folded away below it. None if none has it."""
    own, *others = map(show, runs)
    beside = [folded(run.name, part) for run, part in zip(runs[1:], others) if part is not None]
    return None if own is None and not beside else join(own, *beside)


def unfinished(runs):
    """What is not finished, if anything is."""
    told = [paragraph(f"{run.name}: {' '.join(run.open)}" if len(runs) > 1 else ' '.join(run.open))
            for run in runs if run.open]
    return element('div', element('p', element('strong', 'Not finished.')), *told, class_='banner') if told else None


def curves(runs):
    """Every curve of every run, and a legend whose boxes hide runs."""
    trained = [[record for record in run.records if 'given' not in record] for run in runs]  # no point of a curve
    fields = [*dict.fromkeys(field for records in trained for record in records for field in record)]
    parts = [field for field in fields if field.startswith('train_') and field not in CURVES]
    names, last = [run.name for run in runs], max((r['epoch'] for records in trained for r in records), default=1)
    titles = CURVES | {field: field.removeprefix('train_').replace('_', ' ') for field in parts}
    drawn = {field: plot(title, [values_of(records, field) for records in trained], names, last,
                         field.endswith('accuracy')) for field, title in titles.items()}
    main, loss = ([drawn[field] for field in of if drawn[field]] for of in (CURVES, parts))
    if not main:
        return paragraph('No epoch is in metrics.jsonl.', class_='note')
    boxes = [element('label', element('input', type='checkbox', checked='', id=f'show{i}'), run_name(i, run),
                     class_=f'run{i}') for i, run in enumerate(runs)]
    grid = lambda plots: element('div', *plots, class_='curves')
    caption = ' '.join(f'{run.name}: {stages(run)}.' for run in runs)
    return join(element('div', *boxes, class_='legend'), grid(main),
                paragraph('By epoch. Thick: the mean over trials; thin: each trial. A curve begins anew with every '
                          f'stage. {caption}', class_='caption'),
                join(element('h3', 'Parts of the loss'), grid(loss[:MOST_PARTS])) if loss else None,
                folded(f'{len(loss) - MOST_PARTS} more', grid(loss[MOST_PARTS:])) if loss[MOST_PARTS:] else None)


def config_difference(runs):
    """The fields of the config that are not the same in all runs."""
    fields = sorted({field for run in runs for field in run.fields})
    values = {field: [str(run.fields.get(field, '')) for run in runs] for field in fields}
    rows = [[element('code', field), *cells] for field, cells in values.items() if len({*cells}) > 1]
    if not rows:
        return paragraph('Nothing: their configs are the same.')
    return table(['field', *(run_name(i, run) for i, run in enumerate(runs))], rows, words=True)


def facts(run, own_file=None):
    """How a run was made: its command, commit, versions, devices, data, times; every field of its config."""
    again, summary = command(run.config, own_file), run.summary
    how = element('pre', command_line(again)) if again else paragraph(
        'No config of ikd fits; its fields are below. The file with your own code, where there is some, is named by '
        '--config=FILE.')
    found = {'directory': run.workdir, 'data': f"{run.fields['data.name']}"}
    if summary:
        device, trials = summary['device'], summary['trials']
        each = lambda field: ', '.join(dict.fromkeys(field({**summary, **trial}) or 'unknown' for trial in trials))
        written = datetime.datetime.fromtimestamp((run.workdir / 'summary.json').stat().st_mtime, datetime.UTC)
        seconds = sum(trial['train_seconds'] for trial in trials)
        found['data'] += f": {summary['train_images']:,} images to train on, {summary['test_images']:,} to test"
        kinds = each(lambda trial: trial['device']['kind'])
        found |= {'commit': each(lambda trial: trial['git_commit']),
                  'device': f"{device['count']} × {kinds}, {device['platform']}, {summary['precision']}",
                  'versions': ', '.join(f'{name} {version}' for name, version in summary['versions'].items()),
                  'training': f"{seconds:,.0f} s in all, {plural(len(trials), 'trial')}",
                  'summary written': f'{written:%Y-%m-%d %H:%M} UTC'}
    rows = [join(element('dt', name), element('dd', value)) for name, value in found.items()]
    fields = table(['field', 'value'], [[element('code', field), str(value)] for field, value in run.fields.items()],
                   words=True)
    return join(how, element('dl', *rows), folded('Every field of its config', fields))


def size_of(path):
    """`612 kB`."""
    return f'{max(1, pathlib.Path(path).stat().st_size // 1000):,} kB'
