"""Files are replaced whole or not at all; writers do not meet, and what a kill leaves goes."""
import os
import socket
import subprocess
import warnings

import pytest
from matplotlib.figure import Figure

from ikd import compare
from ikd.errors import InputError, RunError, Unwritable
from ikd.files import read_json, replace_text, replacing, temporary, write_json
from ikd.pictures.drawn import any_script, save_figure, tell_of_boxes
from ikd.report.runs import read_run
from ikd.run_files import open_folder, read_summary
from ikd.trained import load


def test_a_name_in_any_script_is_drawn_and_missing_letters_are_told_of_once(tmp_path, capsys):
    tell_of_boxes.cache_clear()
    for name in 'dog', '\u72ac', '\u72ac\u9ce5':
        figure = Figure()
        figure.suptitle(name)
        save_figure(figure, tmp_path / f'{name}.png')
        assert (tmp_path / f'{name}.png').stat().st_size
        assert capsys.readouterr().err.count('font.family in your matplotlibrc') == (name == '\u72ac')


def test_another_warning_of_a_picture_is_not_lost():
    with pytest.warns(UserWarning, match='of mine'), any_script():
        warnings.warn('of mine', stacklevel=1)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_folder_that_is_there_and_read_only(tmp_path):
    """Shows before any work is done."""
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r'cannot write to .* \(Permission denied\); choose another --out'):
        open_folder(tmp_path)


def test_files_of_one_stem_and_of_two_writers_do_not_meet(tmp_path, monkeypatch):
    """A table's .md, .csv and .json are written by the commands of several machines at once."""
    places = {temporary(tmp_path / f'table3{suffix}') for suffix in ('.md', '.csv', '.json')}
    monkeypatch.setattr(os, 'getpid', lambda: 7)
    with replacing(tmp_path / 'table3.md') as first:
        first.write_text('first')
        monkeypatch.setattr(os, 'getpid', lambda: 8)
        replace_text(tmp_path / 'table3.md', 'second')
        assert (tmp_path / 'table3.md').read_text() == 'second' and first not in places and len(places) == 3
    assert (tmp_path / 'table3.md').read_text() == 'first' and len([*tmp_path.iterdir()]) == 1


def test_what_a_killed_process_has_left_goes_when_the_file_is_written(tmp_path):
    """And not what a process that lives is writing, or what is of another file or machine."""
    with subprocess.Popen(['true']) as gone:
        gone.wait()
    mine = temporary(tmp_path / 'a.json')
    left, *others = (tmp_path / mine.name.replace(*change) for change in (
        (str(os.getpid()), str(gone.pid)), (str(os.getpid()), '1'), ('a.json', 'ba.json'),
        (socket.gethostname(), 'elsewhere')))
    for path in left, *others:
        path.write_text('half')
    write_json(tmp_path / 'a.json', [1])
    assert {*tmp_path.iterdir()} == {tmp_path / 'a.json', *others}


def test_whole_or_not_at_all(tmp_path):
    """An error while the new contents are written leaves the old ones."""
    path = tmp_path / 'value.json'
    write_json(path, [1])
    with pytest.raises(ZeroDivisionError):
        with replacing(path) as new:
            new.write_text('[2')
            1 / 0
    assert read_json(path, list) == [1]
    write_json(path, [3])
    assert read_json(path, list) == [3] and [*tmp_path.iterdir()] == [path]
    with pytest.raises(Unwritable, match=r'cannot write .*/nowhere/value.json \(No such file or directory\)'):
        write_json(tmp_path / 'nowhere' / 'value.json', [])
    save_figure(Figure(), tmp_path / 'figure.png')
    assert (tmp_path / 'figure.png').read_bytes().startswith(b'\x89PNG')


def test_what_cannot_be_read_is_not_called_damaged(tmp_path):
    """A folder here, as the rights of a file mean nothing to root: nobody is told to remove it."""
    with pytest.raises(RunError, match=r'cannot be read \(Is a directory\)$'):
        read_json(tmp_path)


TRIALS = '{"trials": [{"seed": 0, "test_accuracy": 9, "test_nll": %s, "test_ece": 0.1, "train_seconds": 1}]}'


@pytest.mark.parametrize('text', ['[]', '{}', '{"trials": 3}', '{"trials": []}', '{"trials": [1]}',
                                  '{"trials": [{"seed": 0}]}', TRIALS % '"low"', TRIALS % '0.1'])
def test_what_is_no_summary(text, tmp_path):
    """In one line, whoever wants to know of the run."""
    (tmp_path / 'summary.json').write_text(text)
    (tmp_path / 'config.json').write_text('{}')
    for read in read_summary, load, read_run, lambda run: compare.main([run]):
        with pytest.raises(RunError, match='summary.json is damaged .*remove it') as error:
            read(str(tmp_path))
        assert '\n' not in str(error.value)
