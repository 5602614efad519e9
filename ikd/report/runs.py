"""A run as it lies in its directory, finished or not, for reports."""
import math
import pathlib
from typing import Any, NamedTuple

from ikd.config import flatten, identity
from ikd.errors import InputError
from ikd.explainers.catalogue import called
from ikd.journal import read_records
from ikd.recipes import EXPLAINED
from ikd.run_files import read_config, read_summary
from ikd.tables.comparison import MEASURES, told_apart

NEEDED = ('method.name', 'method.explainer', 'model.name', 'data.name', 'epochs', 'seed', 'trials')


class Run(NamedTuple):
    """What a directory says of a run.

    name: what it is called beside the other runs of a report. config: the contents of config.json, and fields the
    same with dotted names. summary: the contents of summary.json, None before a trial is finished. records: the lines
    of metrics.jsonl. trials: as in the summary; of a run without one, where each seed is. open: a sentence for each
    seed that is not finished.
    """
    workdir: pathlib.Path
    name: str
    config: dict
    fields: dict
    summary: Any
    records: list
    trials: list
    open: list

    def values(self, measure):
        """{seed: value} of a measure of the trials."""
        return {trial['seed']: trial[measure] for trial in self.trials}


def read_run(workdir):
    """The Run in the directory workdir; InputError if there is none, or none that has been tested."""
    workdir = pathlib.Path(workdir)
    config, summary = read_config(workdir), read_summary(workdir)
    if config is None:
        raise InputError(f'{workdir} is not the directory of a run; give the --workdir of one that has a config.json')
    fields = flatten(config)
    if missing := {*NEEDED} - {*fields}:
        raise InputError(f"{workdir}/config.json is no config of a run: it has no {', '.join(sorted(missing))}; put "
                         'back a copy')
    records = read_records(workdir)
    tested = {record['seed']: record for record in records if all(name in record for name in MEASURES)}
    if not summary and not tested:
        raise InputError(f'no epoch of {workdir} has been tested yet; call again after the first test')
    done = {trial['seed'] for trial in summary['trials']} if summary else set()
    trials = summary['trials'] if summary else [so_far(records, seed, tested[seed]) for seed in sorted(tested)]
    return Run(workdir, label(fields), config, fields, summary, records, trials, unfinished(fields, records, done))


def so_far(records, seed, last):
    """What a summary would say of a seed that is not finished, and `stage`, which may be that of a teacher."""
    seconds = math.fsum(record.get('seconds', 0) for record in records if record['seed'] == seed)
    return {'seed': seed, 'stage': last['stage'], **{name: last[name] for name in MEASURES},
            'train_seconds': round(seconds, 2)}


def unfinished(fields, records, done):
    """Sentences about the seeds that are not done."""
    planned = range(fields['seed'], fields['seed'] + fields['trials'])
    last = {record['seed']: record for record in records}
    told = [f"Seed {seed} has finished epoch {record['epoch']}, of the stage {record['stage']}."
            for seed, record in last.items() if seed not in done]
    waiting = [str(seed) for seed in planned if seed not in done and seed not in last]
    return told + ([f"Not begun: seed {', '.join(waiting)}."] if waiting else [])


def label(fields):
    """What a run is called: its method, and the explainer where the method has one."""
    method, explainer = fields['method.name'], fields['method.explainer']
    return ', '.join([method, *([called(explainer)] if method in EXPLAINED else []),
                      *(['vam'] if fields.get('model.vam') else [])])


def named_apart(runs):
    """The runs, those of the same name with what differs, or their directories, in their names."""
    folders = [run.workdir.resolve().name for run in runs]
    short = len({*folders}) == len(folders)
    names = told_apart([run.name for run in runs], folders if short else [run.workdir for run in runs],
                       [identity(run.fields) for run in runs])
    return [run._replace(name=name) for run, name in zip(runs, names)]


def stages(run):
    """`warmup to epoch 2, introspective to epoch 10`, or `teacher given, student to epoch 10`."""
    last = {}
    for record in run.records:
        last[record['stage']] = max(record['epoch'], last.get(record['stage'], 0))
    return ', '.join(f'{stage} to epoch {epoch}' if epoch else f'{stage} given' for stage, epoch in last.items())
