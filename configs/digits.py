"""Any method with ResNet8 on the bundled digits, in the setting of le_digits.

    python -m ikd.main --config=configs/digits.py:METHOD
    python -m ikd.main --config=configs/digits.py:METHOD,smoke

The same data, schedule and seeds for all. METHOD is ce, dropout, label_smoothing, confidence_penalty, le,
le_permut or le_uniform.
No table of the paper. A minute on two CPU cores.
"""
from configs import common
from ikd.config import apply_arguments
from ikd.recipes import RECIPES


def get_config(argument=''):
    return apply_arguments(common.digits(), argument, RECIPES)
