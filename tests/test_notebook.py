"""The notebook runs from top to bottom, and shows what it showed when its outputs were kept."""
import ast
import base64
import json
import pathlib

import pytest

from ikd.explainers import EXPLAINERS
from tests import notebook as runner

PATH = pathlib.Path('launch/colab/explore.ipynb')


@pytest.fixture
def notebook():
    return json.loads(PATH.read_text())


def codes(notebook):
    return [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']


def test_its_outputs_are_those_of_one_run_and_small(notebook):
    """Every cell after the installation shows something; pictures are whole, and 200 kB together."""
    assert notebook['nbformat'] == 4 and 'colab-badge.svg' in ''.join(notebook['cells'][0]['source'])
    assert [cell['execution_count'] for cell in codes(notebook)] == [*range(1, len(codes(notebook)) + 1)]
    assert not codes(notebook)[0]['outputs'] and all(cell['outputs'] for cell in codes(notebook)[1:])
    outputs = [output for cell in codes(notebook) for output in cell['outputs']]
    pictures = [base64.b64decode(o['data']['image/png']) for o in outputs if 'image/png' in o.get('data', {})]
    assert len(pictures) == 4 and all(png.startswith(b'\x89PNG') and b'IEND' in png[-12:] for png in pictures)
    assert sum(map(len, pictures)) < 200_000
    assert all(output['output_type'] != 'error' for output in outputs)


def test_its_code_is_python_but_for_one_line(notebook):
    for cell in codes(notebook):
        ast.parse(runner.code_of(cell))
    for line in '!pip install ikd', '%pip install ikd', '  %cd runs':
        with pytest.raises(ValueError, match='only Jupyter'):
            runner.code_of({'source': ['x = 1\n', line]})


def test_an_explainer_takes_five_lines(notebook):
    (code,) = (runner.code_of(cell) for cell in codes(notebook) if 'def strength' in ''.join(cell['source']))
    assert len([line for line in code.splitlines() if line.strip()]) == 5


def test_the_runner_keeps_what_is_printed_and_the_last_value():
    cells = [{'cell_type': 'code', 'source': source.splitlines(keepends=True)} for source in (
        "%matplotlib inline\nx = 2\nprint('a')\nx + 1", 'y = x', 'from matplotlib.figure import Figure\nFigure()')]
    outputs, names = runner.run({'cells': [{'cell_type': 'markdown', 'source': ['x']}, *cells]})
    assert names['y'] == 2 and outputs[1] == []
    printed, value = outputs[0]
    assert printed['text'] == ['a\n'] and value['data'] == {'text/plain': ['3']}
    assert base64.b64decode(outputs[2][0]['data']['image/png']).startswith(b'\x89PNG')
    with pytest.raises(ZeroDivisionError):
        runner.run({'cells': [{'cell_type': 'code', 'source': ['1 / 0']}]})


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(notebook, tmp_path, monkeypatch, request):
    """In a new directory; the digits are learnt, and the pictures and lists are there that a reader sees."""
    monkeypatch.chdir(tmp_path)
    request.addfinalizer(lambda: EXPLAINERS.pop('strength', None))
    outputs, names = runner.run(notebook)
    assert names['summary']['test_accuracy_mean'] >= 97
    for found, cell in zip(outputs, codes(notebook)):
        assert [output['output_type'] for output in found] == [output['output_type'] for output in cell['outputs']]
    assert (tmp_path / 'runs' / 'explore' / 'summary.json').is_file()
