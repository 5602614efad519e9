"""Figure 1 of 2009.09140: images, a map for every class, and how alike it is to the true class's.

    python -m ikd.reproduce --config=configs/figures/figure1.py --workdir=runs/figures --data=DIR
    python -m ikd.reproduce --config=configs/figures/figure1.py:model=resnet8 --workdir=runs/figures --data=DIR
    python -m ikd.reproduce --config=configs/figures/figure1.py:smoke --workdir=runs/smoke --results=runs/smoke ...

DIR holds MNIST and CIFAR-10, or folders `mnist` and `cifar10` with them; --rows=MNIST or --rows=CIFAR-10 draws one.
The paper: (a) Grad*Input on MNIST, (b) Grad-CAM on CIFAR-10, during training. A 9 has maps of 4 and 7 that are alike
to its own; a truck has a map of automobile that is. Here: the first test image of each class, after the last epoch of
seed 0, in results/figure1-mnist.png and figure1-cifar10.png. A picture that is there is kept; remove it to draw it
anew, from the network in the workdir or else from one that is trained.
"""
from functools import partial

from configs.tables.shared import RESTORED, cells, resnet_of
from ikd.grid import Grid
from ikd.grid_words import adapt
from ikd.tables.paper_figures import examples, figure1

NOTES = ('The paper does not say which networks it explains. Here the MLP has learnt by LE(Grad), as for Table 3, '
         'and a ResNet, ResNet14 unless ResNet8 is asked for, by LE(Grad-CAM), as for Table 2.', RESTORED)


def grid(argument=''):
    (mlp,), (resnet,) = cells(['mlp'], ['LE(Grad)']), cells([resnet_of(argument)], ['LE(Grad-CAM)'])
    pictures = (mlp._replace(row='MNIST', picture=partial(examples, explainer='grad_input')),
                resnet._replace(row='CIFAR-10', picture=partial(examples, explainer='grad_cam')))
    return adapt(Grid('figure1', 'Figure 1: explanations and the similarity scores', pictures, NOTES, trials=1,
                      report=figure1), argument)
