"""Table 6 of 2009.09140: test accuracy (%) of LE without the classes' similarities, five trials each.

    python -m ikd.reproduce --config=configs/tables/table6.py --workdir=runs/table6 --data=DIR
    python -m ikd.reproduce --config=configs/tables/table6.py:model=mlp --workdir=runs/table3 --data=DIR
    python -m ikd.reproduce --config=configs/tables/table6.py:smoke --workdir=runs/smoke --results=runs/smoke

DIR has folders `mnist` and `cifar10` with the official files. The paper, MLP, ResNet14, ResNet8: CE 98.61, 90.26,
87.95; LE-Permut 98.81, 90.91, 88.22; LE(Grad) 98.90, 91.01, 88.27; LE(Grad-CAM) -, 91.21, 88.70. LS, LE-Uniform,
LE-Frozen and LE-Frozen-Turned are added. The cells are those of Tables 2 and 3, and LE(Grad) with ResNets. A job for
an accelerator.
"""
from configs.tables.shared import AVERAGES, DECAY, FROZEN, RESTORED, TURNED, UNIFORM, WARM_UP, cells
from ikd.grid import Grid
from ikd.grid_words import adapt

ROWS = ('CE', 'LS', 'LE-Uniform', 'LE-Permut', 'LE-Frozen', 'LE-Frozen-Turned', 'LE(Grad)')
NOTES = (
    UNIFORM, FROZEN, AVERAGES, TURNED,
    ('paper', 'The numbers of LS are from Tables 2 and 3 of the paper.'),
    'LE-Permut, LE-Frozen and LE-Frozen-Turned have the maps of Grad with the MLP, of Grad-CAM with ResNets; of '
    'LE-Permut the paper does not say which.',
    ('paper', 'In the paper LE is above LE-Permut by 0.30 and 0.48 with Grad-CAM (ResNet14, ResNet8), by 0.10 and '
              '0.05 with Grad, by 0.09 on the MLP; the standard deviation of CE is there 0.33, 0.32 and 0.05, of '
              'LE 0.03 to 0.18. Its five trials are not said to be paired.'),
    'The paper says that all explanations come from a single backward pass. That holds for Grad-CAM of the last '
    'layer; input gradients of k classes take k vector-Jacobian products.',
    DECAY, WARM_UP, RESTORED,
)


def grid(argument=''):
    found = cells(['mlp'], ROWS) + cells(['resnet14', 'resnet8'], (*ROWS, 'LE(Grad-CAM)'))
    return adapt(Grid('table6', 'Table 6: test accuracy (%) of LE, and without the similarity of classes', found,
                      NOTES, references=('CE', 'LS', 'LE-Uniform', 'LE-Permut', 'LE-Frozen'),
                      ordered=('LE(Grad-CAM)', 'LE(Grad)', 'LE-Permut')), argument)
