"""The MLP on twenty sets of 1,000 images of MNIST, no image in two of them: does it hold for other images?

    python -m ikd.reproduce --config=configs/tables/sets.py --workdir=runs/sets --data=DIR
    python -m ikd.reproduce --config=configs/tables/sets.py:smoke --workdir=runs/smoke --results=runs/smoke

The settings are those of chosen.py. Set i is the images from 1,000 (i + 1) on, with seed i, so none is among the
first 1,000, with which the settings were chosen.
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
    'The settings of each method are those of chosen-images1000.md, found with the first 1,000 images.',
)


def grid(argument=''):
    if 'images=' in argument:
        raise InputError('each set has 1,000 images; leave images=N out')
    found = []
    for cell in chosen.grid().cells:
        for i in range(SETS if cell.row in ROWS else 0):
            config = cell.config.copy_and_resolve_references()
            config.data.train_skip = IMAGES * (i + 1)
            found.append(cell._replace(config=config, measure=None, seeds=(i,)))
    title = 'Test accuracy (%) of an MLP on MNIST, twenty sets of 1,000 training images'
    return adapt(Grid('sets', title, tuple(found), NOTES, references=('CE', 'LS', 'CP', 'LE-Uniform', 'LE-Frozen'),
                      trials=SETS), argument)
