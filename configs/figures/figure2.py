"""Figure 2 of 2009.09140: how alike the maps of each two classes are, averaged over the test set.

    python -m ikd.reproduce --config=configs/figures/figure2.py --workdir=runs/figures --data=DIR
    python -m ikd.reproduce --config=configs/figures/figure2.py:model=resnet8 --workdir=runs/figures --data=DIR
    python -m ikd.reproduce --config=configs/figures/figure2.py:smoke --workdir=runs/smoke --results=runs/smoke ...

DIR holds MNIST and CIFAR-10, or folders `mnist` and `cifar10` with them; --rows=MNIST or --rows=CIFAR-10 runs one.
The paper: on MNIST the pairs 0/6, 1/7, 3/5, 4/9 are more alike than others, on CIFAR-10 truck/automobile and dog/cat.
Here: figure2-mnist.png, figure2-cifar10.png, and the ranks of those pairs among all 45 in figure2.md. What is drawn
is in the cells' files, so a fresh clone draws it without training.
"""
from configs.tables.shared import RESTORED, cells, resnet_of
from ikd.evaluation.measure import measure
from ikd.grid import Grid
from ikd.grid_words import adapt
from ikd.tables.paper_figures import figure2

NOTES = (
    'By true class: row g is averaged over the test images of class g and holds cos(e^k, e^g), the similarities that '
    'LE learns from. All images: field (k, m) is the mean of cos(e^k, e^m) over all test images. The text of the '
    'paper fits both.',
    'The paper does not say by which explainer. The pictures have the one that the network has learnt from: Grad for '
    'the MLP, Grad-CAM for the ResNet, ResNet14 unless ResNet8 is asked for.',
    "The paper's text calls the halves of its Figure 2 Figure 3(a) and 3(b).",
    RESTORED,
)


def grid(argument=''):
    (mlp,), (resnet,) = cells(['mlp'], ['LE(Grad)']), cells([resnet_of(argument)], ['LE(Grad-CAM)'])
    matrices = mlp._replace(row='MNIST', measure=measure), resnet._replace(row='CIFAR-10', measure=measure)
    return adapt(Grid('figure2', 'Figure 2: averaged cosine between the maps of two classes', matrices, NOTES,
                      trials=1, report=figure2), argument)
