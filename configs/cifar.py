"""Any method with ResNet14 on CIFAR-10, in the setting of 2009.09140, section 5.

    python -m ikd.main --config=configs/cifar.py:METHOD
    python -m ikd.main --config=configs/cifar.py:METHOD,smoke

The same data, schedule and seeds for all. METHOD is any of the README's table.
For Tables 2, 4, 5 and 6 of the paper. Expected accuracies and times: see le_cifar.
"""
from configs import common
from ikd.config import apply_arguments
from ikd.recipes import RECIPES


def get_config(argument=''):
    return apply_arguments(common.cifar(), argument, RECIPES)
