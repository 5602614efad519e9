"""Real runs to report, of networks trained on a folder whose names are hostile."""
import shutil

import jax
import pytest

from configs import digits as digits_config
from ikd import epochs, experiment
from ikd.report.__main__ import main
from tests.report.hostile import CLASSES, NAME


@pytest.fixture(scope='session')
def runs(tmp_path_factory, digits_folder):
    """Directories of two finished runs of two trials, LE and cross-entropy, the first with a hostile name."""
    folder = tmp_path_factory.mktemp('runs')
    for name, source in zip(CLASSES, ('zero', 'one', 'two')):
        shutil.copytree(digits_folder / source, folder / 'images' / name)
    config = digits_config.get_config('smoke')
    config.update_from_flattened_dict({
        'data.name': 'folder', 'data.dir': str(folder / 'images'), 'data.size': 8, 'model.name': 'cnn2', 'trials': 2,
        'epochs': 3, 'batch_size': 16, 'optimizer.learning_rate': 0.02, 'store': str(folder / 'store')})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epochs, 'PICTURES', 0)
        for method, workdir in ('le', folder / NAME), ('ce', folder / 'ce'):
            config.method.name = method
            experiment.run(config, workdir, jax.devices()[:1])
    return folder / NAME, folder / 'ce'


@pytest.fixture(scope='session')
def page(runs):
    """The file of the report of both."""
    first, second = runs
    main([f'--workdir={first}', f'--compare={second}'])
    return first / 'report.html'
