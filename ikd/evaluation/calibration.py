"""Whether a network is as often right as it is sure, and what it takes for what. On the host, exact."""
import numpy as np

from ikd.metrics import confidence_bins


def reliability(probabilities, labels, bins=15):
    """The bins of a reliability diagram (Guo et al. 2017, section 2), from probabilities [n, k] and labels int [n].

    A list of dicts: `low`, `high`, its edges; `count`, the images whose largest probability lies in (low, high];
    their mean `confidence` and their `accuracy`, both in [0, 1], None where there are none. They are the bins of
    `metrics.expected_calibration_error`.
    """
    confidence, correct = probabilities.max(-1), probabilities.argmax(-1) == labels
    bin_of = confidence_bins(confidence, bins)
    mean = lambda values: float(values.mean()) if len(values) else None
    return [{'low': i / bins, 'high': (i + 1) / bins, 'confidence': mean(confidence[bin_of == i]),
             'accuracy': mean(correct[bin_of == i]), 'count': int((bin_of == i).sum())} for i in range(bins)]


def confusion(predictions, labels, k):
    """How many images of a class (row) are taken for which (column): int [k, k], from predictions, labels int [n]."""
    labels = np.asarray(labels, int)  # as the product does not fit into few bits
    return np.bincount(labels * k + predictions, minlength=k * k).reshape(k, k)
