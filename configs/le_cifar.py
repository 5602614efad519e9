"""LE(Grad-CAM) of ResNet14 on CIFAR-10: 2009.09140, section 5, the last column of Tables 2, 4, 5.

    python -m ikd.main --config=configs/le_cifar.py --config.trials=5
    python -m ikd.main --config=configs/le_cifar.py --config.model.name=resnet8
    python -m ikd.main --config=configs/le_cifar.py:smoke

The paper: 91.21 +- 0.07 % test accuracy with ResNet14 and 88.70 +- 0.18 % with ResNet8, over five trials, against
90.26 +- 0.33 % and 87.95 +- 0.32 % for cross-entropy. Here: 88.37 +- 0.28 % with ResNet8, in bfloat16
(results/table2-resnet8-bfloat16.md), against 88.21 +- 0.20; ResNet14 not yet at full length. A trial is 62,400 steps
of 128 images: a job for an accelerator, most of a day on two CPU cores.

Where the paper is silent: the warm-up is a fifth of the run (32 epochs), momentum 0.9, weight decay 1e-4 on every
parameter. It explains 'the last convolutional layer': here the output of the last group, after shortcut and ReLU.
"""
from configs import common
from ikd.config import apply_arguments


def get_config(argument=''):
    config = common.cifar()
    config.method.name = 'le'
    return apply_arguments(config, argument)
