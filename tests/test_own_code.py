"""Stored stages know the code of a user's own networks and objectives, and nothing of ikd's."""
from functools import partial

import flax.linen as nn

from ikd import store
from ikd.models import MODELS, Taps
from ikd.objectives import attentive, cross_entropy, distil
from ikd.own_code import source
from ikd.recipes import recipe
from tests.test_store import make_config


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

    class Same(Base):
        pass

    class Wider(Base):
        width: int = 16

    class Other(Base):
        def last(self, x):
            return nn.Dense(self.num_classes)(nn.tanh(x))

    def named(network, objective=cross_entropy):
        monkeypatch.setitem(MODELS, 'cnn2', network)
        config = make_config('kd', **{'teacher.model': 'cnn2'})
        stages = [recipe(config)[0]._replace(objective=objective)]
        return store.stage_name(config, stages, 0)

    ours = MODELS['cnn2']
    names = [named(network) for network in (ours, Base, Wider, Other)]
    names += [named(Base, objective=objective) for objective in (
        lambda batch: 1,
        lambda batch: 2)]
    assert len({*names}) == len(names) and named(Same) == named(Same)
    assert named(Base) == names[1] and named(ours) == names[0]
    config = make_config('kd')
    plain = store.stage_name(config, recipe(config), 0)
    config.own.strength = 9
    assert store.stage_name(config, recipe(config), 0) != plain
    assert named(Base, partial(attentive, objective=lambda batch: 1)) not in names
    assert source(ours) == source(cross_entropy) == source(partial(distil, lam=1.0)) == source(nn.relu) == ''
