"""What a benchmark prints, and that it runs what it says. No time is asserted."""
import inspect
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd import bench, benchmarks, models, timed_steps
from ikd.data import load
from ikd.data.stream import ahead, unread
from ikd.errors import InputError

MADE_UP = {'slow': (lambda pairs: (np.array([[3.0, 1.0], [5.0, 2.0], [2.0, 1.0]]), {'note': 1}), 2.5),
           'free': (lambda pairs: (np.full((pairs, 2), 0.5), {}), None)}


def test_a_line_has_what_a_reader_needs():
    """Ratios 3, 2.5, 2: median 2.5, whose interval reaches 3, so a target of 2.5 is not met."""
    line = bench.measure('slow', benchmarks=MADE_UP)
    assert (line['ratio'], line['high'], line['target'], line['met']) == (2.5, 3.0, 2.5, False)
    assert (line['ours'], line['base'], line['pairs'], line['note']) == (3.0, 1.0, 3, 1)
    assert line['versions']['jax'] == jax.__version__ and line['device']['platform'] == 'cpu'
    assert bench.measure('free', 4, MADE_UP)['met'] is None


def test_the_command_prints_json(monkeypatch, capsys):
    monkeypatch.setattr(bench, 'BENCHMARKS', MADE_UP)
    bench.main(['--only=free,slow', '--pairs=3'])
    assert [json.loads(line)['name'] for line in capsys.readouterr().out.splitlines()] == ['free', 'slow']
    with pytest.raises(InputError, match='--pairs=0: give at least 1'):
        bench.main(['--pairs=0'])
    with pytest.raises(InputError, match="--only: no 'fast'; choose from slow, free"):
        bench.main(['--only=fast'])
    with pytest.raises(InputError, match="--only: no ''"):
        bench.main(['--only='])


def test_a_benchmark_that_fails_does_not_end_the_others(monkeypatch, capsys):
    """Those of accelerators, the longest, come last there; the exit code tells."""
    monkeypatch.setattr(bench, 'BENCHMARKS', MADE_UP)
    monkeypatch.setattr(bench, 'ON_ACCELERATORS', {'broken': (lambda pairs: 1 / 0, None)})
    assert bench.main(['--pairs=3']) == 0 and capsys.readouterr().out.count('ratio') == 2
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    assert bench.main(['--pairs=3']) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == {'name': 'broken', 'error': 'ZeroDivisionError: division by zero'}
    assert [line['name'] for line in lines[:-1]] == ['slow', 'free']
    with pytest.raises(InputError, match='--peer runs PyTorch on the CPU'):
        bench.main(['--peer'])


def test_steps_are_training_steps():
    """Each call goes on from the last: as many steps as it says, and the loss falls."""
    steps = timed_steps.Steps(timed_steps.settings('mlp', 'ce', **{'optimizer.learning_rate': 0.01}),
                             timed_steps.dataset(28, 1))
    assert steps.steps == 89  # 1,437 images in batches of 16
    steps()
    steps()
    assert int(steps.state.step) == 178 and steps.memory() > 0


@pytest.mark.parametrize('method, part', [('le', 'zero_maps'), ('kd', 'agreement')])
def test_steps_are_those_of_the_last_stage(method, part):
    """Of LE, not of its warm-up; of a student, not of its teacher."""
    fields = {'method.explainer': 'grad', 'teacher.model': 'mlp'}
    steps = timed_steps.Steps(timed_steps.settings('mlp', method, **fields), timed_steps.dataset(8, 1))
    _, told = jax.eval_shape(steps.program.advance(steps.steps), steps.state, steps.knowledge, steps.order,
                             *steps.data)
    assert part in told


def test_ours_is_the_method_and_the_base_cross_entropy(monkeypatch):
    """Ten steps of LE take 30 s, of CE 10 s; five trials together 20 s, one after another 10 s each.

    KD's take 20 s and its teacher's 50 s; images that are streamed take four times as long.
    """
    class Made:
        steps = 10
        program = SimpleNamespace(steps=10, workers=2)

        def __init__(self, config, images, index=-1, trials=1):
            self.took = {'le': 30.0, 'ce': 10.0, 'kd': (50.0, 20.0)[index]}[config.method.name] * (
                2 if trials > 1 else 1) * (4 if images.streamed else 1)

        def __call__(self):
            clock.append(self.took)

        epoch = __call__

        def memory(self):
            return 1

    def times(ours, base, pairs):
        found = []
        for side in ours, base:
            clock.clear()
            side()
            found.append(sum(clock))
        return np.array([found] * pairs)

    clock = []
    monkeypatch.setattr(benchmarks, 'Steps', Made)
    monkeypatch.setattr(benchmarks, 'paired_times', times)
    np.testing.assert_allclose(benchmarks.against_ce('mlp', 'le', 2)[0], [[3, 1]] * 2)
    np.testing.assert_allclose(benchmarks.together('mlp', 2)[0], [[2, 5]] * 2)
    np.testing.assert_allclose(benchmarks.whole_distillation(2)[0], [[70, 10]] * 2)
    streamed, more = benchmarks.streamed('mlp', 2)
    np.testing.assert_allclose(streamed, [[4, 1]] * 2)
    assert more == {'images_per_second': [4, 16], 'workers': 2}


def test_the_arithmetic_of_the_explanation_pass(monkeypatch):
    """128 images, a pass forward and ten back: 35.2 gigaflops, at 2 s for them 17.6 a second."""
    monkeypatch.setattr(benchmarks, 'times_of', lambda function, pairs: np.full(pairs, 2.0))
    times, more = benchmarks.explanation_pass(3)
    np.testing.assert_allclose(times, [[2, 0.35203]] * 3, rtol=1e-4)
    assert more['gflops'] == pytest.approx(17.601, rel=1e-4)


def test_copies_keep_their_labels_and_colours_their_statistics():
    digits, thrice = timed_steps.dataset(8, 3), timed_steps.dataset(8, 3, copies=3)
    n = len(digits.train_labels)
    assert len(thrice.train_images) == len(thrice.train_labels) == 3 * n and len(thrice.test_images) == 360
    for start in 0, n, 2 * n:
        np.testing.assert_array_equal(thrice.train_images[start:start + n], digits.train_images)
        np.testing.assert_array_equal(thrice.train_labels[start:start + n], digits.train_labels)
    assert len(thrice.mean) == len(thrice.std) == 3


def test_networks_are_trained_in_the_papers_batches():
    """ResNets on 32x32 in colour, the MLP on 28x28 in grey."""
    for model, size, shape in ('resnet8', 128, (32, 32, 3)), ('mlp', 16, (28, 28, 1)):
        assert timed_steps.settings(model, 'ce').batch_size == size
        assert timed_steps.images_for(model).image_shape == shape


def test_classes_that_no_image_is_of():
    images = timed_steps.dataset(8, 3, classes=100)
    assert len(images.class_names) == 100 and images.train_images.shape[1:] == (8, 8, 3)
    assert images.train_labels.max() == 9


def test_the_arithmetic_of_resnet8():
    """Counted by hand, and as XLA counts it, which leaves out products with padding."""
    model = models.create('resnet8', 10)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    flops = jax.jit(model.apply).lower(variables, image).cost_analysis()['flops']
    assert benchmarks.resnet8_products() == 12_500_992
    assert 0.9 < flops / (2 * benchmarks.resnet8_products()) < 1


def test_every_benchmark_says_what_it_takes(monkeypatch):
    """Each of the table, on any device, is a function of the pairs alone, and has no name twice."""
    assert not bench.BENCHMARKS.keys() & bench.ON_ACCELERATORS.keys()
    for function, target in (bench.BENCHMARKS | bench.ON_ACCELERATORS).values():
        inspect.signature(function).bind(3)
        assert target is None or target > 0


def test_trials_together_are_as_many_steps():
    """Five trials in one program take the steps of five trials, each its own."""
    steps = timed_steps.Steps(timed_steps.settings('mlp', 'ce', **{'optimizer.learning_rate': 0.01}),
                             timed_steps.dataset(8, 1), trials=5)
    steps()
    assert steps.state.step.tolist() == [89] * 5
    kernels = np.asarray(steps.state.params['Dense_0']['kernel'])
    assert len({kernel.tobytes() for kernel in kernels}) == 5


@pytest.mark.parametrize('together, minutes', [(1, 5200), (5, 1040)])
def test_the_minutes_of_table_2(together, minutes, monkeypatch):
    """Ten networks at 0.1 s a step, each 390 x 160 steps of five trials: 312,000 s, or a fifth, five at once."""
    made = []

    def steps_of(config, images, trials):
        made.append((config.model.name, config.method.name, trials))
        return SimpleNamespace(steps=10)

    monkeypatch.setattr(benchmarks, 'Steps', steps_of)
    monkeypatch.setattr(benchmarks, 'times_of', lambda steps, pairs: np.ones(pairs))
    monkeypatch.setattr(benchmarks.parallel, 'seeds_at_once', lambda devices: together)
    times, more = benchmarks.table_2(2, 'tf32', 20)
    assert len({*made}) == 10 and {trials for *_, trials in made} == {together}
    np.testing.assert_allclose(times, [[minutes, 20]] * 2)
    assert (more['unit'], more['trials_together']) == ('minutes', together)


def test_the_arithmetic_of_a_busy_accelerator(monkeypatch):
    """Three calls of ten steps take 6 s; in the trace 90 operations take 50 ms each, and nothing comes between."""
    class Made:
        steps = 10

        def __init__(self, config, images):
            self.calls = 0

        def __call__(self):
            self.calls += 1

    events = [(i * 50_000_000, (i + 1) * 50_000_000, f'operation {i % 2}') for i in range(90)]
    monkeypatch.setattr(benchmarks, 'Steps', Made)
    monkeypatch.setattr(benchmarks, 'times_of', lambda function, pairs: np.full(pairs, 2.0 * len(function())))
    monkeypatch.setattr(benchmarks, 'device_events', lambda directory: events)
    times, more = benchmarks.device_busy(9, 'mlp', 'ce')
    np.testing.assert_allclose(times, [[6, 4.5]] * 5)
    assert more == {'share_traced': 1, 'operations_a_step': 3, 'slowest': {'operation 0': 0.5, 'operation 1': 0.5}}


@pytest.mark.parametrize('cached', [False, True])
def test_the_first_step_with_and_without_what_was_compiled(cached, monkeypatch):
    """A process of its own each time, all with the same folder of compiled programs or none."""
    started = []
    for name in 'JAX_COMPILATION_CACHE_DIR', 'JAX_ENABLE_COMPILATION_CACHE':
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(benchmarks.subprocess, 'run', lambda command, check, env: started.append(env))
    times, _ = benchmarks.first_step(3, cached, 20)
    assert times.shape == (3, 2) and times[:, 1].tolist() == [20] * 3 and len(started) == 4
    kept = {env.get('JAX_COMPILATION_CACHE_DIR') for env in started}
    assert len(kept) == 1 and (kept != {None}) == cached
    assert {env.get('JAX_ENABLE_COMPILATION_CACHE') for env in started} == {None if cached else 'false'}


def test_an_epoch_of_a_streamed_set():
    """89 steps, each with images that come from the host."""
    images = timed_steps.dataset(8, 1)
    config = timed_steps.settings('mlp', 'ce', **{'optimizer.learning_rate': 0.01})
    steps = timed_steps.Steps(config, images._replace(train_images=unread(images.train_images)))
    steps.epoch()
    assert int(steps.state.step) == 89


def test_decoding_of_photographs(tmp_path, monkeypatch):
    """Every file is a part of a photograph; all of the training images are decoded each time, ours by two threads."""
    benchmarks.photographs(tmp_path, 10)
    images = load('folder', tmp_path, 16, room=0).train_images
    assert images.shape == (8, 16, 16, 3) and len({image.tobytes() for image in images[np.arange(8)]}) == 8
    times, more = benchmarks.decoding(1, 16, 10)
    assert times.shape == (1, 2) and min(more['images_per_second']) > 0
    threads = []
    monkeypatch.setattr(benchmarks, 'ahead', lambda block, starts, workers: (
        threads.append(workers), ahead(block, starts, workers))[1])
    monkeypatch.setattr(benchmarks, 'paired_times', lambda *sides: (sides[0](), sides[1](), np.ones((1, 2)))[2])
    benchmarks.decoding(1, 16, 10)
    assert threads == [2, 1]


@pytest.mark.slow
def test_memory_of_a_thousand_classes(monkeypatch):
    """More classes need more memory; nothing is trained."""
    few, many = (benchmarks.large_memory(1, size=16, classes=classes) for classes in (10, 1000))
    assert few[0][0, 0] < many[0][0, 0] and few[1]['unit'] == 'bytes'
