"""KDExplainer (Xue et al. 2021): routing entropy under plain labels, LS and KD; virtual attention on and off.

    python -m ikd.reproduce --config=configs/tables/kdexplainer.py --workdir=runs/kdexplainer --data=DIR
    python -m ikd.reproduce --config=configs/tables/kdexplainer.py:smoke --workdir=runs/smoke --results=runs/smoke

DIR holds CIFAR-10's binary version. A ResNet50 teaches a ResNet18, 240 epochs, as in KDExplainer's code. `HME` is the
ResNet18 of four thin sub-blocks a group with a routed binary task for each class. The paper's tables could not be
had, so there is nothing to compare with; it is said to find less entropy with KD than with LS or labels alone. A job
for an accelerator: all students of a seed share one teacher of 240 epochs.
"""
from configs import common
from configs.tables.shared import RESTORED
from ikd.grid import Cell, Grid
from ikd.grid_words import adapt
from ikd.journal import read_records

TASKS = {'plain': 'ce', 'LS': 'ls', 'KD': 'kd'}
STUDENTS = {  # fields of the config, each with virtual attention off and on
    'CE': {'method.name': 'ce'},
    'KD': {'method.name': 'kd'},
    'AT': {'method.name': 'at_kd', 'method.weight': 0.0, 'method.lam': 1.0},
    'Hint': {'method.name': 'hint', 'method.weight': 0.0, 'method.lam': 1.0, 'features.epochs': 0,
             'features.regressor': True, 'features.weight': 200 / 512},
}
NOTES = (
    'Routing entropy: the mean over the rows of all routing matrices, each over its largest value, in [0, 1], at the '
    'end; the temperature is 1 throughout. Attention entropy: in nats, the mean over the rows of the kernels of VAM.',
    'AT and Hint learn from the labels and the features, without KD, as in the code that KDExplainer builds on: '
    'weight 1000 of attention in all groups; weight 100 of the mean squared difference of the second groups (512 '
    'channels) through a regressor, in one stage; the regressor has no BatchNorm here.',
    'VAM is a reconstruction, as its text and code could not be had: blocks of 8 channels, its entropy weighs 0.001.',
    RESTORED,
)


def entropy(run_directory, seed):
    """The entropies of attention at the last epoch, averaged over its steps."""
    last = read_records(run_directory, seed)[-1]
    return {f'{name} entropy': last[field] for name, field in (
        ('routing', 'train_entropy_routing'), ('attention', 'train_attention_entropy')) if field in last}


def grid(argument=''):
    cells = []
    for row, loss in TASKS.items():
        config = common.kdexplainer()
        config.update_from_flattened_dict({'method.name': 'hme', 'model.name': 'hme_resnet18', 'hme.loss': loss})
        cells.append(Cell(row, 'HME', config, measure=entropy))
    for name, fields in STUDENTS.items():
        for vam in False, True:
            config = common.kdexplainer()
            config.update_from_flattened_dict({**fields, 'model.vam': vam})
            cells.append(Cell('with VAM' if vam else 'without VAM', f'ResNet18 {name}', config,
                              measure=entropy if vam else None))
    return adapt(Grid('kdexplainer', 'KDExplainer on CIFAR-10: test accuracy (%), entropy of routing and attention',
                      tuple(cells), NOTES, references=('plain', 'LS', 'without VAM')), argument)
