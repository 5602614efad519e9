"""Learning rates by step, and what weight decay acts on."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd.optimizers import annealed_adam, sgd

SETTINGS = {'learning_rate': 0.1, 'momentum': 0.9, 'weight_decay': 0.01, 'milestones': (0.5, 0.75)}


def test_the_rate_falls_at_the_milestones():
    _, schedule = sgd(SETTINGS, steps=5, epochs=8)
    rates = np.array([schedule(step) for step in range(40)])
    np.testing.assert_allclose(rates, [0.1] * 20 + [0.01] * 10 + [0.001] * 10, rtol=1e-6)


def test_the_rates_of_the_paper():
    """160 epochs of 390 steps, a tenth at epochs 80 and 120 counted from 0 (2009.09140, section 5)."""
    _, schedule = sgd(SETTINGS, steps=390, epochs=160)
    rates = [float(schedule(epoch * 390 + step)) for epoch in (79, 80, 119, 120, 159) for step in (0, 389)]
    assert rates == pytest.approx([0.1] * 2 + [0.01] * 4 + [0.001] * 4)


def test_an_offset_leaves_out_the_first_epochs():
    _, whole = sgd(SETTINGS, steps=5, epochs=8)
    _, rest = sgd(SETTINGS, steps=5, epochs=8, offset=3)
    assert [float(rest(step)) for step in range(25)] == [float(whole(step + 15)) for step in range(25)]


def test_the_rate_that_moves_the_weights_is_that_of_the_schedule():
    """Also past milestones and from an offset on; without momentum and decay a step is the rate itself."""
    params = {'layer': {'kernel': jnp.zeros(1)}}
    for offset, rates in (0, [0.1, 0.1, 0.01, 0.001]), (2, [0.01, 0.001]):
        optimizer, _ = sgd({**SETTINGS, 'momentum': 0.0, 'weight_decay': 0.0}, steps=1, epochs=4, offset=offset)
        state, moved = optimizer.init(params), []
        for _ in rates:
            change, state = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
            moved.append(-float(change['layer']['kernel'][0]))
        np.testing.assert_allclose(moved, rates, rtol=1e-5)


def test_a_stage_may_change_its_settings():
    _, schedule = sgd(SETTINGS, steps=2, epochs=4, factor=0.5, learning_rate=1.0, milestones=(0.25,))
    assert [float(schedule(step)) for step in (0, 1, 2, 7)] == [1, 1, 0.5, 0.5]


def test_sgd_against_its_formula():
    """v <- m v + (g + d w); w <- w - r v, and no decay on the logits of attention and routing."""
    params = {'layer': {'kernel': jnp.array([2.0]), 'attention': jnp.array([3.0])},
              'branch3': {'routing': jnp.array([3.0])}}
    gradients = jax.tree.map(jnp.ones_like, params)
    optimizer, _ = sgd(SETTINGS, steps=10, epochs=10)
    state = optimizer.init(params)
    w, a, v, u = 2.0, 3.0, 0.0, 0.0
    for _ in range(3):
        change, state = optimizer.update(gradients, state, params)
        params = jax.tree.map(jnp.add, params, change)
        v, u = 0.9 * v + 1 + 0.01 * w, 0.9 * u + 1
        w, a = w - 0.1 * v, a - 0.1 * u
    assert params['layer']['kernel'][0] == pytest.approx(w)
    assert params['layer']['attention'][0] == params['branch3']['routing'][0] == pytest.approx(a)


def test_the_rate_of_a_soft_tree():
    """The rule spelt out: quarter, half, whole, then at every odd epoch 1 - (e - 1) / int(1.03093 n), n = 300."""
    _, schedule = annealed_adam(SETTINGS, steps=7, epochs=300, learning_rate=0.05, routing_rate=0.01)
    expected = {1: 0.25, 2: 0.5, 3: 1, 4: 1, 5: 1 - 4 / 309, 6: 1 - 4 / 309, 7: 1 - 6 / 309, 299: 1 - 298 / 309,
                300: 1 - 298 / 309}
    for epoch, share in expected.items():
        for step in (7 * epoch - 7, 7 * epoch - 1):
            assert float(schedule(step)) == pytest.approx(0.05 * share, rel=1e-5)


def test_the_fall_of_a_soft_tree_takes_whole_epochs():
    """int(1.03093 x 160) = 164 of 164.9."""
    _, schedule = annealed_adam(SETTINGS, steps=1, epochs=160, learning_rate=1.0, routing_rate=0.01)
    assert float(schedule(158)) == pytest.approx(1 - 158 / 164, rel=1e-5)


def test_the_routing_of_a_soft_tree_waits_two_epochs():
    """And then moves at its own rate: Adam's first steps are the rate itself."""
    params = {'branch1': {'routing': jnp.ones(3)}, 'level1_1': {'kernel': jnp.ones(3)}}
    optimizer, _ = annealed_adam({**SETTINGS, 'weight_decay': 0.0}, steps=2, epochs=100, learning_rate=0.05,
                                 routing_rate=0.01)
    state, moved = optimizer.init(params), []
    for _ in range(6):
        change, state = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
        moved.append((float(change['branch1']['routing'][0]), float(change['level1_1']['kernel'][0])))
    np.testing.assert_allclose(moved, [(0, -0.0125)] * 2 + [(0, -0.025)] * 2 + [(-0.01, -0.05)] * 2, rtol=1e-4)


def test_milestones_at_the_same_step_both_count():
    _, schedule = sgd({**SETTINGS, 'learning_rate': 0.1, 'momentum': 0.9, 'milestones': (0.5, 0.75)}, 3, 1)
    np.testing.assert_allclose([float(schedule(step)) for step in range(4)], [0.1, 0.1, 0.001, 0.001], rtol=1e-5)


def test_the_decay_of_a_soft_tree_is_in_the_gradient():
    """L2, as in its code: Adam's first step is the rate against the sign of g + d w, which 1 - 0.5 x 3 turns."""
    params = {'level1_1': {'kernel': jnp.array([-3.0, 1.0])}}
    optimizer, _ = annealed_adam({**SETTINGS, 'weight_decay': 0.5}, steps=2, epochs=100, learning_rate=0.05,
                                 routing_rate=0.01)
    change, _ = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(change['level1_1']['kernel'], [0.0125, -0.0125], rtol=1e-4)


def test_biases_and_a_soft_trees_routing_decay_too():
    """SGD moves them by the rate times d w where there is no gradient; Adam, of the third epoch, by its rate."""
    params = {'branch1': {'routing': jnp.ones(1)}, 'norm': {'bias': jnp.ones(1), 'scale': jnp.ones(1)}}
    none = jax.tree.map(jnp.zeros_like, params)
    optimizer, _ = sgd(SETTINGS, steps=10, epochs=10)
    change, _ = optimizer.update(none, optimizer.init(params), params)
    np.testing.assert_allclose([change['norm'][name][0] for name in ('bias', 'scale')], -0.1 * 0.01, rtol=1e-5)
    optimizer, _ = annealed_adam(SETTINGS, steps=1, epochs=100, learning_rate=0.05, routing_rate=0.02)
    state = optimizer.init(params)
    for _ in range(3):
        change, state = optimizer.update(none, state, params)
    np.testing.assert_allclose(change['branch1']['routing'], -0.02, rtol=1e-4)
