"""The MLP on twenty sets of 1,000 images of MNIST, no image in two of them: does it hold for other images?

    python -m ikd.reproduce --config=configs/tables/sets.py --workdir=runs/sets --data=DIR
    python -m ikd.reproduce --config=configs/tables/sets.py:smoke --workdir=runs/smoke --results=runs/smoke

The settings are those of chosen.py, whose images are the first 1,000. Set i holds the 1,000 training images from
number 1,000 (i + 1) on, and has seed i.
"""
from configs.tables import chosen
from ikd.errors import InputError
from ikd.grid import Grid
from ikd.grid_words import adapt

SETS, IMAGES = 20, 1000
ROWS = ('CE', 'LS', 'CP', 'LE-Uniform', 'LE-Permut', 'LE-Frozen', 'LE-Frozen-Turned', 'LE(Grad)')
NOTES = (
    *chosen.NOTES[:3],
    'Seed i trains on the 1,000 training images from 1,000 (i + 1) on, so intervals are about other images, too, not '
    'about initial weights and order alone. The test images are always the same.',
    'The settings are those that a search chose for chosen-images1000.md. Of its images 348 of the 1,000 trained on '
    'and 1,618 of the 5,000 that judged are in the sets.',
)


def grid(argument=''):
    if 'images=' in argument:
        raise InputError('each set has 1,000 images; leave images=N out')
    sets, found = 2 if 'smoke' in argument else SETS, []
    for cell in [cell for cell in chosen.grid().cells if cell.row in ROWS]:
        for i in range(sets):
            config = cell.config.copy_and_resolve_references()
            config.data.train_skip = IMAGES * (i + 1)
            found.append(cell._replace(config=config, measure=None, seeds=(i,)))
    title = 'Test accuracy (%) of an MLP on MNIST, twenty sets of 1,000 training images'
    references = 'CE', 'LS', 'CP', 'LE-Uniform', 'LE-Permut', 'LE-Frozen'
    return adapt(Grid('sets', title, tuple(found), NOTES, references=references, trials=sets), argument)
