"""Cross-entropy, the twin of le_cifar: 2009.09140, section 5, the first column of Tables 2 and 4.

    python -m ikd.main --config=configs/ce_cifar.py --config.trials=5
    python -m ikd.main --config=configs/ce_cifar.py --config.model.name=resnet8

The paper: 90.26 +- 0.33 % test accuracy with ResNet14 and 87.95 +- 0.32 % with ResNet8, over five trials.
Here: 88.21 +- 0.20 % with ResNet8, in bfloat16 (results/table2-resnet8-bfloat16.md); ResNet14 not yet at full
length. A job for an accelerator.
"""
from configs import common
from ikd.config import apply_arguments


def get_config(argument=''):
    config = common.cifar()
    config.method.name = 'ce'
    return apply_arguments(config, argument)
