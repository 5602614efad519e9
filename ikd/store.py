"""Stages that need not be trained: the store of finished ones, and teachers given by the user.

A teacher or a warm-up of the same configuration, data and seed is trained once.
"""
import contextlib
import pathlib
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp

from ikd.checkpoint import ALONE, Unusable, as_state, checksum, last_tree, one_voice, opened, saving, sealed
from ikd.config import flatten
from ikd.data import noted_checksum, without_images
from ikd.errors import InputError, writing
from ikd.files import holding, read_json, write_json
from ikd.run_data import difference
from ikd.run_files import read_config, read_summary
from ikd.stages import common


def fetch(directory, name, seed, example, data_checksum=None):
    """(host State, its records) of a stored stage, or None; `example` is a State of the same shapes.

    data_checksum: `data.checksum` of what is there now. A damaged stage, or one of other data, is told of in a line,
    and is None.
    """
    try:
        return _read(_entry(directory, name, seed), example, data_checksum)
    except Unusable as error:
        print(f'ikd: {error}; the stage is trained again', file=sys.stderr)
        return None


def _entry(directory, name, seed):
    """The folder of a stage in the store."""
    return pathlib.Path(directory).absolute() / name / f'seed{seed}'


def _read(entry, example, data_checksum):
    """What `fetch` gives. Unusable if it is damaged, or of another network or other data."""
    try:
        records, then = read_json(entry / 'records.json', list), noted_checksum(entry)
    except InputError as error:
        raise Unusable(f'{error}'.partition(';')[0]) from error
    if records is None:
        return None
    if not all(isinstance(record, dict) and 'epoch' in record for record in records):
        raise Unusable(f'{entry}/records.json is damaged')
    if data_checksum and then and then != data_checksum:
        raise Unusable(f'{entry} was trained on other data than there is now')
    with ocp.StandardCheckpointer(multiprocessing_options=ALONE) as checkpointer:
        tree, _ = opened(entry / 'state', lambda: checkpointer.restore(entry / 'state'))
    return as_state(entry / 'state', tree, example), records


def adopt(workdir, seed, example, before=None):
    """(host State, what is to be known of it as JSON) of the network that a finished run in workdir ended with.

    Of the run's trial with this seed, or of its only one, which `trial` says; of dml's two networks the first. Only
    weights and statistics are taken, without what a stage had added to the network; `weights` is their checksum.
    example: the State's shapes. before: what was known when the seed began, whose trial is taken again. InputError if
    there is no such run, if its network is another, or no longer what it was before.
    """
    workdir = pathlib.Path(workdir)
    summary = read_summary(workdir)
    trials = {trial['seed']: trial for trial in summary['trials']} if summary else {}
    if not trials:
        raise InputError(f'teacher.checkpoint={workdir} is not the directory of a finished run; give the --workdir '
                         'of one that has a summary.json')
    number = seed if len(trials) > 1 else min(trials)
    if before:
        number = before.get('trial', number)
    if number not in trials:
        raise InputError(f"teacher.checkpoint={workdir} has no trial of seed {seed}, only of "
                         f"{', '.join(map(str, trials))}; train it there with more --config.trials, or give a run of "
                         'one trial')
    tree = last_tree(workdir, number)
    for name in ('params', 'batch_stats'):
        tree[name] = common(tree[name], getattr(example, name))
        there, needed = (jax.tree.map(np.shape, part) for part in (tree[name], getattr(example, name)))
        if there != needed:
            raise InputError(f"teacher.checkpoint={workdir} holds a {summary['model']} trained on "
                             f"{summary['dataset']}, whose weights have other shapes than those of teacher.model; "
                             "set teacher.model to the run's network, and use the same data (networks with "
                             'model.width, model.vam or hme.outputs of their own cannot be given)')
    weights = checksum({name: tree[name] for name in ('params', 'batch_stats')}, np.empty(0)).tobytes().hex()[:12]
    if before and before.get('weights', weights) != weights:
        raise InputError(f'the network of seed {number} in {workdir}, from which seed {seed} has begun to learn, was '
                         'trained anew since; choose another --workdir')
    state = taken(example)._replace(seed=np.uint32(seed), step=np.int32(0), params=tree['params'],
                                    batch_stats=tree['batch_stats'])
    (tested, *_) = trials[number].get('networks', [trials[number]])
    return state, {'trial': number, 'weights': weights,
                   **{name: value for name, value in tested.items() if name.startswith('test_')}}


def check_given(workdir, config, dataset):
    """InputError if the network that a run in workdir ended with can't teach what `config` trains on `dataset`.

    As it saw images of another form or other classes, was trained on those that `data.holdout` holds out here, or is
    a hard tree, which `teacher.model` would apply as a soft one. A run without data.json is of before there was one.
    """
    fields = flatten(read_config(workdir) or {})
    described = read_json(pathlib.Path(workdir) / 'data.json')
    if described and (different := difference(dataset, without_images(described))):
        raise InputError(f'teacher.checkpoint={workdir} was trained on other data: {different}; use the same data, '
                         'of the same data.size')
    if (fields.get('data.holdout') or 0) < config.data.holdout:  # of the one order larger sets hold the smaller
        raise InputError(f'teacher.checkpoint={workdir} was trained on images that data.holdout='
                         f'{config.data.holdout} holds out here; train it with the same data.holdout, or more')
    if fields.get('method.name') == 'hme' and fields.get('model.name') == 'hme_tree':
        raise InputError(f'teacher.checkpoint={workdir} ended as a hard tree (method hme), which cannot teach; give '
                         'a run of another method')


def taken(example):
    """A State, or its shapes, with only what `adopt` takes from a run: no optimiser state, no extra."""
    return example._replace(opt_state=(), extra={})


def keep(directory, name, seed, state, records, data_checksum=None):
    """Store a finished stage: its host State and its records, which come last and so mark the entry as whole.

    One that is there and whole is left alone, as another process may be reading it; one that is being written is
    waited for. Raises Unwritable.
    """
    entry = _entry(directory, name, seed)
    with holding(entry.with_name(f'.lock-seed{seed}')):
        with contextlib.suppress(Unusable):
            if _read(entry, state, data_checksum):
                return
        with writing(entry):
            entry.mkdir(exist_ok=True)
            (entry / 'records.json').unlink(missing_ok=True)
        checkpointer = ocp.StandardCheckpointer(multiprocessing_options=ALONE)
        with one_voice(), saving(entry), checkpointer:
            checkpointer.save(entry / 'state', sealed(state), force=True)
        write_json(entry / 'data.json', {'checksum': data_checksum})
        write_json(entry / 'records.json', records)
