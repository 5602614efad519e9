"""Table 1 of 2009.09140: test accuracy (%) on CIFAR-10 of students of a CNN-10, five trials of 160 epochs.

    python -m ikd.reproduce --config=configs/tables/table1.py --workdir=runs/table1 --data=DIR
    python -m ikd.reproduce --config=configs/tables/table1.py:smoke --workdir=runs/smoke --results=runs/smoke

DIR holds CIFAR-10's binary version. The paper, CNN-8 and CNN-6: CE 86.86, 85.18; KD 88.48, 86.55; CWTM 87.03, 85.65;
CWTM-P 87.41, 85.74; CWTM-R 87.22, 85.25; DKPP 87.73, 86.30; the teacher 90.04. The learning rate is 0.01, constant.
All students of a seed share one teacher. A job for an accelerator.
"""
from configs import common
from configs.tables.shared import RESTORED
from ikd.grid import Cell, Grid
from ikd.grid_words import adapt

ROWS = {  # fields of `config.method`, the paper's accuracy of CNN-8 and CNN-6
    'CE': ({'name': 'ce'}, (86.86, 0.30), (85.18, 0.32)),
    'KD': ({'name': 'kd', 'lam': 0.0}, (88.48, 0.33), (86.55, 0.32)),
    'CWTM': ({'name': 'cwtm'}, (87.03, 0.26), (85.65, 0.38)),
    'CWTM-P': ({'name': 'cwtm_permut'}, (87.41, 0.32), (85.74, 0.33)),
    'CWTM-R': ({'name': 'cwtm_random'}, (87.22, 0.17), (85.25, 0.31)),
    'DKPP': ({'name': 'dkpp', 'lam': 0.0}, (87.73, 0.37), (86.30, 0.42)),
}
NOTES = (
    ('paper', "The paper's teacher has 90.04; ours is in the column `teacher`."),
    'KD and DKPP: T squared times the divergence at T = 4, without the labels, as in equation 4. CWTM: the teacher '
    'at T = 1. The paper hides the temperature. CWTM-R: from 0.5, as in the paper.',
    "The paper's CWTM-Permut sums its weights over n examples, which can only mean the batch.",
    'The networks are not in the paper; they are those of TAKD (Mirzadeh et al. 2020), with BatchNorm; CNN-8 and '
    'CNN-10 end with two fully connected layers, where the paper speaks of one. Weight decay 1e-4.',
    RESTORED,
)


def grid(argument=''):
    cells = []
    for place, model in enumerate(('cnn8', 'cnn6')):
        for row, (method, *paper) in ROWS.items():
            config = common.cifar()
            config.model.name, config.teacher.model = model, 'cnn10'
            config.optimizer.update(learning_rate=0.01, milestones=())
            config.method.update(method)
            cells.append(Cell(row, model.upper().replace('CNN', 'CNN-'), config, paper[place]))
    return adapt(Grid('table1', 'Table 1: test accuracy (%) on CIFAR-10, learnt from a CNN-10', tuple(cells), NOTES,
                      references=('CE', 'KD'), ordered=('KD', 'DKPP', 'CE')), argument)
