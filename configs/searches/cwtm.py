"""The search of CWTM-Random's lower end beta on 5,000 held-out training images of CIFAR-10, as in Table 1 with CNN-6.

    python -m ikd.reproduce --config=configs/searches/cwtm.py --workdir=runs/search-cwtm --data=DIR
    python -m ikd.reproduce --config=configs/searches/cwtm.py:smoke --workdir=runs/smoke --results=runs/smoke

The paper: very sensitive to beta, 0.5 in Table 1. Weights are drawn from [beta, 1): with beta near 1 it is CE. Three
trials of 160 epochs on 45,000 images; the teacher is trained for its place in the recipe, and not used.
"""
from configs import common
from configs.searches.shared import search, values, variants

TRIES = {
    'CE': variants('ce', {}),
    'CWTM-R': values('cwtm_random', 'method.beta', (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)),
}
NOTES = ('In Table 1: 0.5.',)


def setting():
    """CNN-6 on CIFAR-10, as in Table 1."""
    config = common.cifar()
    config.model.name, config.teacher.model = 'cnn6', 'cnn10'
    config.optimizer.update(learning_rate=0.01, milestones=())
    return config


def grid(argument=''):
    return search('search-cwtm', 'The search of CWTM-Random, CNN-6: accuracy (%) on 5,000 held-out training images',
                  setting, TRIES, NOTES, argument)
