"""Cells that measure and draw: what is there is kept, what is not is made of the network at hand, or of a new one."""
import json
import shutil

import jax
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from ikd import experiment, reproduce, training

CONFIG = '''
from matplotlib.figure import Figure

from configs import common
from ikd.grid import Cell, Grid
from ikd.trained import load

def bias(workdir, seed):
    return {'bias': float(load(workdir, seed).variables['params']['Dense_2']['bias'][0])}

def drawing(workdir, seed):
    return Figure(figsize=(seed + 2, len(load(workdir, seed).class_names)), dpi=100)

def grid(argument=''):
    config = common.digits()
    config.update_from_flattened_dict({'method.name': 'ce', 'model.name': 'mlp', 'epochs': 1, 'data.size': 8,
                                       'method.warmup_epochs': 0, 'data.limit': 256})
    cell = Cell('CE', 'MLP', config, None, bias, drawing)
    return Grid('tiny', 'A tiny figure', (cell,), trials=2, report=lambda grid, found, results: '')
'''


def test_a_picture_and_what_is_measured(tmp_path, monkeypatch):
    run, run_epoch, epochs = experiment.run, training.run_epoch, []
    monkeypatch.setattr(experiment, 'run', lambda *args, **more: run(*args, jax.devices()[:1], **more))
    for module in 'epochs', 'experiment':
        monkeypatch.setattr(f'ikd.{module}.draw', lambda *args, **more: Figure())
    monkeypatch.setattr(reproduce, 'keep_compiled', lambda setting: None)
    monkeypatch.setattr(training, 'run_epoch', lambda *args: epochs.append(1) or run_epoch(*args))
    (tmp_path / 'tiny.py').write_text(CONFIG)
    workdir, results = tmp_path / 'run', tmp_path / 'results'
    picture = results / 'tiny-digits.png'

    def trained():
        """How many epochs the command trains."""
        before = len(epochs)
        assert reproduce.main([f'--config={tmp_path}/tiny.py', f'--workdir={workdir}', f'--results={results}']) == 0
        assert imread(picture).shape[:2] == (1000, 200)  # of seed 0
        return len(epochs) - before

    assert trained() == 2
    files = {path: path.read_text() for path in sorted((results / 'cells').iterdir())}
    measured = [json.loads(text)['measured']['bias'] for text in files.values()]
    assert len(measured) == 2 and measured[0] != measured[1]
    assert trained() == 0

    picture.unlink()
    (_, second) = files
    record = json.loads(files[second])
    second.write_text(json.dumps({name: value for name, value in record.items() if name != 'measured'}))
    assert trained() == 0
    assert json.loads(second.read_text())['measured']['bias'] == measured[1]

    picture.unlink()
    shutil.rmtree(workdir)
    before = {path: path.read_text() for path in files}
    assert trained() == 1  # of seed 0, for the picture
    assert {path: path.read_text() for path in files} == before
    assert json.loads(files[min(files)])['measured']['bias'] == pytest.approx(measured[0])
