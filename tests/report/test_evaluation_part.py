"""What an evaluation says in a report."""
import html
import json
import re
import shlex

import pytest

from ikd.errors import InputError
from ikd.report.evaluation_part import evaluation
from ikd.report.runs import Run

FOUND = {
    'run': {'seed': 3, 'images': 200, 'test_images': 1000, 'robustness_images': 500, 'changed_options': [],
            'confused': None},
    'network': {'accuracy': 97.0, 'nll': 0.1234, 'ece': 0.02, 'robustness_accuracy': 96.5,
                'class_names': ['cat', '<b>', 'dog'], 'confusion': [[8, 2, 0], [5, 9, 0], [0, 1, 7]],
                'adversarial': [{'attack': 'fgsm', 'epsilon': 8, 'accuracy': 40.0, 'images': 500},
                                {'attack': 'pgd', 'epsilon': 8, 'accuracy': 10.0, 'images': 500},
                                {'attack': 'fgsm', 'epsilon': 0.5, 'accuracy': 90.0, 'images': 500},
                                {'attack': 'pgd', 'epsilon': 0.5, 'accuracy': 85.0, 'images': 500}],
                'corruptions': {'gaussian_noise': [90.0, 80.0, 70.0, 60.0, 50.0]}},
    'explainers': {'grad': {'deletion': {'value': 0.5, 'low': 0.4, 'high': 0.6},
                            'completeness': {'value': 0.25, 'low': None, 'high': None}},
                   'occlusion': {'deletion': {'value': None, 'low': None, 'high': None}}},
    'not_applicable': {'grad_cam': 'it has no <feature> maps'}}


@pytest.fixture
def shown(tmp_path):
    """shown(contents of evaluation.json or None): the part's HTML."""
    def show(found):
        run = Run(tmp_path / "it's mine", 'le', {}, {}, None, [], [], [])
        if found is not None:
            (run.workdir / 'evaluation').mkdir(parents=True)
            (run.workdir / 'evaluation' / 'evaluation.json').write_text(found)
        return evaluation(run)

    return show


def test_everything(shown):
    page = shown(json.dumps(FOUND))
    assert 'The network of seed 3 on 1000 test images: accuracy 97.00 %, NLL 0.123 nats, ECE 0.020.' in page
    assert 'Most often confused: &lt;b&gt; taken for cat (5), cat taken for &lt;b&gt; (2), dog taken for' in page
    assert 'Mean over 200 test images, its 95 % interval. Better: deletion low, completeness low.' in page
    assert '<th>attack</th><th>none</th><th>0.5/255</th><th>8/255</th>' in page
    assert '<td>FGSM</td><td>96.50</td><td>90.00</td><td>40.00</td>' in page
    assert '<td>PGD</td><td>96.50</td><td>85.00</td><td>10.00</td>' in page
    assert '<th>corruption</th><th>none</th><th>1</th>' in page
    assert '<td>gaussian noise</td><td>96.50</td><td>90.00</td>' in page
    assert '<td>50.00</td><td>70.00</td>' in page  # the mean
    assert '<td>grad</td><td>0.500<small>[0.400, 0.600]</small></td><td>0.250</td>' in page
    assert '<td>occlusion</td><td></td><td></td>' in page
    assert 'Not applicable: grad_cam: it has no &lt;feature&gt; maps.' in page


def without(field, inner=None):
    """FOUND without a field, or without one inside that."""
    if inner is None:
        return {name: value for name, value in FOUND.items() if name != field}
    return {**FOUND, field: {name: value for name, value in FOUND[field].items() if name != inner}}


@pytest.mark.parametrize('found', [
    {}, *map(without, FOUND), without('network', 'robustness_accuracy'), without('run', 'seed'),
    {**FOUND, 'network': []}, {**FOUND, 'network': {**FOUND['network'], 'confusion': 3}},
    {**FOUND, 'network': {**FOUND['network'], 'corruptions': {'fog': 'thick'}}}, {**FOUND, 'explainers': {'grad': 3}},
    {**FOUND, 'explainers': {'grad': {'deletion': {'value': 'x', 'low': 1, 'high': 2}}}}])
def test_a_file_of_another_shape_is_a_line(found, shown):
    page = shown(json.dumps(found))
    assert 'evaluation.json lacks what is shown here. <code' in page and page.count('<p') == 1


def test_its_pictures_are_inside(shown, tmp_path):
    folder = tmp_path / "it's mine" / 'evaluation'
    folder.mkdir(parents=True)
    (folder / 'reliability.png').write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(30))
    (folder / 'evaluation.json').write_text(json.dumps(FOUND))
    page = shown(None)
    assert page.count('<img') == 1 and 'how sure the network is' in page


def test_how_to_get_one(shown, tmp_path):
    said = html.unescape(re.sub('<[^>]*>', '', shown(None)))
    assert f'python -m ikd.evaluate {shlex.quote(f"--workdir={tmp_path}/it{chr(39)}s mine")}' in said


@pytest.mark.parametrize('text', ['{', '[]'])
def test_a_damaged_one(text, shown):
    with pytest.raises(InputError, match='evaluation.json is damaged'):
        shown(text)
