"""Any method with the MLP on MNIST, in the setting of 2009.09140, section 5.1.

    python -m ikd.main --config=configs/mnist.py:METHOD
    python -m ikd.main --config=configs/mnist.py:METHOD,smoke

The same data, schedule and seeds for all. METHOD is any of the README's table but at_kd,
fsp_kd and vam, which compare feature maps or attend to them, of which an MLP has none. Teacher and assistant are the
student's own MLP, so that kd is what ban_l is: learning from a network like oneself.
For Table 3 and the first column of Table 6 of the paper. Expected accuracies and times: see le_mnist.
"""
from configs import common
from ikd.config import apply_arguments
from ikd.recipes import RECIPES


def get_config(argument=''):
    return apply_arguments(common.mnist(), argument, RECIPES)
