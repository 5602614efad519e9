"""How ikd's parts depend on each other."""
import ast
import graphlib
import pathlib

import ikd

ROOT = pathlib.Path(ikd.__file__).parent


def test_imports_point_one_way():
    """Between the modules and folders of ikd, as README draws them; those inside functions count, too."""
    needs = {}
    for path in ROOT.rglob('*.py'):
        part = path.relative_to(ROOT).parts[0].removesuffix('.py')
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.split('.')[0] == 'ikd':
                inner = node.module.split('.')[1:2]
                needs.setdefault(part, set()).update(inner or (alias.name for alias in node.names))
    order = [*graphlib.TopologicalSorter({part: others - {part} for part, others in needs.items()
                                          if not part.startswith('__')}).static_order()]
    place = order.index
    assert place('explainers') < place('objectives') < place('recipes') < place('trials') < place('report')
