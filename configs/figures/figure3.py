"""Figure 3 of 2009.09140: LE with different explainers, and beside it how well these tell classes apart.

    python -m ikd.reproduce --config=configs/figures/figure3.py --workdir=runs/figures --data=DIR
    python -m ikd.reproduce --config=configs/figures/figure3.py:model=resnet8 --workdir=runs/figures --data=DIR
    python -m ikd.reproduce --config=configs/figures/figure3.py:smoke --workdir=runs/smoke --results=runs/smoke ...

DIR holds CIFAR-10. The paper: bars without numbers, ResNet14 and ResNet8 on CIFAR-10, accuracy rising in the order of
class-discriminativeness that it cites: Grad*Input < GuidedBP < Grad < Grad-CAM. Its tables give 91.01 +- 0.12 and
88.27 +- 0.05 % for Grad, 91.21 +- 0.07 and 88.70 +- 0.18 % for Grad-CAM. Here: figure3.png, and figure3.md.
"""
from configs.tables.shared import RESTORED, WARM_UP, cells
from ikd.evaluation.measure import measure
from ikd.explainers.catalogue import NAMES
from ikd.grid import Grid
from ikd.grid_words import adapt
from ikd.tables.paper_figures import figure3

ROWS = ('CE', *(f'LE({name})' for name in NAMES.values()))
NOTES = (
    "Discriminativeness: D = 1 - mean |rho|, rho Spearman's correlation (average ranks for ties) between the maps "
    'of the true class and of another, for the first 1,000 test images and the network trained with '
    'cross-entropy, the mean over its seeds. Maps are read as the sum over colours of absolute values, or of signed '
    'ones; Grad-CAM as it is, or upsampled to the image. Correlations with a constant map are undefined and left '
    'out. The protocol is ours: the paper cites Adebayo et al. 2018, who randomise layers instead '
    '(`ikd.evaluation.sanity`), and prints no number.',
    'Intervals of D are bootstraps over images and say nothing about other networks.',
    'Four explainers have 24 orders. Even complete agreement of two has p = 0.08 (Kendall, two-sided, exact), so '
    'four points cannot show that accuracy follows discriminativeness; they can only fail to.',
    WARM_UP, RESTORED,
)


def grid(argument=''):
    found = [cell._replace(measure=measure if cell.row == 'CE' else None)
             for cell in cells(['resnet14', 'resnet8'], ROWS)]
    title = 'Figure 3: test accuracy (%) of LE with different explainers on CIFAR-10'
    return adapt(Grid('figure3', title, tuple(found), NOTES, references=ROWS, report=figure3), argument)
