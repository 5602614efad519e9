"""Explanations of every class, how alike they are, and the targets made of them."""
from ikd.explainers.catalogue import CAMS, EXPLAINERS, ONE_PASS, applicable, explain
from ikd.explainers.maps import class_gradients
from ikd.explainers.similarity import SIMILARITIES, class_similarity
from ikd.explainers.targets import targets

__all__ = ['CAMS', 'EXPLAINERS', 'ONE_PASS', 'SIMILARITIES', 'applicable', 'class_gradients', 'class_similarity',
           'explain', 'explainer_options', 'targets']


def explainer_options(config):
    """The options that a config's explainer takes, for `explain`."""
    options = {'class_chunk': config.class_chunk}
    if config.method.explainer in CAMS:
        options |= {'tap': config.method.tap, 'relu': config.method.relu}
    return options
