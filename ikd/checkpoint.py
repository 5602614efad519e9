"""Saving and restoring stages: one Orbax manager for each stage of each seed.

Orbax writes a checkpoint beside its place and then renames it, so what is in its place was written whole. What has
happened to it since then, the checksum tells that is kept with it.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp

from ikd import processes
from ikd.errors import Apart, RunError, Unwritable, writing
from ikd.files import holding

# A State is host arrays, which the first process has in full: Orbax need not wait for the others.
ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})


class Unusable(Exception):
    """A checkpoint that can't be gone on from; the message says which and why."""


@contextlib.contextmanager
def saving(directory):
    """Raises what Orbax says of a failed save to `directory`, at once or late, as Unwritable."""
    try:
        yield
    except (OSError, ValueError) as error:  # tensorstore's are ValueErrors, with the system's number in a long text
        number = re.search(r"os_error_code='(\d+)'", str(error))
        cause = os.strerror(int(number[1])) if number else getattr(error, 'strerror', None) or f'{error}'[:200]
        raise Unwritable(f'cannot save a checkpoint to {directory} ({cause})') from error


@contextlib.contextmanager
def one_voice():
    """Where one array can't be read or written, the threads of the others print tracebacks of their own: not here."""
    hook = sys.unraisablehook
    others = lambda told: None if str(told.exc_value) == 'Event loop is closed' else hook(told)
    sys.unraisablehook = others
    try:
        yield
    except Exception:
        time.sleep(0.1)  # until all have noticed
        raise
    finally:
        sys.unraisablehook = hook


def trained_here(workdir, seed):
    """A context in which no other process trains a seed of workdir. Busy, at once, if one does already."""
    path = pathlib.Path(workdir) / 'checkpoints' / f'.lock-seed{seed}'  # in seed<seed> are stages only
    return holding(path, f'seed {seed} of {workdir} is being trained by another process; wait for it, or choose '
                   'another --workdir')


@contextlib.contextmanager
def manager(workdir, seed, index, name):
    """The Orbax manager of stage number `index`, called `name`, of a seed: checkpoints/seed<seed>/<index>-<name>/.

    It keeps the last two checkpoints, named after the steps of the stage, saves in the background, and has finished
    when the context is left. Unwritable, then at the latest, if a save failed. RunError if Orbax can't make sense
    of the folder. None on a process that does not write.
    """
    if not processes.first():
        yield None
        return
    directory = pathlib.Path(workdir).absolute() / 'checkpoints' / f'seed{seed}' / f'{index}-{name}'
    options = ocp.CheckpointManagerOptions(max_to_keep=2, create=False, cleanup_tmp_directories=True,
                                           multiprocessing_options=ALONE)
    try:
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            saved = ocp.CheckpointManager(directory, item_handlers=ocp.StandardCheckpointHandler(), options=options)
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(f'{directory} is damaged (its _CHECKPOINT_METADATA files cannot be read); remove the newest '
                       'folder there, and the stage goes on from the one before') from error
    with one_voice():
        try:
            yield saved
        finally:
            with saving(directory):
                saved.close()


def save(managers, step, states, rests):
    """Save the host States of seeds trained together after `step` steps of the stage, with a JSON value for each.

    Not before all have finished their last save, so that a kill leaves them one save apart at most; on a process that
    does not write, nothing. Unwritable if that fails, which may show at the next save or when the manager is left.
    """
    if not processes.first():
        return
    for saved in managers:
        with saving(saved.directory):
            saved.wait_until_finished()
    for saved, state, rest in zip(managers, states, rests):
        with saving(saved.directory):
            # Where Orbax can't make its folders, its threads wait for them for minutes, the process for the threads.
            probe = saved.directory / 'probe.tmp'
            probe.write_bytes(bytes(1 << 16))
            probe.unlink()
            saved.save(step, args=ocp.args.StandardSave(sealed(state, rest)))


def newest(managers, examples, interval=0):
    """[(host State, rest), ...] of the seeds trained together, from the last step that all have, or None.

    examples: the States that the stage begins with. Damaged checkpoints are told of in a line each and passed over;
    what comes after the one that is taken is deleted. RunError if there are some, but none that can be taken. Seeds
    that have no step in common begin anew if none loses more than `interval` steps, those from save to save; else
    RunError.
    """
    common = sorted(set.intersection(*(set(saved.all_steps()) for saved in managers)), reverse=True)
    if not common and len(managers) > 1:
        check_apart(managers, interval)
    taken, found, passed = 0, None, []
    for step in common:
        try:
            found = [restore(saved, step, example) for saved, example in zip(managers, examples)]
            taken = step
            break
        except Unusable as error:
            passed.append(error)
    if passed and not found:
        folders = ' and '.join(str(saved.directory) for saved in managers)
        raise RunError(f'{passed[0]}, and there is none before it to go on from; remove {folders}, and the stage '
                       'is trained again')
    for error in passed:
        print(f'ikd: {error}; going on from the one before it', file=sys.stderr)
    for saved in managers:
        for step in saved.all_steps():
            if step > taken:
                with saving(saved.directory):
                    saved.delete(step)
    return found


def check_apart(managers, interval):
    """Apart if seeds, which have no step of a stage in common, would lose too much if they began it anew.

    A kill between their first saves leaves one without a checkpoint, and others with one of at most `interval` steps.
    That may be lost, and a line tells of it; who has more, or has come to a later stage, was trained apart.
    """
    stage = managers[0].directory
    place = lambda path: (int(path.parent.name.partition('-')[0]), int(path.name))
    last = [max((path for path in saved.directory.parent.glob('*/*') if path.name.isdecimal()), key=place,
                default=stage / '0') for saved in managers]
    ahead = [path for path in last if place(path) > place(stage / '0')]
    names, folders = (' and '.join(map(str, paths)) for paths in (ahead, [path.parent for path in ahead]))
    why = f'as the seeds to train together have no checkpoint of {stage.name} in common'
    if any(place(path) > place(stage / str(interval)) for path in ahead):
        raise Apart(f'{names} would be lost, {why}; train them one after another (config.parallel=data, '
                    f'config.together=1; --together=1 of ikd.reproduce), or remove {folders}, and what was there is '
                    'trained again')
    if ahead:
        print(f'ikd: going on without {names}, {why}; they begin it anew', file=sys.stderr)


def restore(saved, step, example):
    """(host State, rest) saved after `step` steps of the stage; `example` is a State of the same shapes, or those."""
    path = saved.directory / str(step)
    tree, rest = opened(path, lambda: saved.restore(step, args=ocp.args.StandardRestore()))
    return as_state(path, tree, example), rest


def sealed(state, rest=None):
    """The tree that is saved: the fields of a State, a JSON value as bytes, and the checksum of all that."""
    text = np.frombuffer(json.dumps(rest).encode(), np.uint8)
    return {**state._asdict(), 'seal': {'rest': text, 'sha256': checksum(state._asdict(), text)}}


def opened(path, restore):
    """(fields of a State, rest) of the checkpoint at `path`, whose tree restore() reads. Unusable if it is damaged.

    One without a checksum is of an earlier version of ikd, and is taken as it is.
    """
    try:
        with one_voice():
            tree = jax.tree.map(np.asarray, restore())
        seal = tree.pop('seal', None)
        whole = seal is None or np.array_equal(seal['sha256'], checksum(tree, seal['rest']))
    except Exception as error:  # what damaged files make Orbax and tensorstore raise has no class in common
        raise Unusable(f'the checkpoint {path} is damaged (it cannot be read)') from error
    if not whole:
        raise Unusable(f'the checkpoint {path} is damaged (it is not what was saved)')
    return tree, json.loads(seal['rest'].tobytes()) if seal else None


def checksum(tree, rest):
    """SHA-256, uint8 [32], of an array `rest` and of the names, types, shapes and contents of a tree's arrays."""
    digest = hashlib.sha256(rest.tobytes())
    for name, leaf in sorted(named(tree).items()):
        digest.update(f'{name} {leaf.dtype} {np.shape(leaf)} '.encode())
        digest.update(leaf.tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def named(tree):
    """{name: leaf} of a tree; what Orbax gives back, with dicts for named tuples, has the same names."""
    return {jax.tree_util.keystr(path, simple=True, separator='.'): leaf
            for path, leaf in jax.tree.leaves_with_path(tree)}


def as_state(path, tree, example):
    """The State of what `opened` gave. Unusable if it is not like `example`, a State of the same shapes, or those."""
    leaves, needed = named(tree), named(example._asdict())
    shapes = lambda arrays: {name: np.shape(array) for name, array in arrays.items()}
    if shapes(leaves) != shapes(needed):
        raise Unusable(f'the checkpoint {path} is of another network')
    return type(example)(**jax.tree.unflatten(jax.tree.structure(example._asdict()), map(leaves.get, needed)))


def last_tree(workdir, seed):
    """What a seed of a finished run ended with, as it was saved: a dict of the fields of its State.

    RunError if it is not there or damaged.
    """
    folder = pathlib.Path(workdir).absolute() / 'checkpoints' / f'seed{seed}'
    try:
        last = max(folder.iterdir(), key=lambda stage: int(stage.name.partition('-')[0]))
        step = max(int(path.name) for path in last.iterdir() if path.name.isdecimal())
    except (OSError, ValueError) as error:
        raise RunError(f'{workdir} has no checkpoint of seed {seed} any more; train it again in another --workdir'
                       ) from error
    try:
        # Not by the manager, which reads the metadata of the older checkpoint, too, and so may fail of it.
        with ocp.Checkpointer(ocp.StandardCheckpointHandler(), multiprocessing_options=ALONE) as saved:
            return opened(last / str(step), lambda: saved.restore(last / str(step) / 'default'))[0]
    except Unusable as error:
        raise RunError(f'{error}; remove {workdir}/summary.json, and its command trains again from the checkpoint '
                       'before it') from error
