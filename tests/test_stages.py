"""What a stage takes from earlier ones, which parameters it trains, and what it keeps beside them."""
from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest

from configs import digits as digits_config
from ikd import experiment, models, parallel, run_data, stages, training, trials
from ikd.data.inputs import normalise
from ikd.errors import InputError
from ikd.models.hme import outer_temperature
from ikd.objectives import cross_entropy
from ikd.recipes import RECIPES, recipe
from ikd.validation import resolve
from tests.small_run import states, steps

DEVICES = jax.devices()

pytestmark = pytest.mark.usefixtures('without_pictures')


def make_config(method, **fields):
    """The method with ResNet8, and ResNet8 as teacher, on 16x16 digits, in smoke mode."""
    config = digits_config.get_config(f'{method},smoke')
    config.update_from_flattened_dict({'data.size': 16, 'teacher.model': 'resnet8', **fields})
    return resolve(config)


def moved(before, after):
    """The names of the top-level parts of a tree that have changed in any way."""
    return {name for name in before if any((a != b).any() for a, b in zip(
        jax.tree.leaves(before[name]), jax.tree.leaves(after[name]), strict=True))}


def test_a_hint_trains_what_lies_before_it_and_nothing_else():
    """Neither weight decay, momentum nor running averages touch the third group; the teacher stays as it was."""
    config = make_config('hint')
    job, (teacher, new) = states(config, (0, 1))
    kept = jax.tree.map(np.copy, teacher)
    ended, report = steps(job, 1, new, teacher)
    trained = {'stem_conv', 'stem_norm', 'block1_1', 'block2_1'}
    assert moved(new.params, ended.params) == trained
    assert moved(new.batch_stats, ended.batch_stats) == {'stem_norm', 'block1_1', 'block2_1'}
    (momentum,) = [leaf for leaf in jax.tree.leaves(ended.opt_state, is_leaf=lambda x: isinstance(x, dict))
                   if isinstance(leaf, dict)]
    assert set(momentum) == trained
    assert moved(kept.params, teacher.params) == moved(kept.batch_stats, teacher.batch_stats) == set()
    assert report['features'] > 0


class Whitened(nn.Module):
    """A network of one's own that begins with statistics alone."""
    num_classes: int

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, use_scale=False, use_bias=False, name='whiten')(x)
        return nn.Dense(self.num_classes, name='last')(x.reshape(len(x), -1)), {}


def test_statistics_of_a_part_without_parameters_move(monkeypatch):
    monkeypatch.setitem(models.MODELS, 'whitened', Whitened)
    job, (new,) = states(make_config('ce', **{'model.name': 'whitened'}), (0,))
    ended, _ = steps(job, 0, new)
    assert moved(new.batch_stats, ended.batch_stats) == {'whiten'} and moved(new.params, ended.params) == {'last'}


def test_flow_trains_the_groups_and_not_the_last_layer():
    job, (teacher, new) = states(make_config('fsp_kd'), (0, 1))
    ended, _ = steps(job, 1, new, jax.tree.map(lambda leaf: leaf + 1 if leaf.ndim else leaf, teacher))
    assert set(new.params) - moved(new.params, ended.params) == {'linear'}


@pytest.mark.parametrize('method', ['hint', 'fsp_kd'])
def test_distillation_goes_on_from_the_weights_alone(method):
    """Weights and statistics of the stage before; no momentum, the schedule from its beginning."""
    job, (_, first, second) = states(make_config(method), (0, 1, 2))
    earlier = jax.tree.map(lambda leaf: leaf + 1, first)
    begun = job.stages[2].stage.start(second, [None, earlier])
    assert moved(begun.params, earlier.params) == moved(begun.batch_stats, earlier.batch_stats) == set()
    assert begun.step == 0 and not any(leaf.any() for leaf in jax.tree.leaves(begun.opt_state))


def test_a_regressor_trains_with_the_guided_layers_and_is_left_behind():
    """From 8 channels of a narrow student to the teacher's 32."""
    config = make_config('hint', **{'model.width': 4, 'features.regressor': True})
    job, (teacher, new, student) = states(config, (0, 1, 2))
    assert new.params['regressor']['kernel'].shape == (8, 32)
    ended, _ = steps(job, 1, new, teacher)
    assert 'regressor' in moved(new.params, ended.params)
    begun = job.stages[2].stage.start(student, [teacher, ended])
    assert set(begun.params) == set(student.params) and 'regressor' not in begun.params
    assert moved(begun.params, {name: ended.params[name] for name in begun.params}) == set()
    alone = training.new_state(0, job.stages[2], job.image_shape)
    assert moved(alone.params, {name: new.params[name] for name in alone.params}) == set()


def test_peers_start_apart_and_the_first_as_it_would_alone():
    job, (pair,) = states(make_config('dml'), (0,))
    _, (alone,) = states(make_config('ce'), (0,))
    own = {name: part for name, part in pair.params.items() if name != 'peer'}
    assert moved(own, alone.params) == set()
    assert (pair.params['peer']['linear']['kernel'] != own['linear']['kernel']).mean() > 0.99


def test_peers_are_both_trained_and_both_reported(tmp_path):
    """test_accuracy is their mean; each network's own figures lie under `networks`."""
    summary = experiment.run(make_config('dml'), tmp_path, DEVICES[:1])
    (trial,) = summary['trials']
    assert len(trial['networks']) == 2 and trial['networks'][0] != trial['networks'][1]
    for name in ('test_accuracy', 'test_nll', 'test_ece'):
        assert trial[name] == pytest.approx(np.mean([one[name] for one in trial['networks']]))


def test_the_training_accuracy_of_peers_is_that_of_both():
    job, (pair,) = states(make_config('dml', **{'model.name': 'mlp'}), (0,))
    program, data = job.stages[0].program, job.dataset
    rows = np.asarray(program.order(parallel.join(job.layout, [pair])))[:job.config.batch_size]
    images = normalise(data.train_images[rows], data.mean, data.std)
    logits, _ = job.stages[0].model.apply(training.variables_of(pair), images)
    each = 100 * (logits.argmax(-1) == data.train_labels[rows][:, None]).mean(0)
    _, report = steps(job, 0, pair, count=1)
    assert report['accuracy'][0] == pytest.approx(each.mean()) and each[0] != each[1]


@pytest.mark.slow
def test_the_soft_tree_cools_and_the_hard_tree_keeps_its_routing_and_nothing_else():
    """New weights, other than the soft tree's; the routing is one-hot and no longer trains."""
    job, (soft, hard) = states(make_config('hme'), (0, 1))
    learnt, report = steps(job, 0, soft)
    assert report['entropy_branch1_0'] > 0.9  # the hottest epoch: nearly uniform
    assert soft.extra['temperature'] == 10
    later, _ = steps(job, 0, soft._replace(step=np.int32(3 * job.stages[0].program.steps)), count=1)
    assert later.extra['temperature'] == pytest.approx(10 / 4)  # in the fourth epoch
    begun = job.stages[1].stage.start(hard, [learnt])
    branches = {'branch1', 'branch2', 'branch3'}
    assert moved(begun.params, learnt.params) & branches == set()
    assert moved(begun.params, hard.params) <= branches
    assert (hard.params['level1_1']['conv1']['kernel'] != soft.params['level1_1']['conv1']['kernel']).mean() > 0.99
    ended, report = steps(job, 1, begun)
    assert moved(begun.params, ended.params) == set(begun.params) - branches
    assert report['entropy_routing'] == 0


def test_a_hard_tree_begins_with_the_routing_alone():
    """Of the soft tree; weights, statistics, momentum, step and what is kept are its own."""
    def state(step, value):
        params = {'branch1': {'routing': value}, 'level1_1': {'kernel': value}}
        return stages.State(0, step, params, {'norm': value}, {'momentum': value}, {'kept': value})

    soft, hard = state(7, 'soft'), state(0, 'hard')
    begun = stages.routing_only(hard, [None, soft])
    assert begun == hard._replace(params={**hard.params, 'branch1': {'routing': 'soft'}})
    assert stages.all_but_routing(None, None, ('branch1', 'level1_1', 'norm')) == {'level1_1', 'norm'}


class Tempered(nn.Module):
    """A network whose logits are divided by the temperature that its stage keeps."""
    num_classes: int

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(self.num_classes, name='last')(x.reshape(len(x), -1)) / outer_temperature(self), {}


def test_a_network_finds_what_its_stage_keeps(monkeypatch):
    """In training and when it is tested: at a temperature of a million all ten classes are alike."""
    monkeypatch.setitem(models.MODELS, 'tempered', Tempered)
    monkeypatch.setitem(RECIPES, 'tempered', lambda config: [stages.Stage(
        'tempered', cross_entropy, config.epochs, extra=lambda k: {'temperature': np.float32(1e6)})])
    config = make_config('ce', **{'model.name': 'tempered'})
    config.method.name = 'tempered'
    job, (new,) = states(config, (0,))
    _, report = steps(job, 0, new, count=1)
    np.testing.assert_allclose(report['entropy_p'], np.log(10), rtol=1e-5)
    (tested,) = training.run_evaluation(job.stages[0].program, job.layout, parallel.join(job.layout, [new]),
                                        job.test_images, job.dataset.test_labels)
    assert tested['test_nll'] == pytest.approx(np.log(10), rel=1e-4)


def counting(batch):
    """CE; what is kept is how many images of each class have been seen, on all devices."""
    seen = jax.nn.one_hot(batch.labels, 10).sum(0)
    seen = jax.lax.psum(seen, batch.axis_name) if batch.axis_name else seen
    return *cross_entropy(batch), {'seen': batch.extra['seen'] + seen}


@pytest.mark.parametrize('count', [1, 2])
def test_extra_state_is_kept_from_step_to_step(monkeypatch, count):
    """A running count over two steps of 32 images, on one device and on two."""
    monkeypatch.setitem(RECIPES, 'counting', lambda config: [
        stages.Stage('counting', counting, config.epochs, extra=lambda k: {'seen': np.zeros(k, np.float32)})])
    config = make_config('ce', **{'model.name': 'cnn2'})
    config.method.name = 'counting'
    layout = parallel.Layout(tuple(DEVICES[:count]), 'data')
    job = trials.make_job(config, None, run_data.load_data(config), layout)
    state = parallel.join(layout, [training.new_state(0, job.stages[0], job.image_shape)])
    program = job.stages[0].program
    order = program.order(state)
    rows = np.asarray(parallel.split(layout, order)[0])[:64]
    for _ in range(2):
        state, _ = program.advance(program.chunk)(state, {}, order, *job.training_set)
        jax.block_until_ready(state)
    expected = np.bincount(np.asarray(job.dataset.train_labels)[rows], minlength=10)
    np.testing.assert_array_equal(parallel.split(layout, state)[0].extra['seen'], expected)


def test_a_generation_before_sees_other_orders_and_other_crops():
    """From one State and in one order it learns the same as cross-entropy without augmentation, with it not."""
    for augment in ('none', 'crop_flip'):
        fields = {'data.augment': augment, 'model.name': 'mlp'}
        (job, (new,)), (before, _) = (states(make_config(method, **fields), (0,)) for method in ('ce', 'ban'))
        order, other = (one.stages[0].program.order(parallel.join(one.layout, [new])) for one in (job, before))
        assert (np.asarray(order) != np.asarray(other)).any()
        ended = []
        for one in (job, before):
            advance = one.stages[0].program.advance(one.stages[0].program.chunk)
            ended.append(advance(parallel.join(one.layout, [new]), {}, order, *one.training_set)[0])
        assert bool(moved(*(jax.device_get(state).params for state in ended))) == (augment == 'crop_flip')


@pytest.mark.parametrize('method, fields, message', [
    ('hint', {'model.width': 4}, 'features.regressor=True for unlike numbers of channels'),
    ('hint', {'features.tap': 'group9'}, 'group9'),
    ('hint', {'features.tap': 'group9', 'features.regressor': True}, "no tap 'group9' in one of the two"),
    ('hint', {'features.tap': 'conv4', 'features.regressor': True, 'model.name': 'cnn2', 'teacher.model': 'cnn4'},
     "no tap 'conv4' in PlainCNN; set features.tap to one of: "),
    ('hint', {'model.name': 'mlp'}, r'hidden2 of the student, \(1024,\), with group2 of the teacher, \(8, 8, 32\)'),
    ('hint', {'model.name': 'mlp', 'teacher.model': 'mlp', 'features.tap': 'hidden9'}, 'hidden9'),
    ('fsp_kd', {'model.width': 4}, 'fsp_kd needs networks of one width'),
    ('fsp_kd', {'model.name': 'mlp', 'teacher.model': 'mlp'}, 'fsp_kd needs feature maps'),
    ('at_kd', {'model.name': 'mlp', 'teacher.model': 'mlp'}, 'feature maps; choose a convolutional model.name'),
    ('hint', {'model.name': 'hme_tree'}, "no 'group_taps', .*; set features.tap to a tap that both networks have"),
    ('le_frozen', {'epochs': 1}, 'method.name=le_frozen has two stages; epochs must be at least 2'),
    ('at_kd', {'model.name': 'cnn8'}, 'cnn8 has 4 and resnet8 3'),
    ('vam', {'model.name': 'mlp'}, 'model.vam needs convolutions, and mlp has none'),
    ('vam', {'model.vam_block': 7}, 'model.vam_block'),
    ('ce', {'model.name': 'cnn2', 'model.width': 8}, 'model.width'),
    ('le', {'model.name': 'mlp', 'method.explainer': 'grad_cam'}, 'mlp has none; choose grad'),
    ('hme', {'model.name': 'resnet8'}, 'method.name=hme trains model.name=hme_tree or hme_resnet18'),
])
def test_impossible_pairs_are_refused_in_a_line_before_anything_is_written(method, fields, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        experiment.run(make_config(method, **fields), tmp_path / 'run', DEVICES[:1])
    assert '\n' not in str(error.value) and not (tmp_path / 'run').exists()


def test_wrapped_networks_know_their_classes():
    network = models.create('cnn2', 7)
    assert models.Peers(network).num_classes == models.Regressed(network, 'conv1', 4).num_classes == 7


def test_a_partial_start_is_named_in_the_store():
    """What tells two stages apart goes into their names: options, optimiser, selection."""
    from ikd import stage_names
    config = make_config('hint')
    listed = recipe(config)
    names = {stage_names.stage_name(config, listed, 1)}
    for change in ({'trains': stages.everything}, {'optimizer': partial(listed[1].optimizer, factor=0.5)},
                   {'objective': partial(listed[1].objective, weight=2.0)}, {'options': (('dropout_rate', 0.1),)}):
        names.add(stage_names.stage_name(config, [listed[0], listed[1]._replace(**change), listed[2]], 1))
    assert len(names) == 5
