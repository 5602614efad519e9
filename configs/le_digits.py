"""LE(Grad-CAM) on the handwritten digits that scikit-learn bundles."""
from configs import common
from ikd.config import apply_arguments


def get_config(argument=''):
    config = common.digits()
    config.method.name = 'le'
    return apply_arguments(config, argument)
