"""ikd as a library, as one command, and as a package."""
import ast
import importlib
import inspect
import os
import pathlib
import subprocess
import sys
import tomllib
import typing
import zipfile
from importlib.util import find_spec

import jax
import numpy as np
import pytest

import ikd
from ikd import __main__ as command
from ikd import experiment, trained
from ikd.errors import InputError, Stopped
from ikd.explainers import explain, targets
from ikd.files import read_json
from ikd.journal import read_records
from tests.small_run import make_config

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())


def python(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **{'cwd': ROOT, **options})


def test_import_is_light_and_everything_is_there():
    code = ("import sys, ikd; assert not {'jax', 'numpy', 'orbax'} & {*sys.modules}; "
            'print([name for name in ikd.__all__ if not hasattr(ikd, name)], {*ikd.__all__} <= {*dir(ikd)})')
    assert python('-W', 'error', '-c', code).stdout == '[] True\n'
    assert ikd.load is trained.load and ikd.targets is targets and ikd.explainers.explain is explain
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ikd.nothing


def test_configs_flags_and_tables_need_no_jax():
    code = "import sys, ikd.config, ikd.main, ikd.compare; print({'jax', 'flax', 'orbax'} & {*sys.modules})"
    assert python('-c', code).stdout == 'set()\n'


def test_training_does_not_wait_for_what_it_can_do_without():
    """Nor is PyTorch, where it is installed, lost to whoever wants it afterwards."""
    code = ("import sys, ikd.experiment; print({'torch', 'tensorflow', 'sklearn'} & {*sys.modules}); "
            "from importlib.util import find_spec; print('torch' in sys.modules, find_spec('torch') is not None)")
    assert python('-c', code).stdout == f"set()\nFalse {find_spec('torch') is not None}\n"


@pytest.mark.parametrize('name', ['train', 'load', 'targets', 'explainers.explain'])
def test_functions_say_what_they_take_and_give(name):
    function = ikd
    for part in name.split('.'):
        function = getattr(function, part)
    hints = typing.get_type_hints(function)
    assert {*inspect.signature(function).parameters, 'return'} == {*hints}
    text = inspect.getdoc(function)
    assert 'InputError' in text and len(text.splitlines()) > 5
    assert (ROOT / 'ikd' / 'py.typed').is_file()


@pytest.mark.parametrize('function, names', [(explain, ('images', 'classes')), (targets, ('maps', 'labels'))])
def test_arrays_of_numpy_are_what_signatures_say(function, names):
    """As the README gives them; type checkers read it, as ikd is py.typed."""
    hints = typing.get_type_hints(function)
    assert all({np.ndarray, jax.Array} <= {*typing.get_args(hints[name])} for name in names)


def test_train_is_the_run_of_the_command_line(monkeypatch):
    calls = []
    monkeypatch.setattr(experiment, 'run', lambda *arguments: calls.append(arguments) or {'a': 1})
    config = ikd.config.default()
    assert ikd.train(config, 'somewhere') == {'a': 1} and calls == [(config, 'somewhere')]


def test_epochs_are_told_and_a_run_stops_when_asked(tmp_path, without_pictures):
    """What is told is what is written; the same call goes on, tells the rest, and nothing when all is done."""
    config, told = make_config(trials=2), []
    with pytest.raises(Stopped, match='stopped after epoch 2 of 3'):
        ikd.train(config, tmp_path / 'run', on_epoch=told.append, stop=lambda: len(told) == 2)
    assert told == read_records(tmp_path / 'run') and [record['epoch'] for record in told] == [1, 2]
    ikd.train(config, tmp_path / 'run', on_epoch=told.append)
    assert told == read_records(tmp_path / 'run')
    assert [(record['seed'], record['epoch']) for record in told] == [(seed, epoch) for seed in (0, 1)
                                                                      for epoch in (1, 2, 3)]
    ikd.train(config, tmp_path / 'run', on_epoch=told.append)
    assert len(told) == 6
    for wrong in {'on_epoch': 'x'}, {'stop': True}:
        with pytest.raises(InputError, match='; give a function'):
            ikd.train(config, tmp_path / 'other', **wrong)


def test_inputs_are_normalised_as_in_training():
    dataset = ikd.data.Dataset(np.zeros((0, 1, 1, 2)), *[None] * 4, mean=(0.5, 0.0), std=(0.25, 1.0))
    run = trained.Trained(None, dataset, None, None, 0)
    found = run.inputs(np.array([[[[255, 255]]], [[[0, 51]]]], np.uint8))
    np.testing.assert_allclose(np.asarray(found).squeeze(), [[2, 1], [-2, 0.2]], rtol=1e-6)


@pytest.mark.parametrize('name', command.MODULES)
def test_every_command_has_examples(name):
    """The text that its --help shows has at least two command lines."""
    path = ROOT / command.MODULES[name].replace('.', '/')
    file = path / '__main__.py' if path.is_dir() else path.with_suffix('.py')
    assert ast.get_docstring(ast.parse(file.read_text())).count(f'python -m {command.MODULES[name]}') >= 2


@pytest.mark.parametrize('name', ['explain', *(pytest.param(name, marks=pytest.mark.slow) for name in command.MODULES
                                               if name != 'explain')])
def test_help_shows_them(name):
    result = python('-m', 'ikd', name, '--help')
    assert result.returncode in (0, 1), result.stderr  # absl's is 1
    assert result.stdout.count(f'python -m {command.MODULES[name]}') >= 2, result.stdout


def test_the_command_by_itself_lists_them():
    for arguments in [], ['--help']:
        result = python('-m', 'ikd', *arguments)
        assert result.returncode == 0
        for name in command.MODULES:
            assert f'\n  ikd {name} ' in result.stdout
    assert python('-m', 'ikd', '--version').stdout == f'ikd {ikd.__version__}\n'
    result = python('-m', 'ikd', 'trian')
    assert result.returncode == 2 and result.stderr.startswith("ikd: no command 'trian'; there are: train, ")
    assert result.stderr.count('\n') == 1 and not result.stdout


def test_exit_codes_and_flags_go_through(tmp_path):
    result = python('-m', 'ikd', 'explain', f'--workdir={tmp_path}')
    assert result.returncode == 2 and 'not the directory of a finished run' in result.stderr


@pytest.mark.parametrize('name', ['reproduce', 'evaluate', 'bench'])
def test_ctrl_c_while_a_command_is_loaded_is_a_line(name, tmp_path):
    """These load JAX before they read their flags; here it comes while they do."""
    (tmp_path / 'jax.py').write_text('raise KeyboardInterrupt')  # as Python does, unless it is told to ignore SIGINT
    code = (f'import sys\nsys.path.insert(0, {str(tmp_path)!r})\nsys.argv = ["ikd", {name!r}]\n'
            'from ikd.__main__ import main\nmain()')
    result = python('-c', code)
    assert (result.returncode, result.stdout, result.stderr) == (130, '', 'ikd: stopped\n')


@pytest.mark.parametrize('name, field', [('explain', 'out'), ('evaluate', 'data'), ('reproduce', 'results')])
def test_home_is_known(name, field, monkeypatch):
    """Which no shell puts in after `--workdir=`."""
    monkeypatch.setenv('HOME', '/at/home')
    arguments = ['--workdir=~/runs/a', f'--{field}=~/there'] + ['--config=x.py'] * (name == 'reproduce')
    options = importlib.import_module(f'ikd.{name}').parse(arguments)
    assert (options.workdir, getattr(options, field)) == ('/at/home/runs/a', '/at/home/there')


def test_own_configs_are_found_where_there_are_none(tmp_path, monkeypatch):
    """The file of ikd, unless one of that name is here."""
    own = f'{ROOT}/configs/digits.py'
    arguments = ['--config=configs/digits.py:ce', '--config', 'configs/digits.py', '--config.epochs=2',
                 '--config=x.py', '--out=configs/digits.py', '--config=configs/nowhere.py']
    assert command.with_own_configs(arguments) == arguments  # the tests run in the repository
    monkeypatch.chdir(tmp_path)
    assert command.with_own_configs(arguments) == [f'--config={own}:ce', '--config', own, *arguments[3:]]
    (tmp_path / 'configs').mkdir()
    (tmp_path / 'configs' / 'digits.py').write_text('')
    assert command.with_own_configs(arguments) == arguments


def test_the_package_has_every_folder_of_code():
    folders = {path.parent for top in ('ikd', 'configs') for path in (ROOT / top).rglob('*.py')}
    named = {'.'.join(folder.relative_to(ROOT).parts).replace('configs', 'ikd.share.configs') for folder in folders}
    assert named == {*PROJECT['tool']['setuptools']['packages']}
    assert PROJECT['tool']['setuptools']['dynamic'] == {'dependencies': {'file': ['requirements.txt']},
                                                        'version': {'attr': 'ikd.__version__'}}
    assert PROJECT['project']['dynamic'] == ['dependencies', 'version']


@pytest.mark.slow
def test_a_wheel_by_itself(tmp_path):
    """Built by the setuptools that is here, without a network: all files; it trains and explains from elsewhere."""
    pytest.importorskip('setuptools', '77')
    for name in subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=ROOT,
                               capture_output=True, text=True, check=True).stdout.split('\0'):
        if name.startswith(('ikd/', 'configs/')) or name in ('pyproject.toml', 'requirements.txt', 'README.md'):
            (tmp_path / 'source' / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / 'source' / name).write_bytes((ROOT / name).read_bytes())
    built = python('-m', 'pip', 'wheel', '.', '--no-deps', '--no-build-isolation', '-w', tmp_path,
                   cwd=tmp_path / 'source')
    assert built.returncode == 0, built.stderr
    (path,) = tmp_path.glob('*.whl')
    with zipfile.ZipFile(path) as wheel:
        files = {name for name in wheel.namelist() if '.dist-info/' not in name}
        (metadata,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith('METADATA'))
        wheel.extractall(tmp_path / 'installed')
    there = {f'{path.relative_to(ROOT)}' for top in ('ikd', 'configs') for path in (ROOT / top).rglob('*.py')}
    assert f'Version: {ikd.__version__}' in metadata.splitlines()
    assert files == {'ikd/py.typed', *(f'ikd/share/{name}' if name.startswith('configs/') else name
                                       for name in there)}
    wanted = [line.partition('#')[0].strip() for line in (ROOT / 'requirements.txt').read_text().splitlines()]
    names = lambda lines: sorted(line.partition('>')[0].partition('<')[0].strip() for line in lines if line)
    assert names(line.removeprefix('Requires-Dist: ') for line in metadata.splitlines()
                 if line.startswith('Requires-Dist: ')) == names(wanted)
    (tmp_path / 'elsewhere').mkdir()
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path / 'installed')}
    ran = python('-m', 'ikd', 'train', '--config=configs/digits.py:ce,smoke', '--config.model.name=mlp',
                 '--workdir=run', cwd=tmp_path / 'elsewhere', env=environment)
    assert ran.returncode == 0, ran.stderr
    assert read_json(tmp_path / 'elsewhere' / 'run' / 'summary.json')['versions'].get('ikd') == ikd.__version__
    seen = python('-m', 'ikd', 'explain', '--workdir=run', cwd=tmp_path / 'elsewhere', env=environment)
    assert seen.returncode == 0 and '10 pictures' in seen.stdout, seen.stderr
    assert len([*(tmp_path / 'elsewhere' / 'run' / 'explained').glob('*.png')]) == 10
