"""Stored stages know the code of a user's own networks and objectives, and nothing of ikd's."""
import os
import subprocess
import sys
from functools import partial

import flax.linen as nn
import numpy as np
import pytest

from ikd import stage_names
from ikd.config import default
from ikd.explainers import EXPLAINERS, SIMILARITIES
from ikd.models import MODELS, Taps
from ikd.modules import module_of
from ikd.objectives import attentive, cross_entropy, distil
from ikd.own_code import is_own, source
from ikd.recipes import recipe
from ikd.validation import resolve
from tests.test_store import make_config

TOLD = """
from functools import partial
import flax.linen as nn
from ikd.own_code import source

class Net(nn.Module):
    num_classes: int
    activation: object = partial(nn.leaky_relu, negative_slope=0.2)
    kinds: frozenset = frozenset('abcdefgh')

    def __call__(self, x, train):
        return x, {}

NAMED = frozenset('ijklmnop')

def helper(batch):
    return [one for one in batch if one in KINDS], NAMED

KINDS = ('a', 'b')

def loss(batch, gamma):
    return helper(batch)

print(repr([source(Net), source(partial(loss, gamma=2.0)), source(partial(Net, num_classes=3))]))
"""


def test_ones_own_code_is_the_same_in_every_process(tmp_path):
    """Addresses and the order of sets are not; what a partial function is given is part of it."""
    (tmp_path / 'told.py').write_text(TOLD)
    first, second = (subprocess.run(
        [sys.executable, tmp_path / 'told.py'], check=True, capture_output=True, text=True,
        env={**os.environ, 'PYTHONHASHSEED': seed, 'PYTHONPATH': os.getcwd()}).stdout for seed in '12')
    assert first == second and 'leaky_relu' in first and '0.2' in first


def test_code_whose_file_changes_while_it_runs_is_what_it_was(tmp_path):
    """The functions in memory are the old ones."""
    path = tmp_path / 'mine.py'
    path.write_text('def loss(batch):\n    return batch\n')
    loss = module_of(str(path)).loss
    before = source(loss)
    path.write_text('def loss(batch):\n    return 2 * batch\n')
    assert source(loss) == before != source(module_of(str(path)).loss)


def test_whatever_is_given_to_ones_own_code_is_part_of_it():
    """But a config, which is named by itself."""
    own = test_whatever_is_given_to_ones_own_code_is_part_of_it
    given = [partial(own), partial(own, 1), partial(own, 2), partial(own, a=1, b=2), partial(own, a=2, b=1),
             partial(own, nn.relu), partial(own, nn.tanh)]
    assert len({*map(source, given)}) == len(given) and all(map(is_own, given))
    assert source(partial(own, default())) == source(partial(own, make_config('ce')))
    assert source(partial(own, b=1, a=2)) == source(partial(own, a=2, b=1))


def test_all_that_a_class_holds_is_part_of_it():
    """Constants, and methods of every kind; of an object that is called, its class."""
    class Plain:
        K = 1

        @staticmethod
        def f():
            return 1

        @classmethod
        def g(cls):
            return 1

        @property
        def h(self):
            return 1

        def __call__(self, batch):
            return 1

    class Constant(Plain):
        K = 2

    class Static(Plain):
        @staticmethod
        def f():
            return 2

    class OfClass(Plain):
        @classmethod
        def g(cls):
            return 2

    class Property(Plain):
        @property
        def h(self):
            return 2

    classes = [Plain, Constant, Static, OfClass, Property]
    assert len({*map(source, classes)}) == len(classes)
    assert source(Plain()) == source(Plain) and 'return 1' in source(Plain) and is_own(Plain())


def test_code_without_a_source_is_what_it_was_compiled_to():
    """As of a program that comes by standard input; but for what dataclasses write, another text in each Python."""
    def loss(text, default=1):
        names = {'__name__': '__main__'}
        code = f'def loss(batch, gamma={default}):\n    return [{text} for one in batch]'
        exec(compile(code, '<stdin>', 'exec'), names)
        return source(names['loss'])

    assert len({loss('1.0 * one'), loss('0.0 * one'), loss('one'), loss('one', 2)}) == 4
    assert loss('one') == loss('one')
    assert '__post_init__' not in source(Mine) and '__post_init__' in Mine.__init__.__wrapped__.__code__.co_names


def test_what_is_held_is_part_of_it():
    """By a closure, an object that is called, a method; functions that a closure holds, of whatever they hold."""
    def closure(alpha, then=None):
        def again(n):
            return again(n - 1) if n else then

        return lambda batch: (alpha, then, again)

    class Loss:
        def __init__(self, alpha):
            self.alpha = alpha

        def __call__(self, batch):
            return self.alpha

    one, other = closure(1), closure(2)
    given = [one, other, closure(1, one), closure(1, other), Loss(1), Loss(2), Loss(1).__call__, Loss(2).__call__]
    assert len({*map(source, given)}) == len(given)
    assert [source(closure(1, one)), source(Loss(2))] == [source(closure(1, closure(1))), source(Loss(2))]
    assert source(Mine(3)) == source(Mine(3)) != source(Mine(4))  # Flax gives each an id


class Mine(nn.Module):
    width: int

    def __call__(self, batch):
        return batch


def test_a_stage_has_a_name_whatever_its_objective_is():
    """An object that is called; NumPy's numbers; and where code holds the config, all that it says counts."""
    def named(objective, **fields):
        config = make_config('kd', **fields)
        return stage_names.stage_name(config, [recipe(config)[0]._replace(objective=objective)], 0)

    def loss(batch, config):
        return config.method.alpha

    given = [Mine(3), Mine(4), *(partial(cross_entropy, a=np.float32(a)) for a in (1, 2))]
    assert len({*map(named, given)}) == 4
    for objective, told in (cross_entropy, 1), (partial(loss, config=make_config('kd')), 2):
        assert len({named(objective, **{'method.beta': beta}) for beta in (0.1, 0.2)}) == told


def test_a_stage_is_named_after_the_code_of_ones_own(monkeypatch):
    """Of a network's methods and its fields' defaults, what it inherits, and objectives; ikd's own do not count."""
    class Base(nn.Module):
        num_classes: int
        width: int = 8

        @nn.compact
        def __call__(self, x, train):
            return self.last(nn.relu(nn.Dense(self.width)(x.reshape(len(x), -1)))), Taps()

        def last(self, x):
            return nn.Dense(self.num_classes)(x)

    class Wider(Base):
        width: int = 16

    class Other(Base):
        def last(self, x):
            return nn.Dense(self.num_classes)(nn.tanh(x))

    class Child(Base):
        pass

    parents = Child

    class Child(Other):
        pass

    def named(network, objective=cross_entropy):
        monkeypatch.setitem(MODELS, 'cnn2', network)
        config = make_config('kd', **{'teacher.model': 'cnn2'})
        stages = [recipe(config)[0]._replace(objective=objective)]
        return stage_names.stage_name(config, stages, 0)

    ours = MODELS['cnn2']
    names = [named(network) for network in (ours, Base, Wider, Other, parents, Child)]
    names += [named(Base, objective=objective) for objective in (
        lambda batch: 1,
        lambda batch: 2)]
    assert len({*names}) == len(names)
    assert named(Base) == names[1] and named(ours) == names[0]
    config = make_config('kd')
    plain = stage_names.stage_name(config, recipe(config), 0)
    config.own.strength = 9
    assert stage_names.stage_name(config, recipe(config), 0) != plain
    assert named(Base, partial(attentive, objective=lambda batch: 1)) not in names
    assert source(ours) == source(cross_entropy) == source(partial(distil, lam=1.0)) == source(nn.relu) == ''


@pytest.mark.parametrize('fields', [{}, {'model.vam': True}])
def test_ones_own_explainer_is_own_code(fields, monkeypatch):
    """Also where the objective that learns from it is held by another, as that of virtual attention is."""
    config = resolve(make_config('le', **fields))
    assert stage_names.own_code(config) is None
    monkeypatch.setitem(EXPLAINERS, config.method.explainer, lambda model, variables, images: images)
    first = stage_names.own_code(config)
    monkeypatch.setitem(EXPLAINERS, config.method.explainer, lambda model, variables, images: -images)
    assert None not in (first, stage_names.own_code(config)) and stage_names.own_code(config) != first


@pytest.mark.parametrize('fields', [{}, {'model.vam': True}])
def test_ones_own_similarity_is_own_code(fields, monkeypatch):
    """It makes the targets as the explainer makes the maps; the warm-up has learnt from neither."""
    config = resolve(make_config('le', **{'method.similarity': 'multiscale_mse', **fields}))
    told = []
    for similarity in (
            SIMILARITIES['multiscale_mse'],
            lambda maps, labels: 1,
            lambda maps, labels: 2):
        monkeypatch.setitem(SIMILARITIES, 'multiscale_mse', similarity)
        stages = recipe(config)
        told.append((stage_names.own_code(config), *(stage_names.stage_name(config, stages, i) for i in (0, 1))))
    own, warm_up, introspective = map(set, zip(*told))
    assert len(own) == len(introspective) == 3 and None in own and len(warm_up) == 1
