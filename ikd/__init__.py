"""Networks that learn from their own explanations (2009.09140), in JAX.

    import ikd

    summary = ikd.train(config, 'runs/mine')          # a ConfigDict such as ikd.config.default()
    run = ikd.load('runs/mine')                       # its network, variables and data
    maps = ikd.explainers.explain('grad_cam', run.model, run.variables, run.inputs(pixels))
    q = ikd.targets(maps, labels, alpha=0.9)

What is here is loaded when it is first used, as JAX and Orbax take seconds.
"""
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ikd import config, data, errors, explainers, models, objectives, recipes
    from ikd.explainers.targets import targets
    from ikd.library import train
    from ikd.trained import load

__version__ = '0.1.0'

MODULES = ('config', 'data', 'errors', 'explainers', 'models', 'objectives', 'recipes')
FUNCTIONS = {'train': 'ikd.library', 'load': 'ikd.trained', 'targets': 'ikd.explainers'}

__all__ = ['config', 'data', 'errors', 'explainers', 'load', 'models', 'objectives', 'recipes', 'targets', 'train']


def __getattr__(name):
    """A module or a function of the library, by PEP 562."""
    if name in MODULES:
        return importlib.import_module(f'ikd.{name}')
    if name in FUNCTIONS:
        return getattr(importlib.import_module(FUNCTIONS[name]), name)
    raise AttributeError(f"module 'ikd' has no attribute '{name}'")


def __dir__():
    return sorted({*globals(), *__all__})
