"""Figure 1 of 2009.09140: images, a map for every class, and how alike it is to the true class's.

    python -m ikd.reproduce --config=configs/figures/figure1.py --workdir=runs/figures --data=DIR
    python -m ikd.reproduce --config=configs/figures/figure1.py:smoke --workdir=runs/smoke --results=runs/smoke ...

DIR holds MNIST and CIFAR-10, or folders `mnist` and `cifar10` with them; --rows=MNIST or --rows=CIFAR-10 draws one.
The paper: (a) Grad*Input on MNIST, (b) Grad-CAM on CIFAR-10, during training. A 9 has maps of 4 and 7 that are alike
to its own; a truck has a map of automobile that is. Here: the first test image of each class, after the last epoch of
seed 0, in results/figure1-mnist.png and figure1-cifar10.png. A picture that is there is kept; remove it to draw it
anew, from the network in the workdir or else from one that is trained.
"""
from functools import partial

from configs import common
from ikd.figures import figure1
from ikd.grid import Cell, Grid, adapt
from ikd.measure import examples

NOTES = ('The paper does not say which networks it explains. Here the MLP has learnt by LE(Grad), as for Table 3, '
         'and ResNet14 by LE(Grad-CAM), as for Table 2.',)


def grid(argument=''):
    cells = []
    for row, column, config, explainer in (('MNIST', 'MLP', common.mnist(), 'grad_input'),
                                           ('CIFAR-10', 'ResNet14', common.cifar(), 'grad_cam')):
        config.method.name = 'le'
        cells.append(Cell(row, column, config, picture=partial(examples, explainer=explainer)))
    return adapt(Grid('figure1', 'Figure 1: explanations and the similarity scores', tuple(cells), NOTES, trials=1,
                      report=figure1), argument)
