"""A grid of three cells that are trained in seconds, by its command."""
import contextlib
import json

import jax
import pytest

from ikd import experiment, reproduce

CONFIG = '''
from configs import common
from ikd.grid import Cell, Grid
from ikd.grid_words import adapt

def grid(argument=''):
    cells = []
    for row, method in ('CE', 'ce'), ('LE-Uniform', 'le_uniform'), ('LE(Grad)', 'le'):
        config = common.digits()
        config.update_from_flattened_dict({'method.name': method, 'model.name': 'mlp', 'epochs': 2, 'data.size': 8,
                                           'data.limit': 128, 'method.warmup_epochs': 1, 'checkpoint_every': 1})
        cells.append(Cell(row, 'MLP', config, (97.0, 0.1)))
    return adapt(Grid('tiny', 'A tiny table', tuple(cells), ('a note',), trials=TRIALS), argument)
'''


@contextlib.contextmanager
def one_device():
    """Meanwhile grids train on one device and leave the tests' own folder of compiled programs as it is."""
    run = experiment.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, 'run', lambda *args, **more: run(*args, jax.devices()[:1], **more))
        patch.setattr(reproduce, 'keep_compiled', lambda setting: None)
        yield


def reproduced(folder, *more, text=CONFIG, trials=1):
    """Run the command on a grid whose config file has this text; its exit code."""
    (folder / 'tiny.py').write_text(text.replace('TRIALS', str(trials)))
    return reproduce.main([f'--config={folder}/tiny.py', f'--workdir={folder}/runs', f'--results={folder}/results',
                           *more])


def finished(folder):
    """{file: contents} of all finished cells."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((folder / 'results' / 'cells').glob('*.json'))}
