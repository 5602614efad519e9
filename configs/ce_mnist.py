"""Cross-entropy, the twin of le_mnist: 2009.09140, section 5.1, the first column of Table 3.

    python -m ikd.main --config=configs/ce_mnist.py --config.trials=5

The paper: 1.39 +- 0.05 % test error over five trials (98.61 % accuracy).
Ours: see results/table3.md. Three to eight minutes a trial on two CPU cores.
"""
from configs import common
from ikd.config import apply_arguments


def get_config(argument=''):
    config = common.mnist()
    config.method.name = 'ce'
    return apply_arguments(config, argument)
