"""A run: every trial of one configuration, its directory, and its summary."""
import functools
import json
import math
import pathlib
import statistics
import sys
from contextlib import closing

import jax
import numpy as np

from ikd import data, parallel, processes, stage_names
from ikd.config import NOT_IDENTITY, digest
from ikd.errors import InputError, RunError, Stopped, Unwritable, within_memory, writing
from ikd.explainers.catalogue import called
from ikd.files import write_json
from ikd.journal import locked, read_records
from ikd.networks import describe, final_model
from ikd.pictures.drawn import save_figure
from ikd.pictures.explanations import draw
from ikd.pictures.maps import legend
from ikd.pictures.trees import dendrogram_figure, routings_of, tree_figure
from ikd.progress import Progress
from ikd.provenance import now, provenance, trained_by
from ikd.recipes import EXPLAINED, recipe
from ikd.run_checks import OWN_CODE, check_fits, check_identity, check_teachers
from ikd.run_data import checks_pixels, load_data
from ikd.run_files import read_summary
from ikd.stages import variables_of
from ikd.trials import make_job, train_group
from ikd.validation import resolve

# Fields that do not say what a run is, but what its processes do, so that all must be given the same.
ALIKE = [field for field in NOT_IDENTITY if field not in ('cache_dir', 'store') and not field.startswith('data.')]


def default_workdir(config, name):
    """`runs/<name>-<digest>`: name is that of the config file and its argument, the digest that of what it says."""
    return pathlib.Path('runs') / f'{name}-{digest(resolve(config))}'


@within_memory()
def run(config, workdir, devices=None, seeds=None, finished=lambda summary: None, stop=lambda: False,
        on_epoch=lambda record: None, quiet=False):
    """Train every trial of `config` that `workdir` does not hold yet; returns the summary, also in summary.json.

    Goes on from the newest checkpoints. `devices`: those to use, by default all, of all processes of this JAX
    program, which must all call this alike; the first alone reads and writes. `seeds`: those of the trials, by
    default `seed`, `seed + 1`, ... finished(summary) is told whenever a trial, or trials trained together, are done;
    stop() is asked every few steps; on_epoch(record) is told, on the first process, what metrics.jsonl gets of each
    epoch that is trained; quiet: show no progress. Raises InputError, before anything is written, for a config that
    can't be run or is not the one the workdir was made with; Diverged when a loss is no longer a number; Stopped
    where stop() said so, all that was done being saved; OutOfMemory where a device has no room; Unwritable when a
    file can't be written.
    """
    provenance()  # now, as the checkout may change while this runs
    config, workdir, stop = processes.agree(lambda: resolve(config)), pathlib.Path(workdir), processes.any_of(stop)
    processes.check_alike('the configuration', digest(config))
    processes.check_alike(f"one of {', '.join(ALIKE)}", str([config[field] for field in ALIKE]))

    def summary_there():
        check_identity(config, workdir)
        return read_summary(workdir)

    summary = processes.from_first(summary_there)
    done = {trial['seed'] for trial in summary['trials']} if summary else set()
    missing = [seed for seed in (processes.own_seeds(config) if seeds is None else seeds) if seed not in done]
    if not missing:
        finished(summary)
        return summary
    with jax.default_matmul_precision(parallel.MATMUL[config.precision]):
        dataset = processes.in_turn(lambda: load_data(config))
        processes.check_alike('data.placement (auto: stream or device, as the memory allows)', str(dataset.streamed))
        described = processes.agree(lambda: data.description(dataset, checks_pixels(config)))
        processes.check_alike('the data', described['checksum'])
        groups = parallel.layouts(config.parallel, missing, config.batch_size, devices, config.together)
        check_fits(config, dataset)
        if len(dataset.class_names) == 2 and config.method.name in EXPLAINED and processes.first():
            print(f'ikd: of two classes the targets of {config.method.name} are those of label smoothing, whatever '
                  'the maps are', file=sys.stderr)
        job_on = functools.cache(lambda layout: make_job(config, workdir, dataset, layout))
        processes.from_first(lambda: check_teachers(job_on(groups[0][0]), missing))
        processes.from_first(lambda: open_workdir(config, workdir, described))
        steps = sum(stage.epochs for stage in recipe(config)) * dataset.steps(config.batch_size)
        with closing(Progress(len(groups) * steps, quiet=quiet or not processes.first())) as progress:
            for layout, seeds in groups:
                if stop():
                    raise Stopped(f"stopped before seed {', '.join(map(str, seeds))}")
                states = train_group(job_on(layout), seeds, progress, stop, on_epoch)
                if seeds[0] == config.seed and processes.first():
                    draw_results(job_on(layout), states[0])
                # Last, as a run that has its summary is not gone on with.
                summary = processes.from_first(lambda: summarise(config, workdir, seeds, dataset,
                                                                 described['checksum']))
                finished(summary)
    return summary


def draw_results(job, state):
    """Write the pictures of a trained network: explanations.png, and the tree of classes if it has one."""
    config, dataset = job.config, job.dataset
    title = f'{describe(config)}: {called(config.method.explainer)}'
    note = legend([config.method.explainer], config.method.similarity)
    save_figure(draw(job.explain, dataset, variables_of(state), title, note=note), job.workdir / 'explanations.png')
    if config.method.name == 'hme':
        found = routings_of(final_model(config, dataset), variables_of(state), job.image_shape)
        title = f'{describe(config)}, hme.loss={config.hme.loss}'
        save_figure(tree_figure(found, dataset.class_names, title), job.workdir / 'tree.png')
        if not np.isin(found[-1], (0, 1)).all():  # a hard tree says the same by itself
            figure = dendrogram_figure(found[-1], dataset.class_names, title)
            save_figure(figure, job.workdir / 'dendrogram.png')


def open_workdir(config, workdir, described):
    """Create the directory, write config.json, data.json, what is known of the data, and the digest of own code.

    described: `data.description`. InputError if that can't be done, if another experiment has begun there meanwhile,
    or if its data was other.
    """
    try:
        with writing(workdir):
            workdir.mkdir(parents=True, exist_ok=True)
        with locked(workdir):
            check_identity(config, workdir)
            if data.noted_checksum(workdir) not in (None, described['checksum']):
                raise RunError(f'the data is not what {workdir} was begun with: its images, labels or their order '
                               'are others now; put it back, or choose another --workdir')
            write_json(workdir / 'config.json', json.loads(config.to_json()))
            write_json(workdir / 'data.json', described)
            if own := stage_names.own_code(config):
                write_json(workdir / OWN_CODE, {'digest': own})
    except Unwritable as error:
        raise InputError(f'{error}; make room there, or choose another --workdir') from error


def summarise(config, workdir, seeds, dataset, checksum):
    """Write and return summary.json: what was trained, each trial's last epoch, their mean and standard deviation.

    seeds: those just finished, which join the trials of the summary that is there; checksum: `data.checksum`.
    Accuracy in percent, NLL in nats, ECE in [0, 1]; sample standard deviation, None for one trial.
    """
    with locked(workdir):
        there = read_summary(workdir) or {'trials': []}
        trials = {trial['seed']: trial for trial in there['trials']}
        for seed in seeds:
            records = read_records(workdir, seed)
            trials[seed] = {**last_of(config, records), **trained_with(records)}
        trials = [trials[seed] for seed in sorted(trials)]
        accuracies = [trial['test_accuracy'] for trial in trials]
        summary = {
            'method': config.method.name,
            'explainer': config.method.explainer if config.method.name in EXPLAINED else None,
            'model': config.model.name, 'vam': config.model.vam, 'dataset': config.data.name,
            'train_images': len(dataset.train_images), 'test_images': len(dataset.test_images),
            'data_checksum': checksum, 'placement': 'stream' if dataset.streamed else 'device',
            'epochs': config.epochs, 'precision': config.precision, 'trials': trials,
            'test_accuracy_mean': statistics.fmean(accuracies),
            'test_accuracy_std': statistics.stdev(accuracies) if len(trials) > 1 else None,
            **provenance(),
        }
        write_json(workdir / 'summary.json', summary)
        return summary


def trained_with(records):
    """When a trial, of these records, was finished and with what: as `provenance`, which may be another of others.

    Where it was gone on with by another commit, or on a device of another kind, all are named, also those of stages
    that come from the store, and `unknown` for epochs of before this was noted. The rest is as it was finished.
    """
    known, unknown = provenance(), dict.fromkeys(('commit', 'device'), 'unknown')
    by = trained_by({**(unknown if 'seconds' in record else {}), **record} for record in records)
    device = {**known['device'], 'kind': by['device']}
    return {'finished': now(), **known, 'git_commit': by['commit'], 'device': device}


def last_of(config, records):
    """A trial as the summary has it, of a seed's records: its tests after the last epoch.

    train_seconds is the time spent in training epochs of all stages, compilation included, evaluation not. `teachers`
    are the accuracies of the stages that others learnt from, `networks` those of two peers, of which the trial has
    the mean.
    """
    stages, last = recipe(config), records[-1]
    trial = {'seed': last['seed'], **{name: value for name, value in last.items() if name.startswith('test_')},
             'train_seconds': round(math.fsum(record.get('seconds', 0) for record in records), 2)}
    if 'networks' in last:
        trial['networks'] = last['networks']
    if teachers := [stages[stage.teacher].name for stage in stages if stage.teacher is not None]:
        ended = {record['stage']: record.get('test_accuracy') for record in records}  # the last of each stage
        trial['teachers'] = {name: ended[name] for name in teachers}
    return trial
