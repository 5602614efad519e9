"""Every method as a recipe: a function of a resolved config that gives a short list of stages."""
from functools import partial

from ikd.errors import InputError
from ikd.objectives import attentive
from ikd.recipes.introspective import le, le_frozen, le_uniform
from ikd.recipes.peers import ban, dml, srdl
from ikd.recipes.plain import ce, dropout, penalty, smoothing
from ikd.recipes.taught import at_kd, cwtm, fsp_kd, hint_kd, kd, takd
from ikd.recipes.trees import hme

RECIPES = {
    'ce': ce, 'dropout': dropout, 'label_smoothing': smoothing, 'confidence_penalty': penalty,
    'kd': kd, 'dkpp': partial(kd, permute=True),
    'cwtm': partial(cwtm, weights='teacher'), 'cwtm_permut': partial(cwtm, weights='permuted'),
    'cwtm_random': partial(cwtm, weights='random'),
    'dml': dml, 'ban': partial(ban, labels=False), 'ban_l': partial(ban, labels=True),
    'hint': hint_kd, 'at_kd': at_kd, 'fsp_kd': fsp_kd, 'takd': takd,
    'le': le, 'le_permut': partial(le, permute=True), 'le_frozen': le_frozen,
    'le_frozen_turned': partial(le_frozen, turn=True), 'le_uniform': le_uniform,
    'srdl': srdl, 'hme': hme,
}
WITHOUT_WARMUP = tuple(name for name in RECIPES if not name.startswith('le'))  # of ikd's own methods
EXPLAINED = ('le', 'le_permut', 'le_frozen', 'le_frozen_turned')  # the methods that learn from explanations


def recipe(config):
    """The stages of a resolved config's method, those of no epochs left out; a network that is given has none.

    With `model.vam` the student's objectives get the entropy of its attention, weighted by `model.vam_gamma`.
    InputError for a recipe of one's own that has no stage, or one that learns from none that comes before it.
    """
    stages = [stage._replace(epochs=0) if stage.given else stage for stage in RECIPES[config.method.name](config)
              if stage.epochs or stage.given]
    if not stages:
        raise InputError(f'the recipe of method.name={config.method.name} gives no stage of at least one epoch')
    for i, stage in enumerate(stages):
        if stage.teacher is not None and stage.teacher not in range(i):
            raise InputError(f"stage '{stage.name}' has teacher={stage.teacher}; give the number of an earlier "
                             'stage, the first of which is 0')
    if not config.model.vam:
        return stages
    return [stage if stage.network else stage._replace(
        objective=partial(attentive, objective=stage.objective, gamma=config.model.vam_gamma)) for stage in stages]
