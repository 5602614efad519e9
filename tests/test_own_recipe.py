"""Mistakes in recipes of one's own, and fine-tuning what a run has trained."""
import jax
import numpy as np
import optax
import pytest

from ikd import checkpoint, experiment
from ikd.errors import InputError
from ikd.journal import read_records
from ikd.objectives import cross_entropy
from ikd.optimizers import sgd
from ikd.recipes import RECIPES
from ikd.stages import Stage, weights_only
from tests.test_store import DEVICES, make_config

pytestmark = pytest.mark.usefixtures('without_pictures')


def plain(**fields):
    return lambda config: [Stage('mine', cross_entropy, config.epochs, **fields)]


def run(recipe, workdir, monkeypatch):
    monkeypatch.setitem(RECIPES, 'mine', recipe)
    return experiment.run(make_config('mine', **{'model.name': 'cnn2'}), workdir, DEVICES[:1])


@pytest.mark.parametrize('recipe, message', [
    (lambda config: [], 'the recipe of method.name=mine gives no stage of at least one epoch'),
    (lambda config: [Stage('mine', cross_entropy, 0)], 'gives no stage of at least one epoch'),
    (plain(teacher=0), "stage 'mine' has teacher=0; give the number of an earlier stage, the first of which is 0"),
    (plain(teacher=-1), "stage 'mine' has teacher=-1"),
    (plain(trains=lambda model, image_shape, names: {*names, 'nope'}),
     "stage 'mine' trains nope, which is no part of PlainCNN; its parts are: .*Dense_0"),
    (plain(trains=lambda model, image_shape, names: 'nope'), "stage 'mine' trains nope, which is no part of"),
    *((plain(optimizer=lambda settings, steps, epochs, made=made: made),
       r"the optimizer of stage 'mine' must return \(optax transformation, schedule\)")
      for made in (optax.sgd(0.1), (optax.sgd(0.1), 0.1), (optax.constant_schedule(0.1), optax.sgd(0.1)), None)),
])
def test_what_no_recipe_can_be_is_a_line_before_anything_is_written(recipe, message, monkeypatch, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        run(recipe, tmp_path / 'run', monkeypatch)
    assert '\n' not in str(error.value) and not (tmp_path / 'run').exists()


def test_what_a_run_has_trained_is_tuned(monkeypatch, tmp_path):
    """However many epochs the stage that gives it names; at a rate of next to nothing it stays as it was."""
    run(plain(), tmp_path / 'before', monkeypatch)
    still = lambda settings, steps, epochs: sgd(settings, steps, epochs, learning_rate=1e-30)
    run(lambda config: [Stage('given', cross_entropy, 1, given=str(tmp_path / 'before')),
                        Stage('tuned', cross_entropy, config.epochs, weights_only, optimizer=still)],
        tmp_path / 'after', monkeypatch)
    records = read_records(tmp_path / 'after', 0)
    assert [(record['stage'], record['epoch']) for record in records] == [('given', 0), ('tuned', 1), ('tuned', 2)]
    weights = [checkpoint.last_tree(tmp_path / name, 0)['params'] for name in ('before', 'after')]
    jax.tree.map(np.testing.assert_array_equal, *weights)
