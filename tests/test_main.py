"""The command line, as a user meets it: in a process of its own."""
import json
import os
import pathlib
import pty
import subprocess
import sys
import termios
from types import SimpleNamespace

import pytest

from ikd import main
from ikd.errors import Diverged, InputError, Stopped, Unwritable, ending_in_a_line

ROOT = pathlib.Path(__file__).parents[1]
DIGITS = '--config=configs/le_digits.py:smoke'


def command(*arguments):
    # The flag library loads config files in a way that Python 3.11 deprecates.
    return [sys.executable, '-W', 'error', '-W', 'ignore:the load_module() method', '-m', 'ikd.main', *arguments]


def ikd(*arguments, **options):
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, **options)


def assert_one_line(result, *parts):
    """Exit code 2, one line on stderr that says these parts, nothing on stdout."""
    assert result.returncode == 2, result.stderr
    assert result.stderr.count('\n') == 1 and result.stderr.startswith('ikd: ') and not result.stdout
    for part in parts:
        assert part in result.stderr


@pytest.mark.parametrize('arguments, parts', [
    ([], ['--config=configs/le_digits.py']),
    (['--config=configs/nowhere.py'], ['configs/nowhere.py']),
    (['--config=configs/tables/table3.py:smoke'], [
        'a grid', 'python -m ikd.reproduce --config=configs/tables/table3.py:smoke --workdir=DIR']),
    (['--config', 'configs/common.py'], ['configs/common.py has no function get_config']),
    (['--config=configs/le_digits.py:smok'], ["unknown argument 'smok'", 'smoke']),
    ([DIGITS, '--config.method.alfa=1'], ['config.method.alfa', 'config.method.alpha?']),
    ([DIGITS, '--config.epochs=2.5'], ['epochs', '2.5']),
    ([DIGITS, '--config.epochs=None'], ['epochs', 'None']),
    ([DIGITS, '--confg.epochs=2'], ['no flag --confg.epochs; did you mean --config.epochs']),
    ([DIGITS, '--data=x'], ['no flag --data; did you mean --config.data.dir?']),
    ([DIGITS, '--wokdir=x'], ["'wokdir'", 'Did you mean: workdir']),
    ([DIGITS, 'epochs=2'], ['epochs=2', '--name=value']),
    (['--config.epochs=2', DIGITS], ['--config']),
    ([DIGITS, '--config.method.name=lee'], ["unknown method.name 'lee'", 'ce, dropout, ']),
    ([DIGITS, '--config.data.name=imagenot', '--config.data.dir=.'], ['imagenot', 'mnist']),
    ([DIGITS, '--config.data.name=mnist', '--config.data.dir=nowhere'], ['nowhere']),
    ([DIGITS, '--config.model.name=mlp', '--config.method.explainer=grad_cam'], ['grad_cam', 'mlp']),
    ([DIGITS, '--config.method.tap=group9'], ['group9', 'group3']),
    ([DIGITS, '--config.batch_size=500'], ['batch_size 500', '256 training images']),
    ([DIGITS, '--config.data.limit=None', '--config.batch_size=1500'], ['batch_size 1500', '1437 training images']),
])
def test_bad_input_is_one_line_and_exit_code_2(arguments, parts, tmp_path):
    workdir = tmp_path / 'run'
    assert_one_line(ikd(*arguments, f'--workdir={workdir}'), *parts)
    assert not workdir.exists()


@pytest.mark.parametrize('arguments, environment, parts', [
    ((), {'JAX_PLATFORMS': 'nope'}, ["JAX_PLATFORMS=nope cannot be had here (Unable to initialize backend 'nope'",
                                     'leave it out, and JAX takes what there is']),
    (('--config.model.name=cnn2',), {'PYTHONOPTIMIZE': '1'}, ['start python without -O, and without PYTHONOPTIMIZE']),
])
def test_what_the_environment_rules_out(arguments, environment, parts, tmp_path):
    workdir = tmp_path / 'run'
    assert_one_line(ikd(DIGITS, *arguments, f'--workdir={workdir}', env={**os.environ, **environment}), *parts)
    assert not workdir.exists()


def test_fields_of_ones_own_are_known(tmp_path):
    """Those that the file has; and it is the mistyped flag that is blamed."""
    file = tmp_path / 'mine.py'
    file.write_text('from configs import digits\n\n\ndef get_config(argument):\n    config = digits.get_config('
                    'argument)\n    config.own.gamma = 2.0\n    return config\n')
    mine = f'--config={file}:ce,smoke'
    own = '--config.own.gamma=3'
    assert_one_line(ikd(mine, own, '--config.epoch=3'), 'no field config.epoch; did you mean config.epochs?\n')
    typo = ikd(*mine.split('='), own, '--config.own.gama=3')
    assert_one_line(typo, 'no field config.own.gama; did you mean config.own.gamma?')
    assert_one_line(ikd(mine, f'{own}x'), '--config.own.gamma=3x')
    file.write_text('raise AttributeError("a mistake in the file")')
    assert_one_line(ikd(mine, own), 'a mistake in the file')
    assert_one_line(ikd(mine, own, '--config.zzzz=3'), 'no field config.zzzz; the fields are: batch_size, ')


@pytest.mark.parametrize('line, part', [
    ('config.epochs = 2.5', '2.5'), ('config.modle.name = "mlp"', "line 6: 'modle' Did you"),
    ('raise ValueError("why")', 'why'), ('config.epochs = epoch', "name 'epoch' is not defined"),
    ('config.epochs = 3 +', 'invalid syntax')])
def test_a_mistake_in_a_file_is_said_with_its_line(line, part, tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text('from configs import digits\n\n\ndef get_config():\n    config = digits.get_config("ce")\n'
                    f'    {line}\n    return config\n')
    result = ikd(f'--config={file}', f'--workdir={tmp_path}/run')
    assert_one_line(result, f'{file}, line 6: ', part)
    assert 'Traceback' not in result.stderr and len(result.stderr) < 300


def test_a_config_whose_code_opens_what_is_not_there(tmp_path):
    """It is not the config's file that can't be read."""
    file = tmp_path / 'mine.py'
    file.write_text('open("rates.json")\n')
    result = ikd(f'--config={file}')
    assert_one_line(result, f'cannot read what {file} reads', "No such file or directory: 'rates.json'")


def test_an_unwritable_workdir(tmp_path):
    (tmp_path / 'file').write_text('in the way')
    assert_one_line(ikd(DIGITS, f'--workdir={tmp_path}/file/run'), 'cannot write', '--workdir')
    assert (tmp_path / 'file').read_text() == 'in the way'


def test_a_batch_that_devices_cannot_divide(tmp_path):
    environment = {**os.environ, 'XLA_FLAGS': '--xla_force_host_platform_device_count=3'}
    result = ikd(DIGITS, f'--workdir={tmp_path}/run', env=environment)
    assert_one_line(result, 'batch_size 32 cannot be divided over 3 devices', 'config.parallel=trials')


def test_the_whole_way_of_a_run(tmp_path):
    """A default directory named after the config, plain lines without a terminal, and the same summary again."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    results = [subprocess.run(command(f'--config={ROOT}/configs/le_digits.py:smoke'), cwd=tmp_path, text=True,
                              env=environment, capture_output=True) for _ in range(2)]
    for result in results:
        assert result.returncode == 0, result.stderr
    (workdir,) = (tmp_path / 'runs').glob('le_digits-*')
    assert workdir.name.startswith('le_digits-smoke-') and len(workdir.name) == len('le_digits-smoke-01234567')
    summary = json.loads((workdir / 'summary.json').read_text())
    accuracy = f"test accuracy {summary['test_accuracy_mean']:.2f} % after 2 epochs"
    assert accuracy in results[0].stdout and accuracy in results[1].stdout
    assert f'runs/{workdir.name}/' in results[0].stdout
    assert 'introspective 2/2' in results[0].stderr and '\r' not in results[0].stderr
    assert not results[1].stderr
    other = subprocess.run(command(f'--config={ROOT}/configs/le_digits.py:smoke', '--config.method.alpha=0.8'),
                           cwd=tmp_path, text=True, env=environment, capture_output=True)
    assert other.returncode == 0 and len(list((tmp_path / 'runs').glob('le_digits-*'))) == 2
    refused = ikd(DIGITS, '--config.method.alpha=0.7', f'--workdir={workdir}')
    assert_one_line(refused, 'method.alpha (0.9 there, 0.7 now)')


@pytest.mark.slow
def test_a_bar_on_a_terminal(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 140))
    process = subprocess.Popen(command(DIGITS, f'--workdir={tmp_path}/run'), cwd=ROOT, stderr=theirs,
                               stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b''
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the terminal's way of saying that the other end has closed
        pass
    assert process.wait() == 0
    assert b'100%' in shown and b'16/16' in shown and b'test' in shown and b'\r' in shown


@pytest.mark.parametrize('error, code', [(Diverged('the loss is not a number'), 3), (Stopped('stopped'), 75),
                                         (InputError('no such field'), 2), (Unwritable('cannot write'), 1)])
def test_exit_codes(error, code, monkeypatch, capsys):
    """What a launcher must tell apart: what ends the same way again, what is not done yet."""
    def run(*arguments, **more):
        raise error

    monkeypatch.setattr(main.app, 'run', run)
    monkeypatch.setattr(main, 'EXIT_STOPPED', SimpleNamespace(value=75))
    with pytest.raises(SystemExit) as ended:
        main.cli()
    assert ended.value.code == code and capsys.readouterr().err.startswith(f'ikd: {error}')


@pytest.mark.parametrize('unbuffered', ['', '1'])
@pytest.mark.parametrize('module', ['ikd', 'ikd.main', 'ikd.explain'])
def test_output_that_nobody_reads(module, unbuffered):
    """As through `| head`, which has gone: no traceback, and the exit code of any program there."""
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run([sys.executable, '-m', module, '--help'], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE,
                           env={**os.environ, 'PYTHONUNBUFFERED': unbuffered})
    os.close(writer)
    assert found.stderr == b'' and found.returncode in (141, 0)  # argparse does not mind where nothing is buffered


def test_output_that_has_no_place(monkeypatch):
    """As with `>&-`: what is printed goes nowhere, and that is no error."""
    monkeypatch.setattr(sys, 'stdout', None)
    with ending_in_a_line():
        print('nobody reads this')


def test_help_shows_examples():
    result = ikd('--help')
    assert 'python -m ikd.main --config=configs/le_digits.py' in result.stdout and '--workdir' in result.stdout
    assert result.returncode == 0 and not result.stderr


@pytest.mark.slow
def test_the_digits_job(tmp_path):
    """The first command of the README reaches what it promises. (How long it takes is for the benchmarks.)"""
    quick_code = {**os.environ, 'XLA_FLAGS': ''}
    assert ikd('--config=configs/le_digits.py', f'--workdir={tmp_path}', env=quick_code).returncode == 0
    assert json.loads((tmp_path / 'summary.json').read_text())['test_accuracy_mean'] >= 95


@pytest.mark.slow
def test_compiled_programs_are_kept_for_the_next_process(tmp_path):
    """By default in the user's cache, and not with `off`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith('JAX_')}
    environment['XDG_CACHE_HOME'] = str(tmp_path / 'cache')
    config = ['--config=configs/digits.py:ce,smoke', '--config.model.name=mlp']
    for setting, kept in (['--config.cache_dir=off'], False), ([], True):
        result = ikd(*config, *setting, f'--workdir={tmp_path}/run{kept}', env=environment)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / 'cache' / 'ikd' / 'compiled').exists() == kept
