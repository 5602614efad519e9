"""Fields that a method does not read: those that are named change nothing, and those it reads are not named."""
import jax
import pytest

from configs import digits
from ikd import experiment, stage_names
from ikd.config import flatten
from ikd.errors import InputError
from ikd.journal import read_records
from ikd.objectives import cross_entropy
from ikd.recipes import RECIPES
from ikd.stages import Stage
from tests.test_main import ikd

# Another value for every field of these parts, allowed for all of the methods below.
OTHER = {
    'method.alpha': 0.7, 'method.beta': 0.25, 'method.lam': 0.3, 'method.rate': 0.2, 'method.temperature': 2.5,
    'method.weight': 0.5, 'method.warmup_epochs': 2, 'teacher.model': 'cnn4', 'teacher.assistant': 'cnn4',
    'features.epochs': 2, 'features.learning_rate': 0.01, 'features.weight': 2.0, 'features.power': 1,
    'srdl.split': 0.25, 'srdl.restart': 'weights', 'hme.loss': 'ls', 'hme.learning_rate': 0.1, 'epochs': 4,
    'optimizer.learning_rate': 0.05, 'batch_size': 16, 'method.bn': 'running',
}
READ_BY_ALL = {'epochs', 'optimizer.learning_rate', 'batch_size', 'method.bn'}
READ = {
    'ce': set(), 'dropout': {'method.rate'}, 'label_smoothing': {'method.alpha'},
    'confidence_penalty': {'method.beta'}, 'le': {'method.alpha', 'method.lam', 'method.warmup_epochs'},
    'le_uniform': {'method.alpha', 'method.lam', 'method.warmup_epochs'},
    'kd': {'method.lam', 'method.weight', 'method.temperature', 'teacher.model'},
    'srdl': {'method.lam', 'method.weight', 'method.temperature', 'srdl.split', 'srdl.restart'},
}


def before_and_after(method, fields):
    """(Flattened fields of a config, the config with others)."""
    config = digits.get_config(f'{method},smoke')
    config.update_from_flattened_dict({'model.name': 'cnn2', 'data.size': 16, 'epochs': 3})
    before = flatten(config)
    config.update_from_flattened_dict(fields)
    return before, config


@pytest.mark.parametrize('method', READ)
def test_what_a_method_does_not_read_is_named(method):
    before, config = before_and_after(method, OTHER)
    assert set(stage_names.idle(config, before)) == {*OTHER} - READ_BY_ALL - READ[method]
    assert stage_names.idle(config, flatten(config)) == []


def test_what_shows_a_network_or_says_how_it_is_trained_is_not_named():
    before, config = before_and_after('ce', {'method.explainer': 'grad', 'seed': 3, 'trials': 2, 'test_every': 2,
                                             'data.placement': 'stream', 'own': {}})
    assert stage_names.idle(config, before) == []


@pytest.mark.parametrize('method, fields', [
    ('le', {'method.lam': 0.1, 'method.warmup_epochs': 1}), ('kd', {'method.temperature': 4.0}),
    ('takd', {'teacher.assistant': 'resnet20'})])
def test_the_value_that_none_stands_for_is_not_named(method, fields):
    before, config = before_and_after(method, fields)
    assert stage_names.idle(config, before | dict.fromkeys(fields)) == []


def test_the_network_of_a_given_teacher_is_not_named(tmp_path):
    """The checkpoint has to go with it."""
    (tmp_path / 'summary.json').write_text('{"trials": [{"seed": 0, "test_accuracy": 90.0}]}')
    before, config = before_and_after('kd', {'teacher.checkpoint': str(tmp_path), 'teacher.model': 'cnn4'})
    assert stage_names.idle(config, before) == []


class Doubled:
    """An objective of one's own that can't be named, and may read any field."""

    def __call__(self, *arguments, **named):
        loss, rest = cross_entropy(*arguments, **named)
        return 2 * loss, rest


def test_with_code_of_ones_own_nothing_is_named(monkeypatch):
    monkeypatch.setitem(RECIPES, 'doubled', lambda config: [Stage('doubled', Doubled(), config.epochs)])
    before, config = before_and_after('ce', {'method.name': 'doubled', 'method.alpha': 0.7})
    assert stage_names.idle(config, before) == []


def test_a_field_that_cannot_be_without_another_is_not_named():
    """The three epochs that were there have no room for this warm-up."""
    before, config = before_and_after('le', {'method.warmup_epochs': 3, 'epochs': 4})
    assert stage_names.idle(config, before) == []
    config.method.alpha = 2.0
    with pytest.raises(InputError, match='method.alpha is 2.0'):
        stage_names.idle(config, before)


@pytest.mark.slow
@pytest.mark.usefixtures('without_pictures')
@pytest.mark.parametrize('method', ['label_smoothing', 'srdl'])
def test_fields_that_are_named_change_no_digit(method, tmp_path):
    losses = []
    for fields in {}, {field: OTHER[field] for field in {*OTHER} - READ_BY_ALL - READ[method]}:
        config = before_and_after(method, fields)[1]
        workdir = tmp_path / str(len(losses))
        experiment.run(config, workdir, jax.devices()[:1])
        losses.append([record['train_loss'] for record in read_records(workdir) if 'train_loss' in record])
    assert losses[0] == losses[1] and len(losses[0]) == 3


@pytest.mark.parametrize('flag', ['--config=', '-config=', '--flagfile='])
def test_the_command_says_so(flag, tmp_path):
    """In one line, before it trains; not of a field that is read, or that the file has set."""
    file = 'configs/le_cifar.py:smoke'
    if flag == '--flagfile=':
        (tmp_path / 'flags').write_text(f'--config={file}\n')
        file = tmp_path / 'flags'
    result = ikd(f'{flag}{file}', '--config.method.name=ce', '--config.model.name=mlp', '--config.method.lam=0.5',
                 '--config.method.alpha=0.7', '--config.batch_size=16', '--config.data.name=folder',
                 f'--config.data.dir={tmp_path}/nowhere', f'--workdir={tmp_path}/run')
    first, second = result.stderr.splitlines()
    assert first == 'ikd: method.name=ce makes no use of config.method.alpha, config.method.lam'
    assert 'nowhere' in second and result.returncode == 2
