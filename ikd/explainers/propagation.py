"""Backward passes that carry relevance instead of gradients through a network's primitive operations.

The network is traced, and each operation on what depends on the image is evaluated as a rule has it. So nothing is
asked of how the network is written; biases and BatchNorm in evaluation mode are seen for what they are, constants;
and an operation without a rule is found: softmax attention, gates, other activations than ReLU.
"""
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from ikd.errors import InputError

CALLS = ('jit', 'closed_call', 'custom_jvp_call', 'custom_vjp_call', 'custom_vmap_call', 'remat2')
PLACING = ('reshape', 'transpose', 'squeeze', 'broadcast_in_dim', 'convert_element_type', 'slice', 'dynamic_slice',
           'concatenate', 'stack', 'gather', 'pad', 'rev', 'copy')
CHOOSING = ('reduce_max', 'reduce_window_max', 'split', 'unstack')
SUMS = ('reduce_sum', 'reduce_window_sum')
PRODUCTS = ('conv_general_dilated', 'dot_general')


class Signal(NamedTuple):
    """A value that depends on the image, and how relevance passes through it under the rules of z+.

    positive(*inputs): the sum of the positive contributions to each element of an affine operation's value, up to a
    positive factor, by which relevance is divided where the value is next used. None: relevance propagates from
    `value` itself.
    """
    value: jax.Array
    positive: Callable | None = None
    inputs: tuple = ()


def propagated(f, x, rules, name):
    """The function x -> f(x) whose vector-Jacobian product is the propagation of relevance by `rules`.

    rules: name of a primitive -> rule(op, *operands), operands Signals and constants; it gives a Signal (or a list of
    them, as op does), or None where it can't. InputError, in the explainer's name, for an operation without a rule.
    """
    traced = jax.make_jaxpr(f)(x)

    def run(x):
        signal, = evaluate(traced.jaxpr, traced.consts, [Signal(x)], rules, name)
        return carried(signal)

    return run


def evaluate(jaxpr, constants, inputs, rules, name):
    """The outputs of a jaxpr, Signals where they depend on an input that is a Signal."""
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *inputs)))

    def read(variables):
        return [v.val if isinstance(v, Literal) else known[v] for v in variables]

    for eqn in jaxpr.eqns:
        primitive, operands = eqn.primitive, read(eqn.invars)
        op = partial(primitive.bind, **eqn.params)
        if primitive.name in CALLS:
            inner = next(eqn.params[key] for key in ('call_jaxpr', 'jaxpr', 'call') if key in eqn.params)
            results = evaluate(getattr(inner, 'jaxpr', inner), getattr(inner, 'consts', ()), operands, rules, name)
        elif any(isinstance(operand, Signal) for operand in operands):
            rule = rules.get(primitive.name) if jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating) else None
            results = rule and rule(op, *operands)
            if results is None:
                raise InputError(f"{name} has no rule for the operation '{primitive.name}' with which this network "
                                 'goes on from what it has made of an image; use grad_input')
        else:
            results = op(*operands)
        known.update(zip(eqn.outvars, results if primitive.multiple_results else [results]))
    return read(jaxpr.outvars)


def split(operands):
    """(the Signals, the function of their values that gives all operands)."""
    places = [i for i, operand in enumerate(operands) if isinstance(operand, Signal)]

    def complete(*values):
        return [values[places.index(i)] if i in places else operand for i, operand in enumerate(operands)]

    return [operands[i] for i in places], complete


def plain(op, *operands):
    """What autodiff does: right for operations that place, copy or choose values."""
    signals, complete = split(operands)
    results = op(*complete(*map(carried, signals)))
    return [Signal(value) for value in results] if isinstance(results, list | tuple) else Signal(results)


def by_constants(op, *operands):
    """What autodiff does, where only one of a product's operands depends on the image."""
    return plain(op, *operands) if len(split(operands)[0]) == 1 else None


def quotient(rule):
    """The rule for x / c; there is none for c / x."""
    return lambda op, x, c: None if isinstance(c, Signal) else rule(op, x, c)


def relu(backward):
    """The rule for max(x, 0), x -> ReLU(x) having a backward pass of its own; there is none for other maxima."""
    def rule(op, *operands):
        signals, _ = split(operands)
        zero = [v for v in operands if not isinstance(v, Signal | jax.Array) and not np.any(np.asarray(v))]
        return Signal(backward(carried(signals[0]))) if len(signals) == 1 and zero else None

    return rule


# Epsilon: relevance is value times cotangent, so autodiff carries it, but for the ReLU.

@partial(jax.custom_vjp, nondiff_argnums=(0,))
def damped_relu(epsilon, z):
    """ReLU whose backward pass multiplies the signal by z / (z + epsilon) where z is positive."""
    return jnp.maximum(z, 0)


damped_relu.defvjp(lambda epsilon, z: (jnp.maximum(z, 0), z),
                   lambda epsilon, z, signal: (signal * (jnp.maximum(z, 0) / (jnp.maximum(z, 0) + epsilon)),))


def epsilon_rules(epsilon):
    """Rules under which cotangent times value is the relevance of the epsilon rule; epsilon > 0."""
    return {**dict.fromkeys((*PLACING, *CHOOSING, *SUMS, 'add', 'add_any', 'sub', 'neg'), plain),
            **dict.fromkeys((*PRODUCTS, 'mul'), by_constants), 'div': quotient(by_constants),
            'max': relu(partial(damped_relu, epsilon))}


# z+: cotangents are relevances, and affine operations divide them in proportion to positive contributions.

@partial(jax.custom_vjp, nondiff_argnums=(0,))
def divided(positive, value, inputs):
    """`value`, whose relevance is divided among the inputs in proportion to what they add to positive(*inputs).

    positive is homogeneous of degree one, so that input times derivative is what an input adds.
    """
    return value


def divided_forward(positive, value, inputs):
    """The value, and what dividing its relevance needs."""
    total, pull_back = jax.vjp(positive, *inputs)
    return value, (total, pull_back, inputs)


def divided_backward(positive, kept, relevance):
    """None for the value, and each input's share; what nothing has made positive divides nothing."""
    total, pull_back, inputs = kept
    some = total > 0
    shares = pull_back(jnp.where(some, relevance / jnp.where(some, total, 1), 0).astype(total.dtype))
    return None, tuple(x * share for x, share in zip(inputs, shares))


divided.defvjp(divided_forward, divided_backward)


@jax.custom_vjp
def handed_on(value, x):
    """`value`, whose relevance is that of x, the only thing it depends on."""
    return value


handed_on.defvjp(lambda value, x: (value, x), lambda x, relevance: (None, relevance.astype(x.dtype)))


def carried(signal):
    """The value of a Signal, from which relevance has its way."""
    return divided(signal.positive, signal.value, signal.inputs) if signal.positive else signal.value


def product(op, *operands):
    """A convolution or matrix product with a constant: x_i w_ij where that is positive."""
    signals, complete = split(operands)
    if len(signals) > 1:
        return None

    def positive(x):
        both = complete(x)
        return op(*(jnp.maximum(v, 0) for v in both)) + op(*(jnp.maximum(-v, 0) for v in both))

    x = carried(signals[0])
    return Signal(op(*complete(x)), positive, (x,))


def total(op, x):
    """A sum over some of x's axes."""
    x = carried(x)
    return Signal(op(x), lambda x: op(jnp.maximum(x, 0)), (x,))


def placed(op, *operands):
    """What places values, and with them what their inputs add."""
    signals, complete = split(operands)
    signal, *more = signals
    if more or not signal.positive:
        return plain(op, *operands)
    return Signal(op(*complete(signal.value)), lambda *inputs: op(*complete(signal.positive(*inputs))), signal.inputs)


def scaled(op, *operands):
    """x times a constant, whose sign decides which of x's inputs add to it and which take away."""
    signals, complete = split(operands)
    if len(signals) > 1:
        return None
    signal, = signals
    value = op(*complete(signal.value))
    slope = op(*complete(jnp.ones_like(signal.value)))
    if not signal.positive:
        return Signal(handed_on(value, jnp.where(slope == 0, 0, signal.value)))

    def positive(*inputs):
        turned = jnp.where(slope < 0, signal.positive(*(-x for x in inputs)), 0)
        return jnp.where(slope > 0, signal.positive(*inputs), turned)

    return Signal(value, positive, signal.inputs)


def negated(op, x):
    """-x: what added to x takes away, and the other way round."""
    return scaled(jnp.multiply, x, -1)


def added(op, x, y):
    """A sum of two signals, or of one and a constant, which has no relevance."""
    signals, complete = split((x, y))
    if len(signals) == 1:
        signal, = signals
        value = op(*complete(signal.value))
        return signal._replace(value=value) if signal.positive else Signal(handed_on(value, signal.value))
    x, y = map(carried, signals)
    return Signal(op(x, y), lambda x, y: jnp.maximum(x, 0) + jnp.maximum(y, 0), (x, y))


def subtracted(op, x, y):
    """x - y, as the sum of x and -y."""
    return added(jnp.add, x, negated(None, y) if isinstance(y, Signal) else -y)


Z_PLUS_RULES = {
    **dict.fromkeys(PLACING, placed), **dict.fromkeys(CHOOSING, plain), **dict.fromkeys(SUMS, total),
    **dict.fromkeys(PRODUCTS, product), **dict.fromkeys(('add', 'add_any'), added), 'sub': subtracted,
    'mul': scaled, 'div': quotient(scaled), 'neg': negated,
    'max': relu(lambda x: handed_on(jnp.maximum(x, 0), x)),
}
