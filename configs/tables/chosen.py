"""The MLP on 1,000 images of MNIST, each method with the setting that a search on held-out images chose for it.

    python -m ikd.reproduce --config=configs/tables/chosen.py --trials=20 --workdir=runs/chosen --data=DIR
    python -m ikd.reproduce --config=configs/tables/chosen.py:smoke --workdir=runs/smoke --results=runs/smoke

The search is `configs/searches/mnist.py:images=1000`, in results/search-mnist-images1000.md. LE-Permut has LE's
setting and LE-Frozen-Turned LE-Frozen's, as neither was searched. What had been tested before the search had its last
two tries stays as `(best of 7)`. The cells of cross-entropy are those of Table 6 with as many images, whose likeness
is measured when they are trained here.
"""
from configs.tables.shared import FROZEN, TURNED, UNIFORM, cells
from ikd.errors import InputError
from ikd.evaluation.measure import own_likeness
from ikd.grid import Grid
from ikd.grid_words import adapt

ROWS = ('CE', 'Dropout', 'LS', 'CP', 'LE-Uniform', 'LE-Permut', 'LE-Frozen', 'LE-Frozen-Turned', 'LE(Grad)')
CHOSEN = {'Dropout': {'rate': 0.6}, 'LS': {'alpha': 0.7}, 'CP': {'beta': 4.0}, 'LE-Uniform': {'alpha': 0.6},
          'LE-Permut': {'alpha': 0.8}, 'LE-Frozen': {'alpha': 0.4}, 'LE-Frozen-Turned': {'alpha': 0.4},
          'LE(Grad)': {'alpha': 0.8}}
BEFORE = {'Dropout': {'rate': 0.5}, 'LE-Frozen': {'alpha': 0.6}, 'LE-Frozen-Turned': {'alpha': 0.6}}
NOTES = (
    UNIFORM, FROZEN, TURNED,
    'The settings are the best of nine for each method on 5,000 held-out training images, see '
    'search-mnist-images1000.md: Dropout 0.6, LS 0.7 for the true class, CP 4, alpha 0.6 for LE-Uniform, 0.4 for '
    "LE-Frozen and 0.8 for LE. LE-Permut and LE-Frozen-Turned were not searched: theirs are LE's and LE-Frozen's.",
    '(Best of 7): Dropout 0.5 and alpha 0.6, the best before two more tries were added for each method; they had '
    'been tested by then. So LE-Frozen stands beside LE-Uniform at the same alpha, too.',
    "Likeness is Spearman's rho, over each two classes, of the mean cosine between their Grad maps and the mean "
    'probability that the network gives the one on test images of the other (ikd/evaluation/likeness.py). LE is '
    'trained for it: its probabilities are to follow its maps, whatever these say.',
)


def grid(argument=''):
    if 'images=' in argument:
        raise InputError('the settings were chosen for 1,000 images; leave images=N out')
    found = []
    for rows, settings, suffix in (ROWS, CHOSEN, ''), (BEFORE, BEFORE, ' (best of 7)'):
        for cell in cells(['mlp'], rows):
            cell.config.method.update(settings.get(cell.row, {}))
            found.append(cell._replace(row=cell.row + suffix, measure=own_likeness))
    title = 'Test accuracy (%) of an MLP on MNIST, each method with the setting that a search chose'
    references = 'CE', 'LS', 'CP', 'LE-Uniform', 'LE-Permut', 'LE-Frozen', 'LE-Frozen (best of 7)'
    return adapt(Grid('chosen', title, tuple(found), NOTES, references=references),
                 ','.join(filter(None, ['images=1000', argument])))
