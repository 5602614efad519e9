"""SRDL (Lan, Zhu, Gong 2018) beside born-again networks and cross-entropy at equal budget, and its ablations.

    python -m ikd.reproduce --config=configs/tables/srdl.py --workdir=runs/cifar --data=DIR
    python -m ikd.reproduce --config=configs/tables/srdl.py:model=resnet8,epochs=40 --workdir=runs/cifar --data=DIR
    python -m ikd.reproduce --config=configs/tables/srdl.py:smoke --workdir=runs/smoke --results=runs/smoke

DIR holds CIFAR-10's binary version. ResNet14 and ResNet8, 160 epochs in all, five trials, the setting of 2009.09140.
The paper's text could not be had, so there is nothing to compare with. A job for an accelerator.
"""
from configs import common
from configs.tables.shared import COLUMNS, RESTORED
from ikd.grid import Cell, Grid
from ikd.grid_words import adapt

ROWS = {  # fields of the config
    'CE': {'method.name': 'ce'},
    'BAN+L (80 + 80 epochs)': {'method.name': 'ban_l', 'epochs': 80},
    'BAN+L (160 + 160 epochs)': {'method.name': 'ban_l'},
    'SRDL': {'method.name': 'srdl'},
    'SRDL (weights kept)': {'method.name': 'srdl', 'srdl.restart': 'weights'},
    'SRDL (one schedule)': {'method.name': 'srdl', 'srdl.schedule': 'global'},
    'SRDL (weights kept and one schedule)': {'method.name': 'srdl', 'srdl.restart': 'weights',
                                             'srdl.schedule': 'global'},
    'SRDL (first stage 1/4)': {'method.name': 'srdl', 'srdl.split': 0.25},
    'SRDL (first stage 3/4)': {'method.name': 'srdl', 'srdl.split': 0.75},
    'SRDL (T = 1)': {'method.name': 'srdl', 'method.temperature': 1.0},
    'SRDL (T = 4)': {'method.name': 'srdl', 'method.temperature': 4.0},
    'SRDL (labels 0.1)': {'method.name': 'srdl', 'method.lam': 0.1},
    'SRDL (teacher without augmentation)': {'method.name': 'srdl', 'srdl.targets': 'plain'},
}
NOTES = (
    "SRDL's text and code could not be had. Built from its abstract and ONE by the same first author: two stages of "
    '80 epochs, a complete schedule each, the second from new weights, T = 3, weight 1 of the labels.',
    'A generation of BAN+L is a stage: T = 4, weight 0.1 of the labels. 80 + 80 epochs cost what SRDL costs.',
    RESTORED,
)


def grid(argument=''):
    cells = []
    for model in ('resnet14', 'resnet8'):
        for row, fields in ROWS.items():
            config = common.cifar()
            config.update_from_flattened_dict({'model.name': model, **fields})
            cells.append(Cell(row, COLUMNS[model], config))
    return adapt(Grid('srdl', 'SRDL on CIFAR-10: test accuracy (%) at equal budget, and ablations', tuple(cells),
                      NOTES, references=('CE', 'BAN+L (80 + 80 epochs)', 'SRDL')), argument)
