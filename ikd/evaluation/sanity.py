"""Do maps depend on what a network has learnt? Cascading randomisation (Adebayo et al. 2018, section 4.1).

Layers are given new weights from the top down, one more at each step. The maps of the true class are compared with
those of the trained network by Spearman's rho. An explainer whose maps stay alike does not show what was learnt.
"""
import jax
import jax.numpy as jnp
import numpy as np

from ikd import models
from ikd.evaluation.discriminativeness import readings, spearman
from ikd.evaluation.intervals import estimate
from ikd.trained import explain_function, fitting, image_batches


def parts_in_order(model, image_shape, names):
    """The modules among the top-level `names` of a network's parameters, as an image [h, w, c] meets them."""
    met = []

    def note(call, args, kwargs, context):
        path = context.module.path
        if path and path[0] in names and path[0] not in met:
            met.append(path[0])
        return call(*args, **kwargs)

    with models.intercepting(note):
        models.shapes(model, image_shape)
    return met


def cascade(trained, explainer=None, most=200, seed=1):
    """Rank correlation of the true class's maps before and after randomisation, a dict a step from the top.

    part: the top-level part (a layer, a residual block) that is new since the step before, None in the first step;
        its weights are drawn anew, its BatchNorm statistics are as at the start. Parameters of no module but the
        network itself come first, as its head, under its class's name.
    `absolute` and `signed`, of maps without colours `absolute` and `as_is`: the two readings of Adebayo et al.,
        without their clipping for display. Each has the mean `rho` over the first `most` test images, its 95 %
        bootstrap interval `low`, `high`, and `undefined`, the images where one of the maps is constant, which are
        left out. The numbers are None if all are, the interval also if all but one are.
    """
    explain, shape = explain_function(trained, explainer), trained.dataset.image_shape
    variables = trained.variables
    new = jax.device_get(models.init(trained.model, jax.random.key(seed), shape))
    modules = parts_in_order(trained.model, shape, variables['params'])
    own = {*variables['params']} - {*modules}
    parts = {None: set(), **({type(trained.model).__name__: own} if own else {}),
             **{name: {name} for name in reversed(modules)}}

    @jax.jit
    def maps_of(variables, images, labels):
        found = readings(explain(variables, images, labels[:, None]), images.shape[1:3])
        return found if 'absolute' in found else {'as_is': found['as_is'], 'absolute': jnp.abs(found['as_is'])}

    compare = jax.jit(lambda old, new: {name: spearman(old[name], new[name])[:, 0] for name in old})
    batches = list(image_batches(trained, most, size=fitting(trained, 100)))
    before = [maps_of(variables, images, labels) for images, labels, _ in batches]
    steps = []
    for part, names in parts.items():
        variables = {kind: {name: new[kind][name] if name in names and kind in new else old
                            for name, old in tree.items()} for kind, tree in variables.items()}
        found = [jax.tree.map(lambda rho: rho[real], jax.device_get(compare(old, maps_of(variables, images, labels))))
                 for old, (images, labels, real) in zip(before, batches)]
        step = {}
        for name, rho in jax.tree.map(lambda *parts: np.concatenate(parts), *found).items():
            found = estimate(rho)
            step[name] = {'rho': found.pop('value'), **found, 'undefined': int(np.isnan(rho).sum())}
        steps.append({'part': part, **step})
    return steps
