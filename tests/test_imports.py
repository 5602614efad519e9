"""How ikd's parts depend on each other."""
import ast
import graphlib
import pathlib
import re
import subprocess
import sys

import pytest

import ikd

ROOT = pathlib.Path(ikd.__file__).parent


def listed():
    """{part of ikd: its line} in the README's list of what is where."""
    lines = (ROOT.parent / 'README.md').read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith('    ikd/main.py '))
    place = {}
    for i, line in enumerate(lines[first:lines.index('', first)]):
        for part in re.findall(r'ikd[/.](\w+)', line):
            place.setdefault(part, i)
    return place


def test_imports_point_downwards():
    """Between the modules and folders of ikd, as the README lists them; those inside functions count, too."""
    needs = {}
    for path in ROOT.rglob('*.py'):
        part = path.relative_to(ROOT).parts[0].removesuffix('.py')
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.split('.')[0] == 'ikd':
                inner = node.module.split('.')[1:2]
                needs.setdefault(part, set()).update(inner or (alias.name for alias in node.names))
    needs = {part: others - {part} for part, others in needs.items() if not part.startswith('__')}
    graphlib.TopologicalSorter(needs).prepare()  # no cycle, also among those that the list leaves out
    place = listed()
    names = 'main', 'report', 'trials', 'recipes', 'objectives', 'explainers', 'models'
    assert [*names] == sorted(names, key=place.get)
    assert not [(part, other) for part, others in needs.items() for other in others
                if part in place and other in place and place[other] < place[part]]


@pytest.mark.parametrize('command', ['compare', 'explain', 'main', 'report.__main__'])
def test_flags_are_read_before_what_takes_long_to_load(command):
    """So that a typing error shows at once."""
    loaded = f'import sys, ikd.{command}; print(*{{"jax", "matplotlib", "orbax"}} & {{*sys.modules}})'
    done = subprocess.run([sys.executable, '-c', loaded], cwd=ROOT.parent, capture_output=True, text=True, check=True)
    assert not done.stdout.split()
