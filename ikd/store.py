"""The store of finished stages: a teacher or a warm-up of the same configuration, data and seed is trained once."""
import functools
import hashlib
import json
import pathlib

import jax
import orbax.checkpoint as ocp

from ikd.config import flatten
from ikd.report.journal import read_json, write_json

# Of a config, what a stage's result depends on besides the stage itself.
SETTING = ('batch_size', 'precision', 'method.bn', 'data.name', 'data.size', 'data.augment', 'data.limit')


def stage_name(config, stages, index):
    """`<stage>-<digest>`: the digest names everything that a stage's result depends on but the seed."""
    text = json.dumps(_describe(config, stages, index), sort_keys=True)
    return f'{stages[index].name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}'


def _describe(config, stages, index):
    stage, fields = stages[index], flatten(config)
    objective = stage.objective
    keywords = {}
    if isinstance(objective, functools.partial):
        objective, keywords = objective.func, objective.keywords
    return {
        'objective': objective.__name__, **keywords, 'epochs': stage.epochs, 'span': stage.span or stage.epochs,
        'network': stage.network or fields['model.name'], 'options': stage.options, 'init': stage.init,
        'start': stage.start.__name__,
        'before': _describe(config, stages, index - 1) if stage.start.__name__ != 'fresh' and index else None,
        'teacher': None if stage.teacher is None else _describe(config, stages, stage.teacher),
        'setting': {field: value for field, value in fields.items()
                    if field in SETTING or field.startswith('optimizer.')},
    }


def fetch(directory, name, seed, example):
    """(host State, its records) of a stored stage, or None; `example` is a State of the same shapes."""
    entry = pathlib.Path(directory).absolute() / name / f'seed{seed}'
    records = read_json(entry / 'records.json')
    if records is None:
        return None
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, example._asdict())
    with ocp.StandardCheckpointer() as checkpointer:
        return type(example)(**checkpointer.restore(entry / 'state', abstract)), records


def keep(directory, name, seed, state, records):
    """Store a finished stage: its host State and its records, which come last and so mark the entry as whole.

    Raises OSError where that can't be written.
    """
    entry = pathlib.Path(directory).absolute() / name / f'seed{seed}'
    entry.mkdir(parents=True, exist_ok=True)  # Orbax writes in the background, where an error would come late
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(entry / 'state', state._asdict(), force=True)
    write_json(entry / 'records.json', records)
