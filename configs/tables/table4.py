"""Table 4 of 2009.09140: test accuracy (%) on CIFAR-10 of networks learnt from peers, five trials of 160 epochs.

    python -m ikd.reproduce --config=configs/tables/table4.py --workdir=runs/cifar --data=DIR
    python -m ikd.reproduce --config=configs/tables/table4.py:smoke --workdir=runs/smoke --results=runs/smoke

DIR holds CIFAR-10's binary version. The paper, ResNet14 and ResNet8: CE 90.26, 87.95; DML 90.39, 88.23; BAN 90.58,
87.22; BAN+L 90.83, 88.03; LE(Grad-CAM) 91.21, 88.70. LS and the controls of LE are added. CE, LS and LE are the cells
of Table 2. A job for an accelerator.
"""
from configs.tables.shared import RESTORED, UNIFORM, WARM_UP, cells
from ikd.grid import Grid
from ikd.grid_words import adapt

ROWS = ('CE', 'LS', 'DML', 'BAN', 'BAN+L', 'LE-Uniform', 'LE-Permut', 'LE(Grad-CAM)')
NOTES = (
    UNIFORM,
    ('paper', 'The numbers of LS and LE-Permut are from Tables 2 and 6 of the paper.'),
    ('paper', "The paper's text has BAN above CE; its table has BAN with ResNet8 0.73 below CE."),
    'BAN at the temperature 4 of section 5.3: for BAN the paper searched 1, 2, 5, 10 and 20, and does not say what '
    'it found. T squared and weight 1 are ours. DML: the mean of both networks, updated at once.',
    WARM_UP, RESTORED,
)


def grid(argument=''):
    return adapt(Grid('table4', 'Table 4: test accuracy (%) on CIFAR-10, learnt from peers',
                      cells(['resnet14', 'resnet8'], ROWS), NOTES, ordered=('LE(Grad-CAM)', 'CE')), argument)
