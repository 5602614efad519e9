"""LE(Grad) of an MLP on MNIST: 2009.09140, section 5.1, the last column of Table 3.

    python -m ikd.main --config=configs/le_mnist.py --config.trials=5

The paper: 1.10 +- 0.03 % test error over five trials (98.90 % accuracy), against 1.39 +- 0.05 for cross-entropy.
Ours: see results/table3.md and mnist.md. Eight to twenty minutes a trial on two CPU cores.

The paper trains with 'a common weight-decay term' and does not say how much: here none, as in all rows of Table 3.
Where it is silent: no augmentation, pixels in [0, 1] without standardisation.
"""
from configs import common
from ikd.config import apply_arguments


def get_config(argument=''):
    config = common.mnist()
    config.method.name = 'le'
    return apply_arguments(config, argument)
