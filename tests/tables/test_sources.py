"""What tables say of where their numbers come from."""
from ikd.tables.sources import sources
from tests.tables.cell_file import CONFIG, RECORD


def test_sources_count_what_differs():
    lines = sources([RECORD, {**RECORD, 'seed': 3},
                     {**RECORD, 'seed': 1, 'git_commit': 'def', 'finished': '2026-01-05T03:04:05Z'}])
    assert lines[:7] == ['Data: mnist, 60,000 images to train on, 10,000 to test',
                         'Epochs: warmup 10, introspective 40',
                         'Training: batches of 16, what is left of an epoch unused; SGD with learning rate 0.01, '
                         'momentum 0.9, weight decay 0', 'Seeds: 0 to 1, 3',
                         'Device: 1 x H100, gpu, float32', 'Versions: jax 1, flax 2',
                         'Commit: abc (2 trials); def (1 trial)']
    assert lines[7].startswith('Trials finished 2026-01-02 to 2026-01-05; 1.5 hours') and sources([]) == []


def test_sources_tell_of_other_schedules():
    tree = {**CONFIG, 'method.name': 'hme', 'model.name': 'hme_tree', 'hme.learning_rate': 0.05,
            'hme.hard_learning_rate': 0.02}
    falling = {**CONFIG, 'batch_size': 128, 'optimizer.milestones': [0.5, 0.75], 'optimizer.weight_decay': 1e-4}
    one = [{'stage': 'ce', 'epochs': 50}]
    lines = sources([{**RECORD, 'config': tree}, {**RECORD, 'config': falling, 'schedule': one}])
    assert lines[1] == 'Epochs: warmup 10, introspective 40 (1 trial); ce 50 (1 trial)'
    assert lines[2] == (
        'Training: batches of 16, what is left of an epoch unused; Adam with learning rate 0.05, then SGD with 0.02, '
        'momentum 0.9, weight decay 0 (1 trial); batches of 128, what is left of an epoch unused; SGD with learning '
        'rate 0.01 (a tenth after 0.5 and 0.75 of the epochs), momentum 0.9, weight decay 0.0001 (1 trial)')


def test_sources_tell_of_other_images_under_one_name():
    """Cells from before there were checksums may be anything, and say nothing."""
    def data_line(*checksums):
        named = {'name': 'own', 'train_images': 9, 'test_images': 1}
        return sources([{**RECORD, 'data': {**named, 'checksum': c} if c else named} for c in checksums])[0]

    assert data_line('a', 'a', None) == 'Data: own, 9 images to train on, 1 to test'
    assert data_line('a', 'b') == data_line(None, 'a') + ', not always the same images in the same order'


def test_parts_of_a_set_that_are_meant_to_be_others_are_not_suspected():
    """Seeds of a cell may have images of their own; what each has left out before is in its config."""
    parts = [{**RECORD, 'data': {**RECORD['data'], 'checksum': checksum},
              'config': {**CONFIG, 'data.train_skip': skip}} for checksum, skip in (('a', 0), ('b', 100), ('b', 100))]
    assert sources(parts)[0] == 'Data: mnist, 60,000 images to train on, 10,000 to test'
    parts[2]['config']['data.train_skip'] = 0
    assert 'not always the same images in the same order' in sources(parts)[0]


def test_what_is_held_out_is_no_test_set():
    held_out = {**RECORD, 'config': {**CONFIG, 'data.holdout': 10000}}
    assert sources([held_out])[0].endswith('10,000 to test held out of the training set')


def test_a_tree_that_is_a_resnet_is_trained_with_sgd():
    tree = {**CONFIG, 'method.name': 'hme', 'model.name': 'hme_resnet18'}
    assert 'unused; SGD with learning rate 0.01, momentum' in sources([{**RECORD, 'config': tree}])[2]
