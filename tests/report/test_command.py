"""The command that makes a run again says what the run's config says."""
import json
import shlex
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from configs import ce_cifar, digits, kdexplainer, le_folder, le_mnist
from ikd.config import default, digest, flatten
from ikd.modules import module_of
from ikd.recipes import RECIPES
from ikd.report.command import command
from ikd.validation import resolve

CASES = {
    'digits': (digits, 'le', {}, 'configs/digits.py:le'),
    'smoke': (le_mnist, 'smoke', {}, 'configs/mnist.py:le,smoke'),
    'cifar': (ce_cifar, '', {'trials': 5}, 'configs/cifar.py:ce --config.trials=5'),
    'unsized': (digits, 'ce', {'data.size': None}, 'configs/digits.py:ce --config.data.size=None'),
    'tree': (digits, 'hme', {}, 'configs/digits.py:hme'),
    'kdexplainer': (kdexplainer, 'vam', {}, 'configs/kdexplainer.py:kd --config.model.vam=True'),
    'folder': (le_folder, '', {'data.dir': '/my photos', 'test_every': 4},
               "configs/le_folder.py '--config.data.dir=/my photos'"),
    'two epochs of all images, no smoke test': (
        le_folder, '', {'data.dir': '/p', 'data.size': 16, 'epochs': 2},
        'configs/le_folder.py --config.data.dir=/p --config.data.size=16 --config.epochs=2'),
    'changed': (digits, 'le', {'epochs': 20, 'method.warmup_epochs': 2, 'optimizer.milestones': (0.25, 0.5),
                               'method.explainer': 'grad', 'model.width': 8, 'method.lam': 0.25}, None),
}


@pytest.mark.filterwarnings('ignore:the load_module')  # how the flag library loads config files
@pytest.mark.parametrize('case', CASES)
def test_it_is_short_and_says_the_same(case, monkeypatch):
    module, argument, changes, expected = CASES[case]
    config = module.get_config(argument)
    config.update_from_flattened_dict(changes)
    config = resolve(config)
    found = command(json.loads(config.to_json()))
    if expected:
        assert found == f'python -m ikd.main --config={expected}'
    typed = shlex.split(found)[2:]
    unset = [word for word in typed if word.endswith('=None')]  # which `ikd.main.parse` sees to
    assert all(flatten(default())[word[len('--config.'):-len('=None')]] is None for word in unset)
    monkeypatch.setattr('sys.argv', [word for word in typed if word not in unset])
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file('config', None, '', flag_values=values)
    values(sys.argv)
    again = values[holder.name].value
    again.update_from_flattened_dict({word[len('--config.'):-len('=None')]: None for word in unset})
    again = resolve(again)
    assert digest(again) == digest(config) and again.trials == config.trials and again.data.dir == config.data.dir


def test_what_follows_is_not_named():
    """20 epochs have 4 of warm-up by themselves, but not 2."""
    config = digits.get_config('le')
    config.epochs = 20
    assert command(json.loads(resolve(config).to_json())) == (
        'python -m ikd.main --config=configs/digits.py:le --config.epochs=20')
    config.method.warmup_epochs = 2
    assert command(json.loads(resolve(config).to_json())).endswith(
        '--config.epochs=20 --config.method.warmup_epochs=2')


def test_where_something_is_kept_is_not_named():
    """Nor how often: they change nothing of what is trained, and others keep it elsewhere."""
    config = resolve(digits.get_config('le'))
    plain = command(json.loads(config.to_json()))
    config.update(checkpoint_every=7, test_every=3, cache_dir='there', store='elsewhere')
    assert command(json.loads(config.to_json())) == plain == 'python -m ikd.main --config=configs/digits.py:le'


def test_a_run_with_code_of_ones_own_needs_its_file(tmp_path, monkeypatch):
    """ikd's files know nothing of the method, so a command with one of them could not train it."""
    file = tmp_path / 'mine.py'
    file.write_text("""
from configs import common
from ikd.recipes import RECIPES

RECIPES['mine'] = lambda config: RECIPES['ce'](config)

def get_config(argument='plain'):
    config = common.digits()
    config.method.name, config.own.what = 'mine', argument
    return config
""")
    monkeypatch.setitem(RECIPES, 'mine', None)  # and away with it afterwards
    config = module_of(str(file)).get_config('big')
    config.epochs = 7
    fields = json.loads(resolve(config).to_json())
    assert command(fields) is None
    assert command(fields, f'{file}:big') == f'python -m ikd.main --config={file}:big --config.epochs=7'
    assert command(fields, str(file)) == (
        f'python -m ikd.main --config={file} --config.epochs=7 --config.own.what=big')


@pytest.mark.parametrize('fields', [{}, {'method': {'name': 'averaged'}}, {'epochs': 'many'}, {'method': 3}])
def test_a_config_that_is_not_ikds_has_none(fields):
    assert (command(fields) is None) == bool(fields)
