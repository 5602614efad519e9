"""What a configuration may say, and what of it names the experiment."""
import importlib
import os
import pathlib

import numpy as np
import pytest

from ikd.config import apply_arguments, default, digest, flatten, identity
from ikd.errors import InputError
from ikd.validation import resolve
from tests.small_config import make

CONFIGS = sorted(path.stem for path in pathlib.Path('configs').glob('*.py')
                 if path.stem not in ('common', '__init__'))

NAMES = '''method.name method.alpha method.lam method.warmup_epochs method.explainer method.similarity method.tap
    method.relu method.bn method.temperature method.beta method.rate model.name data.name data.dir data.placement
    batch_size epochs trials seed precision parallel class_chunk optimizer.learning_rate optimizer.momentum
    optimizer.weight_decay optimizer.milestones profile cache_dir'''.split()


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_has_the_shared_names_and_a_lab_book_entry(name):
    module = importlib.import_module(f'configs.{name}')
    config = module.get_config()
    assert set(NAMES) <= set(flatten(config))
    resolve(config)
    assert f'python -m ikd.main --config=configs/{name}.py' in module.__doc__
    assert len(module.__doc__.splitlines()) >= 4


def test_settings_of_the_paper():
    """Sections 5 and 5.1, and the choices of warm-up and weight decay where the paper is silent."""
    def of(name):
        return flatten(resolve(importlib.import_module(f'configs.{name}').get_config()))

    cifar, mnist = of('le_cifar'), of('le_mnist')
    assert {name: cifar[name] for name in (
        'method.name', 'method.alpha', 'method.lam', 'method.explainer', 'method.tap', 'method.relu',
        'method.warmup_epochs', 'model.name', 'batch_size', 'epochs', 'data.augment', 'optimizer.learning_rate',
        'optimizer.momentum', 'optimizer.weight_decay', 'optimizer.milestones')} == {
        'method.name': 'le', 'method.alpha': 0.9, 'method.lam': 0.1, 'method.explainer': 'grad_cam',
        'method.tap': 'group3', 'method.relu': True, 'method.warmup_epochs': 32, 'model.name': 'resnet14',
        'batch_size': 128, 'epochs': 160, 'data.augment': 'crop_flip', 'optimizer.learning_rate': 0.1,
        'optimizer.momentum': 0.9, 'optimizer.weight_decay': 1e-4, 'optimizer.milestones': [0.5, 0.75]}
    assert {name: mnist[name] for name in (
        'method.explainer', 'method.warmup_epochs', 'model.name', 'batch_size', 'epochs', 'data.augment',
        'optimizer.learning_rate', 'optimizer.momentum', 'optimizer.weight_decay', 'optimizer.milestones')} == {
        'method.explainer': 'grad', 'method.warmup_epochs': 10, 'model.name': 'mlp', 'batch_size': 16, 'epochs': 50,
        'data.augment': 'none', 'optimizer.learning_rate': 0.01, 'optimizer.momentum': 0.9,
        'optimizer.weight_decay': 0.0, 'optimizer.milestones': []}
    for twin in ('mnist', 'cifar'):
        le, ce = of(f'le_{twin}'), of(f'ce_{twin}')
        assert {name for name in le if le[name] != ce[name]} == {'method.name'}


def test_a_field_that_there_is_not_is_refused():
    """Which `config.epoch = 1` would make; methods of one's own have theirs under `own`."""
    for path, meant in (('epoch', 'epochs'), ('method.alhpa', 'method.alpha'), ('data.limt', 'data.limit'),
                        ('method.lambda', 'method.lam'), ('lam', 'method.lam')):
        config = make()
        *part, name = path.split('.')
        (config[part[0]] if part else config)[name] = 1
        with pytest.raises(InputError, match=f'no field config.{path}; did you mean config.{meant}?'):
            resolve(config)
    del (config := make()).optimizer
    with pytest.raises(InputError, match='has no field optimizer.learning_rate, .*; begin with ikd.config.default'):
        resolve(config)
    config, plain = make(), digest(resolve(make()))
    config.own.rho = 0.5
    assert resolve(config).own.rho == 0.5 and digest(resolve(config)) != plain
    config.own.rho = float('nan')
    with pytest.raises(InputError, match='own.rho is nan'):
        resolve(config)


@pytest.mark.parametrize('value, kind', [(np.int64(3), 'int64'), (np.zeros(2), 'ndarray'), (len, 'builtin_function'),
                                         ([1, {2}], 'list')])
def test_what_is_no_json_is_refused(value, kind):
    """A config becomes config.json, and its identity a name."""
    config = make()
    config.own.rho = value
    with pytest.raises(InputError, match=f'own.rho is of the type {kind}.*; give a number'):
        resolve(config)


def test_where_the_data_is_holds_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = resolve(make(**{'method.name': 'kd', 'data.dir': 'a/', 'teacher.checkpoint': 'runs/b/'}))
    assert (config.data.dir, config.teacher.checkpoint) == (str(tmp_path / 'a'), 'runs/b')


def test_home_is_a_place():
    """Shells leave a ~ alone that comes after --config.data.dir=."""
    config = resolve(make(**{'method.name': 'kd', 'data.dir': '~/a', 'store': '~/b', 'teacher.checkpoint': '/c~',
                             'cache_dir': ''}))
    home = os.path.expanduser('~')
    assert (config.data.dir, config.store) == (f'{home}/a', f'{home}/b')
    assert (config.teacher.checkpoint, config.cache_dir) == ('/c~', '')
    assert resolve(make(cache_dir='~/d/')).cache_dir == f'{home}/d'


def test_the_digest_says_what_is_trained():
    same = [make(), make(trials=5), make(profile=True), make(cache_dir='x'), make(parallel='trials'),
            make(**{'data.dir': '/elsewhere'}), make(class_chunk=1), make(**{'method.warmup_epochs': 32}),
            make(**{'method.tap': 'group3'}), make(**{'data.placement': 'stream', 'data.workers': 3})]
    assert len({digest(resolve(config)) for config in same}) == 1
    others = [make(**{field: value}) for field, value in [
        ('method.alpha', 0.8), ('seed', 1), ('epochs', 100), ('precision', 'tf32'), ('model.name', 'resnet14'),
        ('optimizer.milestones', (0.5,)), ('method.relu', False), ('data.name', 'cifar10')]]
    assert len({digest(resolve(config)) for config in [make(), *others]}) == len(others) + 1


def test_resolve_leaves_its_argument_alone():
    config = make()
    resolve(config)
    assert config.method.warmup_epochs is None


def test_identity_survives_json():
    import json
    config = resolve(make())
    assert identity(json.loads(config.to_json())) == identity(config)


def test_words_for_a_method_and_its_network():
    vam, hme = (apply_arguments(default(), word) for word in ('vam', 'hme'))
    assert (vam.method.name, vam.model.vam, vam.model.name) == ('kd', True, 'resnet8')
    assert (hme.method.name, hme.model.name) == ('hme', 'hme_tree')


def test_unknown_argument():
    with pytest.raises(InputError, match="unknown argument 'smok' after the colon of --config; choose from: smoke"):
        apply_arguments(default(), 'smoke,smok')
    with pytest.raises(InputError, match='hme, vam; if it is a method, give --config.method.name=ce$'):
        apply_arguments(default(), 'ce')
    with pytest.raises(InputError, match='hme, vam, kd$'):
        apply_arguments(default(), 'ce', ('kd',))


@pytest.mark.parametrize('name', [pytest.param(name, marks=() if name == 'le_mnist' else pytest.mark.slow)
                                  for name in CONFIGS])
def test_every_config_runs_in_smoke_mode(name, tmp_path, request):
    """On the digits everywhere; on the real data where IKD_TEST_DATA names it."""
    import jax

    from ikd import experiment
    config = importlib.import_module(f'configs.{name}').get_config('smoke')
    if config.data.name != 'digits':
        config.data.dir = str(request.getfixturevalue({
            'mnist': 'real_mnist', 'cifar10': 'real_cifar10', 'folder': 'digits_folder'}[config.data.name]))
    summary = experiment.run(config, tmp_path, jax.devices()[:1])
    assert summary['epochs'] == 2 and 0 <= summary['test_accuracy_mean'] <= 100
