"""Training as a function: what `import ikd` gives beside `ikd.trained.load` and `ikd.explainers`."""
import os
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from ikd import experiment
from ikd.errors import InputError


def train(config: ConfigDict, workdir: str | os.PathLike, on_epoch: Callable[[dict[str, Any]], None] | None = None,
          stop: Callable[[], bool] | None = None) -> dict[str, Any]:
    """Train every trial of a config that the directory workdir does not hold yet, as `python -m ikd.main` does.

    config: `ikd.config.default()` with fields changed, or what `get_config` of a file in configs/ gives; it is not
    changed. Goes on from checkpoints in workdir; a run that is finished is not trained again. On all devices of this
    process. By default LE (2009.09140, algorithm 1). on_epoch(record): told what workdir/metrics.jsonl gets of each
    epoch that is trained, a dict with `seed`, `stage`, `epoch`, `train_loss`, `test_accuracy` and so on; where it
    raises an error, training ends, and the epoch is trained and told again by the next call. stop(): asked every few
    steps whether to go no further.

    Returns the summary, which is also in workdir/summary.json: `test_accuracy_mean` and `test_accuracy_std` in
    percent (std None for one trial), `trials`, a dict each with `seed`, `test_accuracy` in percent, `test_nll` in
    nats, `test_ece` in [0, 1], `train_seconds`; versions, device and commit. `ikd.load(workdir)` has the network.

    Raises `ikd.errors.InputError`, before anything is written, for a config that can't be run or is not the one of
    workdir; Diverged when a loss is no longer a number; OutOfMemory where a device has no room; Unwritable when a
    file can't be written; Stopped where stop() said so, all that was done being saved: the same call goes on.
    """
    if not isinstance(config, ConfigDict | dict):
        raise InputError(f'config is of the type {type(config).__name__}; give ikd.config.default() with fields '
                         'changed, or what get_config of a file in configs/ gives')
    asked = {name: f for name, f in (('on_epoch', on_epoch), ('stop', stop)) if f is not None}
    for name, f in asked.items():
        if not callable(f):
            raise InputError(f'{name} is of the type {type(f).__name__}; give a function')
    return experiment.run(config, workdir, **asked)
