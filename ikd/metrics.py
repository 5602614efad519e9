"""How good predictions are: accuracy, negative log-likelihood, expected calibration error. On the host, exact."""
import numpy as np
from scipy import special


def log_softmax(logits):
    """Row-wise log-probabilities (nats) in float64: [n, k]."""
    return special.log_softmax(np.asarray(logits, np.float64), axis=-1)


def confidence_bins(confidence, bins):
    """Which of equal-width bins of [0, 1], each with its upper edge, confidences [n] lie in: int [n]."""
    return np.searchsorted(np.arange(1, bins) / bins, confidence)  # not by multiplying: 0.07 * 100 is above 7


def expected_calibration_error(probabilities, labels, bins=15):
    """Mean |accuracy - confidence| over equal-width bins of confidence, weighted by their size: in [0, 1].

    Guo et al. 2017, equation 3. probabilities [n, k], labels int [n].
    """
    confidence = probabilities.max(-1)
    correct = probabilities.argmax(-1) == labels
    gaps = np.bincount(confidence_bins(confidence, bins), correct - confidence, bins)
    return float(np.abs(gaps).sum() / len(labels))


def evaluate(logits, labels):
    """test_accuracy (percent), test_nll (nats) and test_ece (15 bins, in [0, 1]) of logits [n, k], labels int [n].

    All are NaN if a logit is not a finite number. Of several networks, logits [n, networks, k], their means, and a
    dict for each under `networks`.
    """
    if logits.ndim == 3:
        networks = [evaluate(one, labels) for one in logits.swapaxes(0, 1)]
        return {**{name: float(np.mean([one[name] for one in networks])) for name in networks[0]},
                'networks': networks}
    if not np.isfinite(logits).all():
        return dict.fromkeys(('test_accuracy', 'test_nll', 'test_ece'), float('nan'))
    log_p = log_softmax(logits)
    return {
        'test_accuracy': 100 * int((log_p.argmax(-1) == labels).sum()) / len(labels),
        'test_nll': float(-log_p[np.arange(len(labels)), labels].mean()),
        'test_ece': expected_calibration_error(np.exp(log_p), labels),
    }
