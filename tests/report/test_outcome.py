"""What is said of results whose numbers are known: sentences, headlines, captions, and how a run was made."""
import json
import re

import pytest
from scipy.stats import ttest_rel

from configs import digits
from ikd.config import flatten
from ikd.report.curves import plot
from ikd.report.gallery import trees
from ikd.report.outcome import differences, final, headline, sentence
from ikd.report.page import MOST_PARTS, config_difference, curves, facts, report, unfinished
from ikd.report.runs import Run, label, read_run, stages
from ikd.tables.statistics import detectable_difference
from ikd.validation import resolve
from tests.report.hostile import text_of


def made_up(accuracies, method='ce', name='a', nlls=None, **fields):
    """A finished run of these accuracies, on seeds from 0."""
    fields = {'method.name': method, 'method.explainer': 'grad_cam', 'model.name': 'mlp', 'data.name': 'digits',
              'epochs': 1, **fields}
    trials = [{'seed': seed, 'test_accuracy': value, 'test_nll': nll, 'test_ece': 0.1, 'train_seconds': 10.0 + seed}
              for seed, (value, nll) in enumerate(zip(accuracies, nlls or [0.5] * len(accuracies)))]
    summary = {'trials': trials, 'train_images': 1437, 'test_images': 360, 'git_commit': 'abc', 'precision': 'tf32',
               'device': {'count': 2, 'kind': 'H100', 'platform': 'gpu'}, 'versions': {'jax': '1.2'}}
    return Run(None, name, {}, fields, summary, [], trials, [])


@pytest.mark.parametrize('method, said', [
    ('ce', 'by the method ce: 1 epoch, 1 trial, seed 0.'),
    ('le', "by the method le, from the network's own Grad-CAM explanations: 1 epoch"),
    ('le_permut', "by the method le_permut, from the network's own Grad-CAM explanations: 1 epoch"),
    ('le_frozen', "by the method le_frozen, from the warm-up's Grad-CAM explanations: 1 epoch"),
    ('le_frozen_turned', "by the method le_frozen_turned, from the warm-up's Grad-CAM explanations: 1 epoch")])
def test_whose_explanations_a_method_learns_from(method, said):
    assert f'The network mlp learns digits (1,437 training images) {said}' in sentence(made_up([90.0], method))
    assert sentence(made_up([90.0, 91.0, 92.0], method)).endswith(': 1 epoch, 3 trials, seeds 0 to 2.')


def test_trials_that_are_alike_have_the_interval_of_the_test_images():
    """Which is Wilson's, as for one trial."""
    text = text_of(headline(made_up([75.0, 75.0])))
    assert '75.00 % test accuracy alike in 2 trials; 95 % interval for 360 test images: 70.28 to 79.19' in text
    assert 'test accuracy of one trial; 95 % interval' in text_of(headline(made_up([75.0])))


@pytest.mark.parametrize('holdout, said', [(0, 'Test set, last'), (300, 'Images held out of the training set, last')])
def test_what_the_numbers_are_of(holdout, said):
    assert said in text_of(final([made_up([90.0], **{'data.holdout': holdout})]))


def test_what_so_many_seeds_detect_is_of_accuracies():
    """And not of the NLL, which scatters otherwise."""
    runs = [made_up([90.0, 93.0], name='LE', nlls=[0.5, 0.9]), made_up([89.0, 92.2], name='CE')]
    row = text_of(differences(runs)).partition('LE \N{MINUS SIGN} CE')[2]
    assert f' {detectable_difference([90.0, 93.0], [89.0, 92.2]):.2f} 0 to 1' in row


def test_how_a_run_was_made(tmp_path):
    (tmp_path / 'summary.json').touch()
    text = text_of(facts(made_up([90.0, 91.0])._replace(workdir=tmp_path)))
    assert 'digits: 1,437 images to train on, 360 to test' in text
    assert '21 s in all, 2 trials' in text and '2 \N{MULTIPLICATION SIGN} H100, gpu, tf32' in text


def test_many_parts_of_the_loss_are_folded_away():
    """Nine are shown, each of the others is behind what says how many they are."""
    parts = {f'train_part{i}': 1.0 + i for i in range(MOST_PARTS + 3)}
    records = [{'seed': 0, 'stage': 'ce', 'epoch': epoch, 'train_loss': 1.0, **parts} for epoch in (1, 2)]
    page = curves([made_up([90.0])._replace(records=records)])
    shown, folded = page.split('3 more')
    titles = [re.findall('<h4>part([0-9]*)<', part) for part in (shown, folded)]
    assert titles == [[str(i) for i in range(MOST_PARTS)], [str(i) for i in range(MOST_PARTS, MOST_PARTS + 3)]]


def test_below_curves_of_unlike_length_stands_each_ones_last():
    """An epoch is named where all end there; the axis has whole epochs alone."""
    of = lambda *values: {0: {epoch: ('ce', value) for epoch, value in enumerate(values, 1)}}
    unlike, alike = (text_of(plot('', [of(1.0, 2.0), other], ['a', 'b'], 2)) for other in (of(3.0), of(3.0, 4.0)))
    assert 'epoch last a 2 b 3' in unlike and 'epoch 2 a 2 b 4' in alike
    axis = re.findall('<text [^>]*text-anchor="middle">([^<]*)<', plot('', [of(1.0, 2.0)], ['a'], 2))
    assert axis == ['1', '2']


def test_how_far_stages_have_come_and_how_long_a_seed_took(tmp_path):
    """By the seed that is farthest, in whatever order they are written; seconds are the seed's own."""
    config = resolve(digits.get_config('ce,smoke'))
    (tmp_path / 'config.json').write_text(config.to_json())
    record = {'stage': 'ce', 'test_accuracy': 50.0, 'test_nll': 0.5, 'test_ece': 0.1}
    lines = [{**record, 'seed': seed, 'epoch': epoch, 'seconds': seconds}
             for seed, epoch, seconds in ((0, 1, 1.0), (0, 2, 2.0), (1, 1, 10.0))]
    (tmp_path / 'metrics.jsonl').write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    run = read_run(tmp_path)
    assert stages(run) == 'ce to epoch 2'
    assert {trial['seed']: trial['train_seconds'] for trial in run.trials} == {0: 3.0, 1: 10.0}


def test_whose_seed_is_not_finished_and_which_fields_differ():
    """Where there are several runs; a field that one of three has otherwise is among them."""
    one, other = made_up([90.0], name='a')._replace(open=['Not begun: seed 1.']), made_up([90.0], name='b', epochs=2)
    assert text_of(unfinished([one])) == 'Not finished. Not begun: seed 1.'
    assert text_of(unfinished([one, other])) == 'Not finished. a: Not begun: seed 1.' and unfinished([other]) is None
    assert text_of(config_difference([one, other, one])) == 'field a b a epochs 1 2 1'


def test_differences_are_of_seeds_that_both_have():
    runs = [made_up([90.0, 93.0, 95.0], name='LE'), made_up([89.0, 92.2], name='CE')]
    row = text_of(differences(runs)).partition('LE \N{MINUS SIGN} CE')[2]
    assert f' {ttest_rel([90, 93], [89, 92.2]).pvalue:.3f} ' in row and ' 0 to 1 ' in row


def test_virtual_attention_is_part_of_a_runs_name():
    fields = flatten(json.loads(resolve(digits.get_config('le')).to_json()))
    assert label(fields) == 'le, Grad-CAM' and label({**fields, 'model.vam': True}) == 'le, Grad-CAM, vam'


def test_there_is_room_for_seven_others(tmp_path):
    config = resolve(digits.get_config('ce,smoke'))
    line = {'seed': 0, 'stage': 'ce', 'epoch': 1, 'test_accuracy': 50.0, 'test_nll': 0.5, 'test_ece': 0.1}
    folders = [tmp_path / name for name in 'abcdefgh']
    for folder in folders:
        folder.mkdir()
        (folder / 'config.json').write_text(config.to_json())
        (folder / 'metrics.jsonl').write_text(f'{json.dumps(line)}\n')
    others = ', '.join(f'ce ({name})' for name in 'bcdefgh')
    assert f'Beside it: {others}.' in text_of(report(folders[0], folders[1:]))


def test_every_picture_of_a_tree_is_there(tmp_path):
    run = made_up([90.0])._replace(workdir=tmp_path)
    assert trees(run) is None
    for count, name in enumerate(('dendrogram.png', 'tree.png'), 1):
        (tmp_path / name).write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(30))
        assert trees(run).count('<img') == count
    assert re.findall('alt="([a-z.]*)"', trees(run)) == ['tree.png', 'dendrogram.png']
