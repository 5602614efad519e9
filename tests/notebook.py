"""Runs a notebook's code cells in one namespace, as Jupyter does, but without it.

`python -m tests.notebook launch/colab/explore.ipynb` runs it in the folder `build/` and renews its outputs.
"""
import ast
import base64
import contextlib
import io
import json
import os
import pathlib
import sys

from matplotlib.figure import Figure
from PIL import Image

COLOURS = 64
MAGIC = ('%matplotlib inline',)  # lines that Jupyter alone understands, and that change nothing here


def code_of(cell):
    """The Python of a code cell; ValueError for a line that only Jupyter understands and that does something."""
    lines = ''.join(cell['source']).splitlines()
    for line in lines:
        if line.lstrip().startswith(('%', '!')) and line not in MAGIC:
            raise ValueError(f'only Jupyter can run {line!r}')
    return '\n'.join('' if line in MAGIC else line for line in lines)


def run(notebook):
    """Run all code cells; their outputs, as the notebook format has them, and the namespace that is left.

    What goes to stderr, the progress of training, is not kept.
    """
    names, outputs = {'__name__': '__main__'}, []
    for number, cell in enumerate(cell for cell in notebook['cells'] if cell['cell_type'] == 'code'):
        body = ast.parse(code_of(cell), f'cell {number + 1}').body
        last = ast.Expression(body.pop().value) if isinstance(body[-1], ast.Expr) else None
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(ast.Module(body, []), f'cell {number + 1}', 'exec'), names)
            value = eval(compile(last, f'cell {number + 1}', 'eval'), names) if last else None
        text = said.getvalue()
        streams = [{'output_type': 'stream', 'name': 'stdout', 'text': lines_of(text)}] if text else []
        outputs.append(streams + ([shown(value, number + 1)] if value is not None else []))
    return outputs, names


def shown(value, number):
    """What Jupyter shows of the value of a cell's last line: a Figure as PNG, here of few colours, or its repr."""
    if isinstance(value, Figure):
        drawn, buffer = io.BytesIO(), io.BytesIO()
        value.savefig(drawn, format='png', dpi=value.dpi, bbox_inches='tight')
        picture = Image.open(drawn).convert('RGB').quantize(COLOURS, dither=Image.Dither.NONE)
        picture.save(buffer, format='PNG', optimize=True)
        return {'output_type': 'display_data', 'metadata': {},
                'data': {'image/png': base64.b64encode(buffer.getvalue()).decode(), 'text/plain': ['<Figure>']}}
    return {'output_type': 'execute_result', 'execution_count': number, 'metadata': {},
            'data': {'text/plain': lines_of(repr(value))}}


def lines_of(text):
    return text.splitlines(keepends=True)


def renew(path):
    """Run the notebook at `path` and put what its cells show into it."""
    path = pathlib.Path(path).absolute()
    notebook = json.loads(path.read_text())
    pathlib.Path('build').mkdir(exist_ok=True)
    os.chdir('build')
    outputs, _ = run(notebook)
    cells = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    for number, (cell, output) in enumerate(zip(cells, outputs), 1):
        cell.update(outputs=output, execution_count=number)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + '\n')


if __name__ == '__main__':
    renew(sys.argv[1])
