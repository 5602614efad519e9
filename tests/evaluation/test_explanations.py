"""What is measured of explainers, on a linear network whose maps are known."""
import jax
import numpy as np
import pytest
from scipy import ndimage

from ikd import trained as trained_networks
from ikd.evaluation import explanations
from ikd.evaluation.discriminativeness import discriminativeness
from ikd.evaluation.explanations import MEASURES, examiner, over_classes
from ikd.evaluation.likeness import likeness
from ikd.evaluation.network import of_pixels
from ikd.evaluation.sanity import cascade
from ikd.evaluation.sensitivity import nearby
from ikd.evaluation.sparseness import gini
from ikd.parallel import MATMUL
from tests.evaluation.networks import Linear, random_weights, trained_linear, trained_of

N = 30


@pytest.fixture(scope='module')
def linear():
    """A Trained linear network with random weights, so sure that it can lose something."""
    return trained_linear(random_weights(), np.arange(10))


@pytest.fixture(scope='module')
def judged(linear):
    """What the examiner says of two explainers, 20 images at a time, and how often it has ticked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explanations, 'COMPLETE', ('grad_input',))
        judge, ticks, found = examiner(linear, list(MEASURES), most=N, size=20), [], {}
        for name in ('grad', 'grad_input'):
            found[name] = *judge(name, lambda: ticks.append(name)), ticks.count(name)
        return found


def test_gradients_of_a_linear_network(linear, judged):
    """They lose what they say (infidelity 0), do not move; times the image they are complete and move with it."""
    (grad, _, ticks), (grad_input, _, _) = judged['grad'], judged['grad_input']
    assert ticks == 2 + 3  # two batches, discriminativeness, sanity and likeness
    assert grad['max_sensitivity']['value'] == 0 == grad['max_sensitivity']['high']
    assert 0 < grad_input['max_sensitivity']['value'] < 0.1
    for found in grad, grad_input:
        assert found['infidelity']['value'] == pytest.approx(0, abs=1e-4)
    assert grad_input['completeness']['value'] == pytest.approx(0, abs=1e-4)
    assert 'completeness' not in grad and {*grad_input} == {*MEASURES}
    weights = linear.variables['params']['Dense_0']['kernel']
    assert grad['sparseness']['value'] == pytest.approx(float(gini(weights.T[None]).mean()), rel=1e-4)
    for name, (found, _, _) in judged.items():
        score = discriminativeness(linear, name, N)['signed']['all']
        assert found['discriminativeness'] == {'value': score['score'], 'low': score['low'], 'high': score['high']}
        last = cascade(linear, name, N)[-1]
        rho = {reading: last[reading]['rho'] for reading in ('signed', 'absolute')}
        assert found['sanity']['value'] == max(rho.values(), key=abs)
        if name == 'grad_input':  # where the image is black the map is zero, whatever the weights
            assert found['sanity']['value'] > 0.5 > abs(rho['signed'])
        assert found['likeness'] == likeness(linear, name, N)
        for one in found.values():
            assert one['low'] <= one['value'] <= one['high']


def test_deletion_of_the_predicted_class(linear, judged):
    """The best order of a linear network: of Grad*Input, in a plain loop over the images and pixels."""
    found, curves, _ = judged['grad_input']
    kernel, bias = (linear.variables['params']['Dense_0'][name].astype(float) for name in ('kernel', 'bias'))
    expected = []
    for image in linear.dataset.test_images[:N].reshape(N, 64) / 255:
        k = (image @ kernel + bias).argmax()
        order, row = np.argsort(-image * kernel[:, k], kind='stable'), []
        for count in range(0, 65, 4):
            left = image.copy()
            left[order[:count]] = 0
            logits = left @ kernel + bias
            row.append(1 / np.exp(logits - logits[k]).sum())
        expected.append(row)
    np.testing.assert_allclose(curves['deletion'], np.mean(expected, 0), atol=1e-4)  # ties are black already
    assert found['deletion']['value'] == pytest.approx(np.trapezoid(np.mean(expected, 0), dx=1 / 16), abs=1e-4)
    assert curves['insertion'][-1] == pytest.approx(np.mean(expected, 0)[0], abs=1e-4)
    assert found['deletion']['value'] < judged['grad'][0]['deletion']['value'] < found['insertion']['value']


def test_insertion_begins_with_the_blurred_image(linear, judged):
    """By an eighth of its side, a pixel of 8; the probability is that of the class of the whole image."""
    kernel, bias = (linear.variables['params']['Dense_0'][name].astype(float) for name in ('kernel', 'bias'))
    pixels, expected = linear.dataset.test_images[:N, ..., 0] / 255, []
    for image in pixels:
        logits = ndimage.gaussian_filter(image, 1, mode='nearest').ravel() @ kernel + bias
        expected.append(1 / np.exp(logits - logits[(image.ravel() @ kernel + bias).argmax()]).sum())
    for _, curves, _ in judged.values():
        assert curves['insertion'][0] == pytest.approx(np.mean(expected), abs=1e-4)


def test_max_sensitivity_is_the_largest_of_ten_changes_within_five_of_255(linear, judged):
    """Of Grad*Input of a linear network: |(x' - x) w| / |x w|, the largest of ten x', the mean over classes."""
    kernel, pixels = linear.variables['params']['Dense_0']['kernel'], linear.dataset.test_images[:N]
    padded = pixels[np.arange(40) % N].reshape(2, 20, 8, 8, 1).astype(np.float32)  # as in batches of 20
    changes = []
    for key in jax.random.split(jax.random.key(0), 10):
        moved = np.concatenate([nearby(key, batch, 5) for batch in padded])[:N] - pixels
        length = [np.linalg.norm(x.reshape(N, 64, 1) * kernel, axis=1) for x in (moved, pixels.astype(float))]
        changes.append(length[0] / length[1])
    expected = np.max(changes, 0).mean()
    assert judged['grad_input'][0]['max_sensitivity']['value'] == pytest.approx(expected, rel=1e-4)


def test_pixels_are_deleted_to_the_networks_zero(linear):
    """The data's mean pixel where they are centred: what is left is the bias, and Grad*Input is complete."""
    centred = linear._replace(dataset=linear.dataset._replace(mean=(0.3,), std=(0.5,)))
    kernel, bias = (linear.variables['params']['Dense_0'][name].astype(float) for name in ('kernel', 'bias'))
    found, curves = examiner(centred, ['deletion', 'infidelity', 'completeness'], N)('integrated_gradients')
    x = (linear.dataset.test_images[:N].reshape(N, 64) / 255 - 0.3) / 0.5
    powers, predicted = np.exp(bias - bias.max()), (x @ kernel + bias).argmax(1)
    assert curves['deletion'][-1] == pytest.approx((powers / powers.sum())[predicted].mean(), rel=1e-4)
    for measure in 'infidelity', 'completeness':
        assert found[measure]['value'] == pytest.approx(0, abs=1e-4)


def test_a_network_whose_maps_are_zero_has_no_number(linear):
    """Nor have measures that take the larger of two readings, or the largest of ten, of many images, too."""
    params = {'Dense_0': {**linear.variables['params']['Dense_0'], 'kernel': np.zeros((64, 10), np.float32)}}
    dead = linear._replace(variables={'params': params})
    wanted = ['discriminativeness', 'sparseness', 'sanity', 'likeness', 'max_sensitivity']
    found, _ = examiner(dead, wanted, 100)('grad')
    assert found == dict.fromkeys(found, {'value': None, 'low': None, 'high': None}) and len(found) == 5


def test_coarse_maps_are_told_apart_as_they_are():
    """Not enlarged."""
    network = trained_of('cnn2', 'grad_cam')
    found, _ = examiner(network, ['discriminativeness'], N)('grad_cam')
    apart = {reading: of['all'] for reading, of in discriminativeness(network, 'grad_cam', N).items()}
    assert found['discriminativeness']['value'] == apart['as_is']['score'] != apart['upsampled']['score']


def test_which_end_of_a_measure_is_better(judged):
    """Grad*Input, the best that there is of a linear network, is ahead of its gradient, and of nothing at all."""
    better, worse = (judged[name][0] for name in ('grad_input', 'grad'))
    for name in 'deletion', 'insertion':
        ahead = better[name]['value'] - worse[name]['value']
        assert MEASURES[name] == ('high' if ahead > 0 else 'low'), name
    others = {'discriminativeness': 'high', 'infidelity': 'low', 'max_sensitivity': 'low', 'completeness': 'low',
              'sanity': 'near 0', 'sparseness': 'neither', 'likeness': 'neither'}
    assert {name: MEASURES[name] for name in others} == others


def test_only_what_is_asked_for(linear, judged, monkeypatch):
    """Neither are squares removed, nor are there batches where no measure needs them; numbers are the same."""
    monkeypatch.delattr(explanations, 'drops')
    found, curves = examiner(linear, ['sparseness', 'completeness', 'deletion'], N, 20)('grad')
    assert found == {name: judged['grad'][0][name] for name in ('sparseness', 'deletion')}
    assert {*curves} == {'deletion', 'fractions'}
    monkeypatch.delattr(explanations, 'rows_in_batches')
    ticks = []
    found, curves = examiner(linear, ['sanity'], N, 20)('grad', lambda: ticks.append(1))
    assert (found, curves, len(ticks)) == ({'sanity': judged['grad'][0]['sanity']}, {}, 1)


def test_maps_of_many_classes_are_held_in_batches_that_fit(linear, judged, monkeypatch):
    """Of seven images at a time here, or of one; the numbers are those of larger batches."""
    monkeypatch.setattr(trained_networks, 'MOST_FLOATS', 7 * 10 * 64 + 1)
    sizes, explain = [], trained_networks.explain
    monkeypatch.setattr(trained_networks, 'explain', lambda *args, **options: (
        sizes.append(len(args[3])), explain(*args, **options))[1])
    ticks, measures = [], ['discriminativeness', 'infidelity', 'sparseness', 'sanity']
    found, _ = examiner(linear, measures, N)('grad', lambda: ticks.append(1))
    assert {*sizes} == {7, 1} and len(ticks) == N + 2  # one by one, each with 50 squares out of it
    for name in measures:
        assert found[name] == pytest.approx(judged['grad'][0][name], abs=1e-5)


def test_pixels_of_0_and_1_are_pixels(linear):
    """A data set may be as dark as that, and images that are blurred are darker still."""
    dark = (linear.dataset.test_images > 99).astype(np.uint8)
    found, curves = examiner(linear._replace(dataset=linear.dataset._replace(test_images=dark)), [
        'insertion', 'max_sensitivity', 'sparseness'], most=5)('grad')
    assert all(np.isfinite(one['value']) for one in found.values()) and 'insertion' in curves


def test_the_network_has_the_runs_precision(linear):
    """Whoever asks: its passes are traced with it, also outside of `ikd.evaluate`."""
    told = []

    class Listening(Linear):
        def __call__(self, images, train=False):
            told.append(jax.config.jax_default_matmul_precision)
            return super().__call__(images, train)

    config = linear.config.copy_and_resolve_references()
    config.precision = 'tf32'
    listening = linear._replace(model=Listening(10), config=config)
    measures = [name for name in MEASURES if name != 'sanity']  # which initialises a network of its own
    examiner(listening, measures, most=5)('grad')
    jax.eval_shape(of_pixels(listening), linear.variables, linear.dataset.test_images[:1])
    assert len(told) > 5 and {*told} == {MATMUL['tf32']} != {jax.config.jax_default_matmul_precision}


def test_means_over_classes_leave_out_what_is_undefined():
    values = np.array([[1, np.nan, 3], [np.nan] * 3, [1, 1, 4]])
    np.testing.assert_array_equal(over_classes(values), [2, np.nan, 2])
    np.testing.assert_array_equal(over_classes(values[0]), values[0])
