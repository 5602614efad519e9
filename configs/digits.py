"""Any method with ResNet8 on the bundled digits, in the setting of le_digits.

    python -m ikd.main --config=configs/digits.py:METHOD
    python -m ikd.main --config=configs/digits.py:METHOD,smoke

The same data, schedule and seeds for all. METHOD is any of the README's table.
No table of the paper; ours is results/digits.md. A minute or two on two CPU cores. The trees of `hme`, named after
the colon, have an eighth of their channels here, and a higher rate for the hard tree, which has few steps. The
assistant of `takd` is a ResNet14 as its teacher is.
"""
from configs import common
from ikd.config import apply_arguments
from ikd.recipes import RECIPES


def get_config(argument=''):
    config = apply_arguments(common.digits(), argument, RECIPES)
    if config.method.name == 'hme':
        config.model.width, config.hme.hard_learning_rate = 8, 0.2
    return config
