"""Searches on 5,000 held-out training images of MNIST, in the setting of Table 3: nine tries for each method
that has a choice.

    python -m ikd.reproduce --config=configs/searches/mnist.py --workdir=runs/search-mnist --data=DIR
    python -m ikd.reproduce --config=configs/searches/mnist.py --workdir=runs/search-mnist --data=DIR --columns=CP
    python -m ikd.reproduce --config=configs/searches/mnist.py:smoke --workdir=runs/smoke --results=runs/smoke

The paper searched Dropout's rate over 0.1, 0.25, 0.5, 0.75, LS over 0.6 to 0.9 and CP over 0.1 to 8 anew on MNIST and
does not say what it found, nor on which images. Three trials of 50 epochs on 55,000 images. The last two of each
method's tries were added when the others had been run with 1,000 images: LE's controls were best at the edge.
"""
from configs import common
from configs.searches.shared import search, values, variants

SHARED = {
    'warm-up 3 of 50': {'method.warmup_epochs': 3}, 'warm-up 25 of 50': {'method.warmup_epochs': 25},
    'alpha 0.6': {'method.alpha': 0.6}, 'alpha 0.8': {'method.alpha': 0.8},
    'lambda 0': {'method.lam': 0.0}, 'lambda 0.5': {'method.lam': 0.5},
    'alpha 0.4': {'method.alpha': 0.4}, 'alpha 0.2': {'method.alpha': 0.2},
}
TRIES = {
    'CE': variants('ce', {}),
    'Dropout': values('dropout', 'method.rate', (0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 0.4, 0.6)),
    'LS': values('label_smoothing', 'method.alpha', (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.5, 0.4)),
    'CP': values('confidence_penalty', 'method.beta', (0.1, 0.3, 0.5, 1.0, 2.0, 4.0, 8.0, 6.0, 16.0)),
    'LE-Uniform': variants('le_uniform', SHARED),
    'LE-Frozen': variants('le_frozen', SHARED),
    'LE(Grad)': variants('le', SHARED),
}
NOTES = ('In the tables: warm-up 10 of 50 epochs, alpha 0.9, lambda 0.1; Dropout 0.1, LS 0.9, CP 0.5.',
         "Dropout's, LS's and CP's lists are the paper's, filled up to nine.",
         'The images to judge by are drawn from all 60,000, and the first to train on are of the rest in the order '
         'of that draw: they are not those of the tables.')


def grid(argument=''):
    return search('search-mnist', 'Searches on MNIST: accuracy (%) on 5,000 held-out training images', common.mnist,
                  TRIES, NOTES, argument)
