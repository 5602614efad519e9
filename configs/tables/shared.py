"""The rows that the paper's tables share: methods and numbers of 2009.09140, in one place."""
from configs import common
from ikd.grid import Cell

COLUMNS = {'mlp': 'MLP', 'resnet14': 'ResNet14', 'resnet8': 'ResNet8'}

# row: fields of `config.method`, then the paper's accuracy (%), mean and standard deviation, of each network.
ROWS = {
    'CE': ({'name': 'ce'}, {'mlp': (98.61, 0.05), 'resnet14': (90.26, 0.33), 'resnet8': (87.95, 0.32)}),
    'Dropout': ({'name': 'dropout'}, {'mlp': (98.73, 0.02), 'resnet14': (90.33, 0.15), 'resnet8': (88.02, 0.02)}),
    'LS': ({'name': 'label_smoothing'},
           {'mlp': (98.75, 0.02), 'resnet14': (90.52, 0.12), 'resnet8': (88.14, 0.16)}),
    'CP': ({'name': 'confidence_penalty'},
           {'mlp': (98.82, 0.06), 'resnet14': (90.42, 0.14), 'resnet8': (88.25, 0.13)}),
    'DML': ({'name': 'dml'}, {'resnet14': (90.39, 0.15), 'resnet8': (88.23, 0.27)}),
    'BAN': ({'name': 'ban'}, {'resnet14': (90.58, 0.15), 'resnet8': (87.22, 0.03)}),
    'BAN+L': ({'name': 'ban_l'}, {'resnet14': (90.83, 0.28), 'resnet8': (88.03, 0.33)}),
    'KD': ({'name': 'kd'}, {'resnet14': (91.14, 0.19), 'resnet8': (88.07, 0.36)}),
    'Hint': ({'name': 'hint'}, {'resnet14': (91.29, 0.19), 'resnet8': (88.52, 0.19)}),
    'AT+KD': ({'name': 'at_kd'}, {'resnet14': (91.31, 0.19), 'resnet8': (88.15, 0.19)}),
    'FSP+KD': ({'name': 'fsp_kd'}, {'resnet14': (91.42, 0.19), 'resnet8': (88.11, 0.19)}),
    'TAKD': ({'name': 'takd'}, {'resnet14': (91.27, 0.19), 'resnet8': (88.09, 0.19)}),
    'LE-Uniform': ({'name': 'le_uniform'}, {}),
    'LE-Permut': ({'name': 'le_permut'}, {'mlp': (98.81, 0.04), 'resnet14': (90.91, 0.16), 'resnet8': (88.22, 0.05)}),
    'LE-Frozen': ({'name': 'le_frozen'}, {}),
    'LE-Frozen-Turned': ({'name': 'le_frozen_turned'}, {}),
    'LE(Grad*Input)': ({'name': 'le', 'explainer': 'grad_input'}, {}),
    'LE(GuidedBP)': ({'name': 'le', 'explainer': 'guided_backprop'}, {}),
    'LE(Grad)': ({'name': 'le', 'explainer': 'grad'},
                 {'mlp': (98.90, 0.03), 'resnet14': (91.01, 0.12), 'resnet8': (88.27, 0.05)}),
    'LE(Grad-CAM)': ({'name': 'le', 'explainer': 'grad_cam'}, {'resnet14': (91.21, 0.07), 'resnet8': (88.70, 0.18)}),
}

UNIFORM = ('LE-Uniform is not in the paper: the loss, warm-up and schedule of LE with alike targets for the other '
           'classes, which is what is left of LE without explanations.')
FROZEN = ('LE-Frozen is not in the paper: the targets come from the maps of the network as the warm-up left it, so '
          'they keep what cross-entropy has learnt of which classes are alike, and do not change with training.')
AVERAGES = ('cifar10', "The maps that LE-Frozen learns from are of BatchNorm's running averages, LE's own of the "
                       'statistics of the batch.')
TURNED = ('LE-Frozen-Turned is LE-Frozen with the response of each wrong class given to the next one, always alike: '
          'as constant and as unequal, but of the wrong classes.')
RESTORED = ('cifar10', 'CIFAR-10 is, in results/cells, a copy in which 93 of the 60,000 images (73 for training, 20 '
                       'for the test, 88 of them ships) are restored from JPEG; the others are the original pixels.')
DECAY = ('mnist', "The paper's training has 'a common weight-decay term', whose size it does not give: none here.")
WARM_UP = ('cifar10', 'The paper gives no warm-up for CIFAR-10: a fifth of the epochs here, rounded, as on MNIST. '
                      'Momentum 0.9 and weight decay 1e-4. Grad-CAM, with a ReLU, of the output of the last group, '
                      "after shortcut and ReLU: so the paper's 'last convolutional layer' is read.")


def cells(models, rows):
    """The cells of some networks, one after another, in some rows."""
    found = []
    for model in models:
        for row in rows:
            method, paper = ROWS[row]
            config = common.mnist() if model == 'mlp' else common.cifar()
            config.model.name = model
            config.method.update(method)
            found.append(Cell(row, COLUMNS[model], config, paper.get(model)))
    return tuple(found)


def resnet_of(argument):
    """The network that a figure has of CIFAR-10: ResNet14, or ResNet8 where the words after the colon name it."""
    return 'resnet8' if 'model=resnet8' in argument.split(',') else 'resnet14'
