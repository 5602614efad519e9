"""The networks of a resolved config, the stages of its recipe with theirs, and how they are called."""
import jax.numpy as jnp

from ikd import models, training
from ikd.explainers.catalogue import called
from ikd.recipes import EXPLAINED, recipe


def network_options(config):
    """What the config's `model` fields say beside the name, as fields of the network."""
    options = {'width': config.model.width} if config.model.width else {}
    if config.model.vam:
        options['vam_block'] = config.model.vam_block
    if config.model.name == 'hme_tree':
        options['outputs'] = config.hme.outputs
    return options


def make_model(config, dataset, network=None, **options):
    """The network of a resolved config with what its `model` fields say, or the one called `network`."""
    dtype = jnp.bfloat16 if config.precision == 'bfloat16' else jnp.float32
    own = {} if network else network_options(config)
    return models.create(network or config.model.name, len(dataset.class_names), dtype=dtype, **own, **options)


def final_model(config, dataset):
    """The network that a run is for: that of its last stage, for one device."""
    return make_model(config, dataset, **dict(recipe(config)[-1].options))


def prepare_stages(config, dataset, layout):
    """The Prepared stages of a resolved config's recipe."""
    stages = []
    for stage in recipe(config):
        model = make_model(config, dataset, stage.network, axis_name=layout.axis_name, **dict(stage.options))
        teacher = None if stage.teacher is None else stages[stage.teacher]
        stages.append(training.prepare(stage, model, teacher, dataset, config, layout))
    return stages


def describe(config):
    """`mlp after le (Grad) on mnist`, for a resolved config."""
    explainer = config.method.explainer
    learnt = f' ({called(explainer)})' if config.method.name in EXPLAINED else ''
    return f'{config.model.name} after {config.method.name}{learnt} on {config.data.name}'
