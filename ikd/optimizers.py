"""Optimisers and their learning rates: each gives an optax transformation and its schedule (step -> rate)."""
import jax
import jax.numpy as jnp
import optax

UNDECAYED = ('attention', 'routing')  # of KDExplainer's VAM and ResNet18, which decay would make uniform


def decays(path, leaf):
    """Whether weight decay acts on a parameter: on all but those called as UNDECAYED are."""
    return path[-1].key not in UNDECAYED


def sgd(settings, steps, epochs, factor=0.1, offset=0, **changes):
    """SGD with momentum and coupled weight decay on every parameter but UNDECAYED.

    The learning rate is multiplied by `factor` at each milestone, a share of `epochs` of `steps` steps
    (2009.09140, section 5), the first `offset` epochs left out. settings: `config.optimizer`, of which `changes`
    override fields.
    """
    settings = {**settings, **changes}
    boundaries = {}
    for share in settings['milestones']:
        step = round(share * epochs * steps)  # which in few steps may be that of another
        boundaries[step] = boundaries.get(step, 1) * factor
    whole = optax.piecewise_constant_schedule(settings['learning_rate'], boundaries)
    schedule = (lambda step: whole(step + offset * steps)) if offset else whole
    decay = optax.add_decayed_weights(settings['weight_decay'],
                                      lambda params: jax.tree.map_with_path(decays, params))
    return optax.chain(decay, optax.sgd(schedule, settings['momentum'] or None)), schedule


def annealed_adam(settings, steps, epochs, learning_rate, routing_rate):
    """Adam with L2 for a soft tree: the routing, parts `branch...`, has a rate of its own (KDExplainer's code).

    Epoch 1: a quarter of the rate; 2: half; 3: the whole; then it falls linearly at every odd epoch e to
    1 - (e - 1) / int(1.03093 epochs) of it. The routing's rate is 0 in epochs 1 and 2.
    """
    length = int(1.03093 * epochs)

    def schedule(step, rate=learning_rate, first=0.25, second=0.5):
        epoch = step // steps + 1
        odd = epoch - (epoch + 1) % 2
        later = jnp.where(epoch < 5, 1.0, 1 - (odd - 1) / length)
        return rate * jnp.select([epoch == 1, epoch == 2], [first, second], later)

    def routing_schedule(step):
        return schedule(step, routing_rate, 0.0, 0.0)

    def adam(rate):
        return optax.chain(optax.add_decayed_weights(settings['weight_decay']), optax.adam(rate))

    def labels(params):
        return {name: 'routing' if name.startswith('branch') else 'weights' for name in params}

    return optax.partition({'weights': adam(schedule), 'routing': adam(routing_schedule)}, labels), schedule
