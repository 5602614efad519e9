"""Saving and restoring stages: one Orbax manager for each stage of each seed."""
import contextlib
import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp

from ikd import processes

# A State is host arrays, which the first process has in full: Orbax need not wait for the others.
ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
READ = ocp.CheckpointManagerOptions(create=False, multiprocessing_options=ALONE)


@contextlib.contextmanager
def manager(workdir, seed, index, name):
    """The Orbax manager of stage number `index`, called `name`, of a seed: checkpoints/seed<seed>/<index>-<name>/.

    It keeps the last two epochs, saves in the background, and has finished when the context is left. None on a
    process that does not write.
    """
    if not processes.first():
        yield None
        return
    directory = pathlib.Path(workdir).absolute() / 'checkpoints' / f'seed{seed}' / f'{index}-{name}'
    directory.mkdir(parents=True, exist_ok=True)
    options = ocp.CheckpointManagerOptions(max_to_keep=2, create=False, multiprocessing_options=ALONE)
    with ocp.CheckpointManager(directory, options=options) as saved:
        yield saved


def newest_common(managers):
    """The last epoch that every seed trained together has a checkpoint of, 0 if none; later ones are deleted."""
    common = max(set.intersection(*({0, *saved.all_steps()} for saved in managers)))
    for saved in managers:
        for epoch in saved.all_steps():
            if epoch > common:
                saved.delete(epoch)
    return common


def newest(managers, examples):
    """[(host State, epoch), ...] of the seeds trained together, from the last epoch that all have; None if 0.

    examples: States of the same shapes.
    """
    epoch = newest_common(managers)
    return [(restore(saved, epoch, example), epoch) for saved, example in zip(managers, examples)] if epoch else None


def save(saved, epoch, state):
    """Save the host State reached after `epoch` epochs of the stage, atomically."""
    saved.save(epoch, args=ocp.args.StandardSave(state._asdict()))


def restore(saved, epoch, example):
    """The host State saved after `epoch` epochs; `example` is a State of the same shapes."""
    return type(example)(**saved.restore(epoch, args=ocp.args.StandardRestore(as_saved(example))))


def as_saved(example):
    """What Orbax restores into: a State, or its shapes, as a dict of empty host arrays."""
    return jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), example._asdict())


def last_tree(workdir, seed):
    """What a seed of a finished run ended with, as it was saved: a dict of the fields of its State."""
    stages = (pathlib.Path(workdir).absolute() / 'checkpoints' / f'seed{seed}').iterdir()
    last = max(stages, key=lambda stage: int(stage.name.partition('-')[0]))
    with ocp.CheckpointManager(last, options=READ) as saved:
        return jax.tree.map(np.asarray, saved.restore(saved.latest_step(), args=ocp.args.StandardRestore()))
