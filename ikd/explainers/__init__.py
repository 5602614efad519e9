"""Explanations of every class, how alike they are, and the targets made of them."""
from ikd.explainers.catalogue import CAMS, EXPLAINERS, ONE_PASS, applicable, explain
from ikd.explainers.maps import class_gradients
from ikd.explainers.similarity import SIMILARITIES, class_similarity
from ikd.explainers.targets import targets

__all__ = ['CAMS', 'EXPLAINERS', 'ONE_PASS', 'SIMILARITIES', 'applicable', 'class_gradients', 'class_similarity',
           'explain', 'targets']
