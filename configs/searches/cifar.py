"""Searches on 5,000 held-out training images of CIFAR-10, ResNet8 as in Table 2: seven tries for each method
that has a choice.

    python -m ikd.reproduce --config=configs/searches/cifar.py --workdir=runs/search-cifar --data=DIR
    python -m ikd.reproduce --config=configs/searches/cifar.py:epochs=40 --workdir=runs/search-cifar --data=DIR
    python -m ikd.reproduce --config=configs/searches/cifar.py:smoke --workdir=runs/smoke --results=runs/smoke

The paper searched Dropout's rate over 0.1, 0.25, 0.5, 0.75 (best: 0.1), LS over 0.6 to 0.9 (0.9), CP over 0.1 to 8
(0.5), BAN's temperature over 1, 2, 5, 10, 20 (not said), and does not say on which images. It leaves open LE's
warm-up, the ReLU of Grad-CAM before the cosine, the statistics of BatchNorm, and where "the last convolutional
layer" ends. Three trials of 160 epochs on 45,000 images.
"""
from configs import common
from configs.searches.shared import search, values, variants

SHARED = {
    'warm-up 10 of 160': {'method.warmup_epochs': 10}, 'warm-up 80 of 160': {'method.warmup_epochs': 80},
    'alpha 0.8': {'method.alpha': 0.8}, 'alpha 0.95': {'method.alpha': 0.95},
    'lambda 0': {'method.lam': 0.0}, 'lambda 0.5': {'method.lam': 0.5},
}
OPEN = {
    'without ReLU': {'method.relu': False}, 'BatchNorm of averages': {'method.bn': 'running'},
    'before the last ReLU': {'method.tap': 'group3_sum'}, 'the convolution alone': {'method.tap': 'group3_conv'},
}
TRIES = {
    'CE': variants('ce', {}),
    'Dropout': values('dropout', 'method.rate', (0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75)),
    'LS': values('label_smoothing', 'method.alpha', (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)),
    'CP': values('confidence_penalty', 'method.beta', (0.1, 0.3, 0.5, 1.0, 2.0, 4.0, 8.0)),
    'BAN': values('ban', 'method.temperature', (1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0)),
    'LE-Uniform': variants('le_uniform', SHARED),
    'LE(Grad-CAM)': variants('le', SHARED),
    'LE(Grad-CAM) open points': variants('le', OPEN),
}
NOTES = ('In the tables: warm-up 32 of 160 epochs, alpha 0.9, lambda 0.1, ReLU, BatchNorm of the batch, Grad-CAM of '
         'the last group after shortcut and ReLU; Dropout 0.1, LS 0.9, CP 0.5, BAN at 4.',
         "Dropout's, LS's and BAN's lists are the paper's, filled up to seven.",
         'The open points, which the paper does not tell, are beyond the seven tries that every method has.')


def setting():
    """ResNet8 on CIFAR-10."""
    config = common.cifar()
    config.model.name = 'resnet8'
    return config


def grid(argument=''):
    return search('search-cifar', 'Searches on CIFAR-10, ResNet8: accuracy (%) on 5,000 held-out training images',
                  setting, TRIES, NOTES, argument)
