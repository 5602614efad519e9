"""The command that writes a report: what it is told, says and refuses."""
import shutil

import pytest

from ikd.errors import InputError
from ikd.report.__main__ import cli, main
from ikd.report.runs import read_run
from tests.report.hostile import text_of


def test_other_runs_are_several_words_or_have_commas_between(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr('ikd.report.page.report', lambda workdir, others, *rest: told.append((others, *rest)) or '')
    (tmp_path / 'a,b').mkdir()
    (tmp_path / 'a,b' / 'config.json').touch()
    for words in (['x', 'y'], ['x,,y,'], ['x', '--compare=y'], [f'{tmp_path}/a,b']):
        main([f'--workdir={tmp_path}', '--compare', *words])
    (tmp_path / 'mine.py').touch()
    main([f'--workdir={tmp_path}', f'--config={tmp_path}/mine.py:big', '--data=there'])
    words = [['x', 'y']] * 3 + [[f'{tmp_path}/a,b']]
    assert told == [*((others, None, None) for others in words), ([], 'there', f'{tmp_path}/mine.py:big')]


@pytest.mark.parametrize('arguments, message', [
    (['--workdir=nowhere'], 'nowhere is not the directory of a run; .* config.json'),
    (['--workdir=configs'], 'configs is not the directory of a run'),
    (['--workdir=.', '--compare=' + ','.join('abcdefgh')], '8 runs to compare with; a report has room for 7')])
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        main(arguments)
    assert '\n' not in str(error.value)


def test_the_command(tmp_path, runs, capsys, monkeypatch):
    """Says what it has written; one line and exit code 2 for what it can't do, 1 for what it can't write."""
    def run(workdir):
        monkeypatch.setattr('sys.argv', ['report', f'--workdir={workdir}'])
        cli()

    with pytest.raises(SystemExit, match='2'):
        run(tmp_path)
    told = capsys.readouterr()
    assert told.err.count('\n') == 1 and told.err.startswith(f'ikd: {tmp_path} is not') and not told.out
    workdir = tmp_path / 'run'
    shutil.copytree(runs[1], workdir, ignore=shutil.ignore_patterns('checkpoints'))
    run(workdir)
    assert capsys.readouterr().out.startswith(f'written to {workdir}/report.html (')
    (workdir / 'report.html').unlink()
    (workdir / 'report.html').mkdir()
    with pytest.raises(SystemExit, match='1'):
        run(workdir)
    assert capsys.readouterr().err.startswith(f'ikd: cannot write {workdir}/report.html')


def test_compare_takes_what_a_shell_makes_of_a_star(tmp_path, runs, capsys):
    """`--compare runs/*` names the run itself, and runs/store: both are left out."""
    for run in runs:
        shutil.copytree(run, tmp_path / run.name, ignore=shutil.ignore_patterns('checkpoints'))
    (tmp_path / 'store').mkdir()
    folders = sorted(map(str, tmp_path.iterdir()))
    main([f'--workdir={tmp_path / runs[0].name}', '--compare', *folders, f'{tmp_path / runs[0].name}/'])
    told = capsys.readouterr()
    assert told.err == f'ikd: {tmp_path}/store has no config.json and is left out\n'
    text = text_of((tmp_path / runs[0].name / 'report.html').read_text())
    assert f'Beside it: {read_run(runs[1]).name}.' in text
    with pytest.raises(InputError, match=f'{tmp_path}/gone is not the directory of a run'):
        main([f'--workdir={tmp_path / runs[0].name}', '--compare', f'{tmp_path}/gone'])


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit, match='0'):
        main(['--help'])
    assert 'python -m ikd.report --workdir=RUN --compare=RUN2,RUN3' in capsys.readouterr().out
