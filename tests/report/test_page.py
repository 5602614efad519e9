"""The report of real runs, of networks trained on a folder whose names are hostile: its numbers."""
import base64
import json
import re
import shutil
from html import unescape

import jax
import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from ikd.errors import InputError
from ikd.evaluation.class_cosines import class_cosines, most_alike
from ikd.files import read_json, write_json
from ikd.pictures.matrix import matrix_figure
from ikd.report import gallery
from ikd.report.__main__ import main
from ikd.report.outcome import differences, every_trial, summary_cells
from ikd.report.page import report
from ikd.report.runs import Run, named_apart, read_run
from ikd.trained import load
from tests.report.hostile import text_of


def accuracies(workdir, measure='test_accuracy'):
    return [trial[measure] for trial in read_json(workdir / 'summary.json')['trials']]


def test_the_numbers(runs, tmp_path):
    """Mean, deviation, intervals and p of both runs and of their difference, against SciPy.

    The accuracies are written in, as on so few images they may be all alike, which leaves no interval.
    """
    le, ce = copies = [tmp_path / name for name in ('le', 'ce')]
    for run, copy, values in zip(runs, copies, ([90.0, 93.0], [88.0, 92.5])):
        shutil.copytree(run, copy)
        summary = read_json(copy / 'summary.json')
        for trial, value in zip(summary['trials'], values):
            trial['test_accuracy'] = value
        write_json(copy / 'summary.json', summary)
    text = text_of(report(le, [ce]))
    for run in copies:
        values = accuracies(run)
        std = np.std(values, ddof=1)
        assert f'{np.mean(values):.2f} ± {std:.2f} ± {t.ppf(0.975, 1) * std / 2 ** 0.5:.2f}' in text
    row = text.partition('le, Grad-CAM − ce')[2].partition('0 to 1')[0]
    nll = np.mean(accuracies(le, 'test_nll')) - np.mean(accuracies(ce, 'test_nll'))
    half = t.ppf(0.975, 1) * 1.5 / 2  # of 2.0 and 0.5
    assert f'+1.25 ± {half:.2f}' in row and f'{nll:+.3f} ±'.replace('-', '−') in row
    assert f'{ttest_rel(accuracies(le), accuracies(ce)).pvalue:.3f}' in row
    images = read_json(le / 'summary.json')['train_images']
    assert f'learns folder ({images} training images) by the method le' in text


def test_p_is_corrected_for_all_rows():
    """LE - CE is 1.0, 0.8, t = 9 and p = 0.0704, which Holm doubles; LE - LS is 2.0, 0.5, whose p of 0.344 stays."""
    found = []
    for name, values in ('LE', [90.0, 93.0]), ('CE', [89.0, 92.2]), ('LS', [88.0, 92.5]):
        trials = [{'seed': seed, 'test_accuracy': value, 'test_nll': 0.5, 'test_ece': 0.1}
                  for seed, value in enumerate(values)]
        found.append(Run(None, name, {}, {}, {'trials': trials}, [], trials, []))
    ce, ls = text_of(f'{differences(found)}').partition('LE − CE')[2].split('LE − LS')
    assert ' 0.141 ' in ce and ' 0.344 ' in ls


def test_seconds_are_a_trials_and_each_teacher_has_its_column():
    """The mean of 10 and 30 seconds; a run without a teacher leaves its cell empty."""
    runs = []
    for i, teachers in enumerate(({'old': 61.0}, {'new': 62.0})):
        trials = [{'seed': seed, 'test_accuracy': 70.0, 'test_nll': 0.5, 'test_ece': 0.1, 'train_seconds': seconds,
                   'teachers': teachers} for seed, seconds in enumerate((10.0, 30.0))]
        runs.append(Run(None, f'run{i}', {}, {}, {'trials': trials}, [], trials, []))
    assert [str(cell) for cell in summary_cells(runs[0])[-2:]] == ['20', '2']
    cells = re.findall('<td[^>]*>([^<]*)</td>', f'{every_trial(runs)}')
    assert [cells[i:i + 2] for i, cell in enumerate(cells) if '61.00' in cell] == [['61.00', '']] * 2
    assert [cells[i - 1:i + 1] for i, cell in enumerate(cells) if '62.00' in cell] == [['', '62.00']] * 2


def test_what_a_reader_looks_for(page, runs):
    text, (le, _) = text_of(page.read_text()), runs
    commit = read_json(le / 'summary.json')['git_commit']
    for said in ('Loss, training', 'Accuracy, test (%)', 'Learning rate', 'cross entropy', 'distillation',
                 'zero maps', 'warmup to epoch 1, introspective to epoch 3', commit, jax.__version__,
                 'python -m ikd.main --config=configs/', 'python -m ikd.evaluate', 'folder: '):
        assert said in text, said
    differing = text.partition('What the runs do differently')[2].partition('How it was run')[0]
    assert 'method.name le ce' in differing and 'model.name' not in differing
    found = class_cosines(load(le))
    alike = ['/'.join(pair) for pair in most_alike(found['all_images'], load(le).class_names)]
    assert f"Most alike: {', '.join(alike)}." in text


def test_every_commit_and_device_that_trained_is_named(runs, tmp_path):
    """The summary's own are those of its last trial; of before trials had theirs, of all."""
    run = tmp_path / 'run'
    shutil.copytree(runs[0], run)
    summary = read_json(run / 'summary.json')
    trial, *_ = summary['trials']
    chip = {**summary['device'], 'kind': 'a chip'}
    own = {name: value for name, value in trial.items() if name not in ('git_commit', 'device')}
    for first, said in ({**trial, 'git_commit': 'abc', 'device': chip}, 'abc, fed'), (own, 'fed'):
        trials = [first, {**trial, 'seed': 1, 'git_commit': 'fed'}]
        write_json(run / 'summary.json', {**summary, 'git_commit': 'fed', 'trials': trials})
        text = text_of(report(run))
        assert f'commit {said} device' in text and ('× a chip, ' in text) == (first is not own)


def test_the_figures_are_inside(page, runs):
    """Figure 1 of both runs as they are, byte for byte, and two heat maps of each."""
    pictures = [base64.b64decode(one) for one in re.findall('data:image/png;base64,([^"]*)', page.read_text())]
    assert [(run / 'explanations.png').read_bytes() for run in runs] == pictures[:2] and len(pictures) == 6


def test_a_tree_of_another_run_is_not_taken_for_the_runs_own(runs, tmp_path):
    le, ce = runs
    grown = shutil.copytree(ce, tmp_path / 'grown')
    shutil.copy(ce / 'explanations.png', grown / 'tree.png')
    picture = 'alt="tree.png"'
    own = report(grown, [le]).partition('<h2>Trees</h2>')[2]
    assert picture in own.partition('<details>')[0]
    beside = report(le, [grown]).partition('<h2>Trees</h2>')[2].partition('</section>')[0]
    assert re.match(r'<details><summary>ce</summary>.*' + picture, beside, re.DOTALL)


def test_an_unfinished_run(runs, tmp_path):
    """What metrics.jsonl says, and that it is not the end."""
    workdir = tmp_path / 'cut'
    workdir.mkdir()
    shutil.copy(runs[0] / 'config.json', workdir)
    with pytest.raises(InputError, match='has been tested yet; call again'):
        report(workdir)
    lines = (runs[0] / 'metrics.jsonl').read_text().splitlines(keepends=True)
    (workdir / 'metrics.jsonl').write_text(''.join(lines[:2]) + lines[2][:20])  # cut off in the third
    text = text_of(report(workdir))
    accuracy = json.loads(lines[1])['test_accuracy']
    assert 'Not finished. Seed 0 has finished epoch 2, of the stage introspective. Not begun: seed 1.' in text
    assert f'{accuracy:.2f} % test accuracy so far, 1 trial, stage introspective' in text
    assert 'le, Grad-CAM (unfinished, stage introspective)' in text
    untested = {name: value for name, value in json.loads(lines[2]).items() if not name.startswith('test_')}
    (workdir / 'metrics.jsonl').write_text(''.join(lines[:2]) + json.dumps(untested) + '\n')
    text = text_of(report(workdir))
    assert 'Seed 0 has finished epoch 3' in text and f'{accuracy:.2f} % test accuracy so far, 1 trial' in text
    (workdir / 'metrics.jsonl').write_text(''.join(line for line in lines if '"epoch": 3' not in line))
    two = text_of(report(workdir)).partition('Test set')[0]
    assert 'so far, 2 trials' in two and '±' not in two
    assert text.count('Not drawn yet') == 2 and 'Differences' not in text_of(report(runs[1], [workdir]))


def test_an_unfinished_run_tells_whose_numbers_it_has(runs, tmp_path):
    """A teacher's are not taken for the student's; seeds may be in unlike stages."""
    shutil.copy(runs[1] / 'config.json', tmp_path)
    records = [json.loads(line) for line in (runs[1] / 'metrics.jsonl').read_text().splitlines()]
    told = []
    for stages in ({0: 'teacher'}, {0: 'student', 1: 'teacher'}):
        lines = [json.dumps({**record, 'stage': stages[record['seed']]}) for record in records
                 if record['seed'] in stages]
        (tmp_path / 'metrics.jsonl').write_text('\n'.join(lines) + '\n')
        told.append(text_of(report(tmp_path)))
    assert 'so far, 1 trial, stage teacher' in told[0] and 'ce (unfinished, stage teacher)' in told[0]
    assert 'so far, 2 trials, stages student, teacher' in told[1]


def test_runs_of_the_same_name_are_told_apart_by_their_directories(runs, tmp_path):
    places = tmp_path / 'a' / 'run', tmp_path / 'b' / 'run', tmp_path / 'c'
    for place in places:
        shutil.copytree(runs[1], place, ignore=shutil.ignore_patterns('checkpoints'))
    found = [[run.name for run in named_apart([read_run(place) for place in of])] for of in (places[1:], places[:2])]
    assert found == [['ce (run)', 'ce (c)'], [f'ce ({tmp_path}/a/run)', f'ce ({tmp_path}/b/run)']]


def test_one_trial_has_the_interval_of_its_test_images(runs, tmp_path):
    workdir = tmp_path / 'one'
    shutil.copytree(runs[1], workdir, ignore=shutil.ignore_patterns('checkpoints'))
    summary = read_json(workdir / 'summary.json')
    summary['trials'] = [{**summary['trials'][0], 'test_accuracy': 75.0}]
    summary['test_images'] = 100
    (workdir / 'summary.json').write_text(json.dumps(summary))
    text = text_of(report(workdir))
    assert '75.00 % test accuracy of one trial; 95 % interval for 100 test images: 65.70 to 82.45' in text  # Wilson
    assert 'Needs the trained network and its data' in text and 'no checkpoint of seed 0' in text


def test_a_given_teacher_is_no_point_of_the_curve(runs, tmp_path):
    """And the axis begins with the student's first epoch."""
    shutil.copytree(runs[1], tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns('checkpoints'))
    of_epochs = lambda html: {tuple(json.loads(unescape(values))['epochs'])
                              for values in re.findall('data-values="([^"]*)"', html)}
    lines = (tmp_path / 'metrics.jsonl').read_text()
    given = {'seed': 0, 'stage': 'teacher', 'epoch': 0, 'given': 'runs/t', 'test_accuracy': 12.0, 'test_nll': 2.0}
    (tmp_path / 'metrics.jsonl').write_text(json.dumps(given) + '\n' + lines)
    html = report(tmp_path)
    assert of_epochs(html) == {(1, 2, 3)} and 'teacher given, ce to epoch 3.' in text_of(html)


def test_a_run_on_images_of_another_checksum_is_named(runs, tmp_path):
    elsewhere = tmp_path / 'elsewhere'
    shutil.copytree(runs[1], elsewhere, ignore=shutil.ignore_patterns('checkpoints'))
    assert 'Not subtracted' not in text_of(report(runs[0], [elsewhere]))
    summary = json.loads((elsewhere / 'summary.json').read_text())
    (elsewhere / 'summary.json').write_text(json.dumps({**summary, 'data_checksum': 'another'}))
    assert 'Not subtracted, as the data are others: ce.' in text_of(report(runs[0], [elsewhere]))


@pytest.mark.parametrize('field', ['limit', 'train_skip'])
def test_runs_on_other_data_are_named(field, runs, tmp_path):
    """Below the differences to the others, or in their place; seeds are told by their numbers."""
    elsewhere = tmp_path / 'elsewhere'
    shutil.copytree(runs[1], elsewhere, ignore=shutil.ignore_patterns('checkpoints'))
    config = json.loads((elsewhere / 'config.json').read_text())
    config['data'][field] = 7
    (elsewhere / 'config.json').write_text(json.dumps(config))
    named = f'Not subtracted, as the data are others: ce (data.{field}=7).'
    assert 'Not subtracted, as the data are others: ce.' in (alone := text_of(report(runs[0], [elsewhere])))
    assert 'Differences' not in alone and 'Not subtracted' not in text_of(report(runs[0], runs[1:]))
    both = text_of(report(runs[0], [runs[1], elsewhere]))
    assert named in both.partition('Differences on the same seeds')[2] and "detectable seeds' numbers" in both


def test_figure2_has_a_picture_of_each_mean_of_data_that_has_moved(runs, tmp_path, monkeypatch):
    """Where --data says that it is; of as many images as are told."""
    workdir, moved, drawn = tmp_path / 'run', tmp_path / 'moved', []
    shutil.copytree(runs[0], workdir)
    config = read_json(workdir / 'config.json')
    shutil.copytree(config['data']['dir'], moved)
    config['data']['dir'] = str(tmp_path / 'gone')
    write_json(workdir / 'config.json', config)
    monkeypatch.setattr(gallery, 'MOST_IMAGES', 20)
    monkeypatch.setattr(gallery, 'matrix_figure', lambda matrices, *more: drawn.append(matrices) or matrix_figure(
        matrices, *more))
    monkeypatch.setattr(gallery, 'class_cosines', lambda *args, **more: {**class_cosines(*args, **more),
                                                                         'zero_maps': 0.125})
    main([f'--workdir={workdir}', f'--data={moved}'])
    assert 'over the first 20 test images, seed 0' in text_of((workdir / 'report.html').read_text())
    assert '12.5 % of the maps are zero' in text_of((workdir / 'report.html').read_text())
    found = class_cosines(load(workdir, data_dir=moved), most=20)
    assert [*map(list, drawn)] == [['by true class'], ['all images']]
    for matrices, kind, rows in zip(drawn, ('by_true_class', 'all_images'), ('true class', 'class')):
        ((matrix, said),) = matrices.values()
        np.testing.assert_allclose(matrix, found[kind], atol=1e-6)
        assert said == rows
    assert not np.allclose(found['by_true_class'], found['all_images'], equal_nan=True)


@pytest.mark.parametrize('config, message', [
    ('{', 'is damaged'), ('[]', 'is damaged .a list in the place of a dict'), ('{}', 'is no config of a run'),
    ('{"epochs": 3, "method": {"name": "ce"}}', 'it has no data.name')])
def test_a_damaged_config(config, message, tmp_path):
    (tmp_path / 'config.json').write_text(config)
    with pytest.raises(InputError, match=message):
        report(tmp_path)


def test_a_method_of_the_users_own(runs, tmp_path):
    """What needs ikd's recipe is not there, and said; everything else is."""
    workdir = tmp_path / 'own'
    shutil.copytree(runs[1], workdir)
    config = json.loads((workdir / 'config.json').read_text())
    config['method']['name'] = 'averaged'
    config['own'] = {'further': 1}
    (workdir / 'config.json').write_text(json.dumps(config))
    text = text_of(report(workdir))
    assert 'by the method averaged' in text and 'ce to epoch 3' in text and 'own.further 1' in text
    assert "the method 'averaged', which is not known here" in text and 'No config of ikd fits' in text
