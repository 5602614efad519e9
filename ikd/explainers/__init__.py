"""Explanations of every class, how alike they are, and the targets made of them."""
from ikd.explainers.maps import EXPLAINERS, class_gradients, explain
from ikd.explainers.similarity import SIMILARITIES, class_similarity
from ikd.explainers.targets import targets

__all__ = ['EXPLAINERS', 'SIMILARITIES', 'class_gradients', 'class_similarity', 'explain', 'targets']
