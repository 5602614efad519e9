"""Table 5 of 2009.09140: test accuracy (%) on CIFAR-10 of students of a ResNet26, five trials of 160 epochs.

    python -m ikd.reproduce --config=configs/tables/table5.py --workdir=runs/cifar --data=DIR
    python -m ikd.reproduce --config=configs/tables/table5.py:smoke --workdir=runs/smoke --results=runs/smoke

DIR holds CIFAR-10's binary version. The paper, ResNet14 and ResNet8: KD 91.14, 88.07; Hint 91.29, 88.52; AT+KD 91.31,
88.15; FSP+KD 91.42, 88.11; TAKD 91.27, 88.09; LE(Grad-CAM) 91.21, 88.70; the teacher 91.51. CE, LS and the controls
of LE are added. All students of a seed share one teacher. A job for an accelerator.
"""
from configs.tables.shared import RESTORED, UNIFORM, WARM_UP, cells
from ikd.grid import Grid
from ikd.grid_words import adapt

ROWS = ('CE', 'LS', 'KD', 'Hint', 'AT+KD', 'FSP+KD', 'TAKD', 'LE-Uniform', 'LE-Permut', 'LE(Grad-CAM)')
NOTES = (
    UNIFORM,
    ('paper', 'The numbers of CE, LS and LE-Permut are from Tables 2 and 6 of the paper.'),
    ('paper', "The paper's teacher has 91.51; ours is in the column `teacher`."),
    ('paper', "Nine of the paper's ten numbers of taught networks have one standard deviation, 0.19, which looks "
              "like a slip."),
    ('paper', "The paper's text has LE above most methods with a teacher. On ResNet14 four of five are above it "
              "(FSP+KD 91.42, AT+KD 91.31, Hint 91.29, TAKD 91.27 against 91.21), on ResNet8 none."),
    'T = 4 and weight 0.1 of the labels. Our choices, as the paper is silent: T squared and weight 1 of the teacher, '
    'the weight of attention, Hint and FSP in two stages, the first of 40 and 54 epochs before the 160 (see the '
    'README). Hint is followed by KD, as in Romero et al. 2015; the paper says so of AT and FSP.',
    WARM_UP, RESTORED,
)


def grid(argument=''):
    return adapt(Grid('table5', 'Table 5: test accuracy (%) on CIFAR-10, learnt from a ResNet26',
                      cells(['resnet14', 'resnet8'], ROWS), NOTES, ordered=('LE(Grad-CAM)',)), argument)
