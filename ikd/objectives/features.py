"""Learning from a teacher's feature maps: hints (FitNets), attention transfer, flow matrices (FSP).

A distance compares the taps of two networks: (student, teacher), dicts of tap values [b, h, w, c] or [b, d] ->
[b]. It raises InputError where their shapes can't be compared, which shows when a step is traced.
"""
import flax.linen as nn
import jax.numpy as jnp

from ikd.errors import InputError
from ikd.objectives.distillation import parts_with_teacher


def match(batch, distance, weight=1.0, decay=False, objective=None):
    """weight * distance(taps of the student, of the teacher), plus what `objective` gives, if any.

    decay: the weight falls linearly to 0 over the schedule. Per-example loss [b] and its parts; `features` is the
    unweighted distance.
    """
    features = distance(precise(batch.taps), precise(batch.teacher.taps))
    if decay:
        weight = weight * (1 - batch.progress)
    loss, parts = objective(batch) if objective else (0, parts_with_teacher(batch, 1.0))
    return loss + weight * features, {**parts, 'features': features}


def precise(taps):
    """The taps as float32 at least: what two bfloat16 maps differ by is below what their difference can hold."""
    return {name: value.astype(jnp.promote_types(value.dtype, jnp.float32)) for name, value in taps.items()}


def tap_of(taps, name):
    """The value of the tap called `name`; InputError if the network has none of that name."""
    if name not in taps:
        raise InputError(f"no tap '{name}' in one of the two networks; set features.tap to one of: {', '.join(taps)}")
    return taps[name]


def hint(student, teacher, taps):
    """||r(f_S) - f_T||^2 / 2, summed over channels, averaged over positions: [b] (Romero et al. 2015, equation 3).

    taps: the names of the student's guided layer and the teacher's hint. r is the tap `hint` of the student, a
    regressor's output (`Regressed`), or without one the identity.
    """
    f, g = student.get('hint', tap_of(student, taps[0])), tap_of(teacher, taps[1])
    if f.shape != g.shape:
        raise InputError(f"hint compares {taps[0]} of the student, {f.shape[1:]}, with {taps[1]} of the teacher, "
                         f'{g.shape[1:]}; ' + ('choose taps of one size' if f.shape[1:-1] != g.shape[1:-1] else
                                               'set features.regressor=True for unlike numbers of channels'))
    square = jnp.square(f - g).sum(-1) / 2
    return square.reshape(len(square), -1).mean(-1)


def spatial_attention(features, power=2):
    """Mean over channels of |A|^power, flattened over positions, divided by its length: [b, h w] from [b, h, w, c].

    A map of zeros stays zero.
    """
    q = (jnp.abs(features) ** power).mean(-1).reshape(len(features), -1)
    square = jnp.square(q).sum(-1, keepdims=True)
    return q / jnp.sqrt(jnp.where(square > 0, square, 1))


def attention(student, teacher, taps, power=2):
    """Sum over pairs of taps of the mean squared difference of their spatial attention: [b].

    Zagoruyko and Komodakis 2017, equation 2 as their code has it: squared, the mean over positions, no factor of 1/2.
    taps: pairs of names.
    """
    total = 0
    for ours, theirs in taps:
        f, g = tap_of(student, ours), tap_of(teacher, theirs)
        if f.ndim != 4 or g.ndim != 4:
            raise InputError('attention transfer needs feature maps; choose a convolutional model.name and '
                             'teacher.model')
        if f.shape[:-1] != g.shape[:-1]:
            raise InputError(f'attention transfer needs feature maps of one size, but {ours} of the student has '
                             f'{f.shape[1:]} and {theirs} of the teacher {g.shape[1:]}; choose another teacher.model')
        total += jnp.square(spatial_attention(f, power) - spatial_attention(g, power)).mean(-1)
    return total


def flow_matrix(first, second):
    """G[i, j] = sum over positions of first[.., i] second[.., j] / (h w): [b, m, n] (Yim et al. 2017, equation 1).

    Of maps [b, h, w, m] and [b, h', w', n] the larger is max-pooled to the size of the smaller.
    """
    size = min(first.shape[1], second.shape[1]), min(first.shape[2], second.shape[2])

    def pooled(x):
        window = tuple(round(side / small) for side, small in zip(x.shape[1:3], size))
        whole = all(side // step == small for side, step, small in zip(x.shape[1:3], window, size))
        return nn.max_pool(x, window, window, 'VALID' if whole else 'SAME')  # a stride of 2 makes 8 of 15, too

    first, second = pooled(first), pooled(second)
    return jnp.einsum('bhwm,bhwn->bmn', first, second) / (size[0] * size[1])


def flow(student, teacher, taps):
    """Sum over neighbouring taps of ||G_T - G_S||_F^2: [b] (Yim et al. 2017, equation 2, equal weights).

    taps: pairs of names, first to last; G is `flow_matrix` of each and the next (2009.09140, section 5.3: of the
    groups).
    """
    if any(tap_of(student, ours).ndim != 4 or tap_of(teacher, theirs).ndim != 4 for ours, theirs in taps):
        raise InputError('fsp_kd needs feature maps; choose a convolutional model.name and teacher.model')
    total = 0
    for (ours, theirs), (next_ours, next_theirs) in zip(taps, taps[1:]):
        g = flow_matrix(student[ours], student[next_ours])
        g_teacher = flow_matrix(teacher[theirs], teacher[next_theirs])
        if g.shape != g_teacher.shape:
            raise InputError(f'fsp_kd needs networks of one width, but between {ours} and {next_ours} the student '
                             f'has {g.shape[1:]} channels and the teacher {g_teacher.shape[1:]}; choose another '
                             'teacher.model')
        total += jnp.square(g_teacher - g).sum((1, 2))
    return total
