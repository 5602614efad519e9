"""Runs without their pictures, which take longest."""
import contextlib

import jax
import pytest
from matplotlib.figure import Figure

from configs import digits as digits_config
from ikd import epochs, experiment


@contextlib.contextmanager
def plain_pictures():
    """Meanwhile the pictures that runs write are empty."""
    with pytest.MonkeyPatch.context() as patch:
        for module in epochs, experiment:
            patch.setattr(module, 'draw', lambda *args, **more: Figure())
        yield


def finished_run(workdir, **fields):
    """Train cross-entropy on digits of 8x8, two epochs unless the fields say otherwise; the directory."""
    config = digits_config.get_config('ce,smoke')
    config.update_from_flattened_dict({'data.size': 8, **fields})
    with plain_pictures():
        experiment.run(config, workdir, jax.devices()[:1])
    return workdir
