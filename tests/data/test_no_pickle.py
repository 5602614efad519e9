"""No code of ikd unpickles, or runs what a file says. What data files do at run time is watched in test_hostile_*."""
import ast
from pathlib import Path

import pytest

FILES = sorted(path for folder in ('ikd', 'configs') for path in Path(folder).rglob('*.py'))
MODULES = {'pickle', '_pickle', 'cloudpickle', 'dill', 'joblib', 'shelve', 'marshal', 'torch', 'pandas', 'yaml'}
BUILTINS = {'eval', 'exec', 'compile', '__import__'}
METHODS = {'read_pickle', 'from_pickle', 'fromfile', 'system', 'popen', 'extract', 'extractall', 'unpack_archive'}


def offences(source, name):
    """What must not be there: (file, word, line) each."""
    found = []
    for node in ast.walk(ast.parse(source)):
        words = []
        if isinstance(node, ast.Import):
            words = [alias.name.partition('.')[0] for alias in node.names if alias.name.partition('.')[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            words = [root for root in [(node.module or '').partition('.')[0]] if root in MODULES]
        elif isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            pickles = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}.get('allow_pickle')
            if function in BUILTINS or function.rpartition('.')[2] in METHODS or pickles not in (None, 'False') or (
                    function in ('np.load', 'numpy.load') and pickles is None):
                words = [function]
        found += [(name, word, node.lineno) for word in words]
    return found


def test_nothing_that_unpickles_or_runs_what_it_reads():
    assert len(FILES) > 60
    assert [offence for path in FILES for offence in offences(path.read_text(), path.as_posix())] == []


@pytest.mark.parametrize('code', [
    'import pickle', 'from pickle import loads', 'import torch.nn', 'import a, dill', 'np.load(f)',
    'numpy.load(f, allow_pickle=True)', 'np.load(f, allow_pickle=anything)', 'np.save(f, x, allow_pickle=True)',
    'eval("1")', 'tar.extractall(d)', 'os.system("ls")', 'np.fromfile(f)'])
def test_the_test_sees_them(code):
    assert offences(code, 'x.py')
    assert not offences('np.load(f, allow_pickle=False); data.load(f); json.load(f)', 'x.py')
