"""Table 2 of 2009.09140: test accuracy (%) on CIFAR-10 with several regularisations, five trials of 160 epochs.

    python -m ikd.reproduce --config=configs/tables/table2.py --workdir=runs/cifar --data=DIR
    python -m ikd.reproduce --config=configs/tables/table2.py:model=resnet8,epochs=40 --workdir=runs/cifar --data=DIR
    python -m ikd.reproduce --config=configs/tables/table2.py:smoke --workdir=runs/smoke --results=runs/smoke

DIR holds CIFAR-10's binary version. The paper, ResNet14 and ResNet8: CE 90.26 +- 0.33, 87.95 +- 0.32; Dropout 90.33,
88.02; LS 90.52, 88.14; CP 90.42, 88.25; LE(Grad-CAM) 91.21 +- 0.07, 88.70 +- 0.18. LE-Permut, 90.91 and 88.22, is
Table 6's; LE-Uniform is a control of ours. A job for an accelerator.
"""
from configs.tables.shared import RESTORED, UNIFORM, WARM_UP, cells
from ikd.grid import Grid
from ikd.grid_words import adapt

ROWS = ('CE', 'Dropout', 'LS', 'CP', 'LE-Uniform', 'LE-Permut', 'LE(Grad-CAM)')
NOTES = (
    UNIFORM,
    ('paper', "LE-Permut's numbers are from Table 6 of the paper."),
    ('paper', 'In the paper LE is above LS by 0.69 (ResNet14) and 0.56 (ResNet8); the standard deviation of CE is '
              '0.3, of LS and LE 0.07 to 0.18. Its five trials are not said to be paired.'),
    WARM_UP, RESTORED,
)


def grid(argument=''):
    return adapt(Grid('table2', 'Table 2: test accuracy (%) on CIFAR-10 with regularisation',
                      cells(['resnet14', 'resnet8'], ROWS), NOTES, ordered=('LE(Grad-CAM)', 'CE')), argument)
