"""Accuracy, negative log-likelihood and calibration error, by hand and against scikit-learn."""
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from ikd.metrics import evaluate, expected_calibration_error, log_softmax


@pytest.fixture
def predictions():
    """Logits [500, 10] of a mediocre classifier and the labels."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 10, 500)
    return (draw.normal(size=(500, 10)) + 1.5 * np.eye(10)[labels]).astype(np.float32), labels


def loop_calibration_error(probabilities, labels, bins):
    total = 0
    for i in range(bins):
        confidence = probabilities.max(1)
        chosen = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if chosen.any():
            accuracy = (probabilities.argmax(1) == labels)[chosen].mean()
            total += chosen.sum() * abs(accuracy - confidence[chosen].mean())
    return total / len(labels)


def test_evaluate_agrees_with_scikit_learn(predictions):
    logits, labels = predictions
    probabilities = np.exp(np.float64(logits))
    probabilities /= probabilities.sum(1, keepdims=True)
    result = evaluate(logits, labels)
    assert set(result) == {'test_accuracy', 'test_nll', 'test_ece'}
    assert result['test_accuracy'] == pytest.approx(100 * accuracy_score(labels, logits.argmax(1)), abs=1e-12)
    assert result['test_nll'] == pytest.approx(log_loss(labels, probabilities), rel=1e-10)
    assert result['test_ece'] == pytest.approx(loop_calibration_error(probabilities, labels, 15), rel=1e-10)


@pytest.mark.parametrize('bins', [1, 4, 15, 100])
def test_calibration_error_agrees_with_a_loop_over_bins(predictions, bins):
    logits, labels = predictions
    probabilities = np.exp(log_softmax(logits))
    expected = loop_calibration_error(probabilities, labels, bins)
    assert expected_calibration_error(probabilities, labels, bins) == pytest.approx(expected, rel=1e-10)


def test_calibration_error_by_hand():
    """Four bins, an edge belonging to the lower one; per bin |number right - sum of confidences|.

    (1/4, 1/2]: 0.5 right, 0.375 wrong: 0.125. (1/2, 3/4]: 0.75 right: 0.25. (3/4, 1]: 0.875 wrong, 1 right:
    0.875. Together 1.25, of 5 predictions.
    """
    probabilities = np.array([
        [0.5, 0.25, 0.25], [0.375, 0.3125, 0.3125], [0.125, 0.75, 0.125], [0, 0.125, 0.875], [1, 0, 0]])
    labels = np.array([0, 1, 1, 1, 0])
    assert expected_calibration_error(probabilities, labels, bins=4) == 0.25


def test_a_calibrated_classifier_has_no_calibration_error():
    """Confidence 3/4, right three times of four."""
    probabilities = np.tile([0.75, 0.25], (8, 1))
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1] * 2)) == 0


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_extreme_logits_stay_finite(dtype):
    """Right and wrong beyond any doubt: losses 0 and 20,000 nats, confidences 1, so an error of one half."""
    logits = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0]], dtype)
    assert evaluate(logits, np.array([0, 1])) == {'test_accuracy': 50, 'test_nll': 1e4, 'test_ece': 0.5}


def test_constant_logits_know_nothing():
    labels = np.repeat(np.arange(10), 3)
    result = evaluate(np.full((30, 10), -1e4, np.float32), labels)
    assert result['test_accuracy'] == pytest.approx(10)
    assert result['test_nll'] == pytest.approx(np.log(10), rel=1e-12)
    assert result['test_ece'] == pytest.approx(0, abs=1e-12)


def test_log_probabilities_do_not_see_a_shift(predictions):
    logits, _ = predictions
    log_p = log_softmax(logits)
    assert log_p.dtype == np.float64
    np.testing.assert_allclose(np.exp(log_p).sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(log_softmax(np.float64(logits) + 1e3), log_p, atol=1e-10)
