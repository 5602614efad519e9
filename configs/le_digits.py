"""LE(Grad-CAM) of ResNet8 on handwritten digits: the first thing to run, nothing to download.

    python -m ikd.main --config=configs/le_digits.py

1,437 training and 360 test images of scikit-learn, enlarged to 32x32 so that the 8x8 maps of the last layer show
something: two epochs of warm-up, eight of learning from explanations. Expect 99 % test accuracy, in under a minute
on two CPU cores. No table of the paper; the network, explainer and loss of its section 5 on a small scale.
"""
from configs import common
from ikd.config import apply_arguments


def get_config(argument=''):
    config = common.digits()
    config.method.name = 'le'
    return apply_arguments(config, argument)
