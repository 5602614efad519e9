"""Where the numbers of a table come from, in sentences, from the files of its cells."""
import collections

from ikd.validation import usual
from ikd.words import plural, spans


def data_of(record):
    """The data of a cell's file, in words."""
    words = '{name}, {train_images:,} images to train on, {test_images:,} to test'.format(**record['data'])
    return words + (' held out of the training set' if record.get('config', {}).get('data.holdout') else '')


def epochs_of(record):
    """The stages of a cell's file and their epochs, in words: `warmup 10, introspective 40`."""
    return ', '.join(f"{stage['stage']} {stage['epochs']}" for stage in record['schedule'])


def steps_of(record):
    """The batches of a cell's file and its optimiser, in words; methods may have further rates for some stages."""
    config = usual() | record['config']
    rate = f"SGD with learning rate {config['optimizer.learning_rate']:g}"
    if config['optimizer.milestones']:
        shares = ' and '.join(f'{share:g}' for share in config['optimizer.milestones'])
        rate += f' (a tenth after {shares} of the epochs)'
    if config['method.name'] == 'hme' and config['model.name'] == 'hme_tree':
        rate = 'Adam with learning rate {:g}, then SGD with {:g}'.format(
            config['hme.learning_rate'], config['hme.hard_learning_rate'])
    return (f"batches of {config['batch_size']}, what is left of an epoch unused; {rate}, momentum "
            f"{config['optimizer.momentum']:g}, weight decay {config['optimizer.weight_decay']:g}")


def sources(records):
    """Sentences about where cells come from, by their files' contents: data, schedule, seeds, devices, versions."""
    if not records:
        return []

    def all_of(describe):
        counts = collections.Counter(map(describe, records))
        return '; '.join(text + (f" ({plural(count, 'trial')})" if len(counts) > 1 else '')
                         for text, count in counts.items())

    kind = lambda record: (data_of(record), record.get('config', {}).get('data.train_skip'))
    contents = {}
    for record in records:
        contents.setdefault(kind(record), set()).add(record['data'].get('checksum'))
    several = lambda record: ', not always the same images in the same order' * (
        len(contents[kind(record)] - {None}) > 1)
    hours = sum(record['train_seconds'] for record in records) / 3600
    return [
        'Data: ' + all_of(lambda r: data_of(r) + several(r)),
        'Epochs: ' + all_of(epochs_of),
        'Training: ' + all_of(steps_of),
        'Seeds: ' + spans(sorted({record['seed'] for record in records})),
        'Device: ' + all_of(lambda r: '{count} x {kind}, {platform}'.format(**r['device']) + f", {r['precision']}"),
        'Versions: ' + all_of(lambda r: ', '.join(f'{name} {version}' for name, version in r['versions'].items())),
        'Commit: ' + all_of(lambda r: r['git_commit'] or 'none'),
        f"Trials finished {min(r['finished'] for r in records)[:10]} to {max(r['finished'] for r in records)[:10]}; "
        f'{hours:.1f} hours of training in all, counting a shared teacher or warm-up in every trial that has it',
    ]
