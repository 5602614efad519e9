"""Files that a command is given: what is wrong with one is said in a line, with the place."""
import pytest

from ikd import reproduce
from ikd.errors import InputError
from ikd.modules import module_of

MISTAKES = [('value = [1, 2', "'[' was never closed"), ('value = epoch', "name 'epoch' is not defined"),
            ('import nowhere_at_all', "No module named 'nowhere_at_all'"), ('value = {}["gamma"]', 'KeyError gamma'),
            ('value = "a".b', "'str' object has no attribute 'b'"), ('value = int("x")', 'invalid literal'),
            ('value = len(3)', "object of type 'int' has no len()"), ('raise ValueError', 'ValueError'),
            ('open("nowhere.txt")', "[Errno 2] No such file or directory: 'nowhere.txt'")]


@pytest.mark.parametrize('line, said', MISTAKES)
def test_mistakes_are_said_with_their_line(line, said, tmp_path):
    """In the file itself, and in the function that makes a grid."""
    file = tmp_path / 'mine.py'
    for start, read in ('first = 1\n', module_of), ('def grid(argument):\n    ', reproduce.load):
        file.write_text(f'{start}{line}\n')
        with pytest.raises(InputError) as error:
            read(str(file))
        assert f'{error.value}'.startswith(f'{file}, line 2: {said}') and '\n' not in f'{error.value}'


@pytest.mark.parametrize('name', ['config.py', 'decoder.py'])
def test_a_file_with_the_name_of_a_librarys(name, tmp_path):
    """The line is that of the file, not that of ikd's config.py or of json's decoder.py."""
    file = tmp_path / name
    file.write_text('import json\n\njson.loads("x")\n')
    with pytest.raises(InputError) as error:
        module_of(str(file))
    assert f'{error.value}'.startswith(f'{file}, line 3: Expecting value')
    file.write_text('from ikd.config import flatten\nflatten(3)\n')
    with pytest.raises(InputError) as error:
        module_of(str(file))
    assert f'{error.value}'.startswith(f"{file}, line 2: 'int' object has no attribute")


@pytest.mark.parametrize('line, said', MISTAKES[:2])
def test_a_mistake_in_what_the_file_imports(line, said, tmp_path, monkeypatch):
    """Its own place is named, not that of the import."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'helper_of_mine.py').write_text(f'first = 1\nsecond = 2\n{line}\n')
    (tmp_path / 'mine.py').write_text('import helper_of_mine\n')
    with pytest.raises(InputError) as error:
        module_of(f'{tmp_path}/mine.py')
    assert f'{error.value}'.startswith(f'{tmp_path}/helper_of_mine.py, line 3: {said}')


def test_a_network_under_new_annotations(tmp_path):
    """Dataclasses look the module up by its name, which is no library's."""
    file = tmp_path / 'json.py'
    file.write_text('from __future__ import annotations\nimport flax.linen as nn\n\n'
                    'class Mine(nn.Module):\n    width: int = 3\n')
    assert module_of(str(file)).Mine().width == 3
    import json
    assert json.loads('3') == 3


def test_what_is_refused_on_purpose_stays_as_it_is(tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text('from ikd.errors import InputError\nraise InputError("give another")\n')
    with pytest.raises(InputError, match='^give another$'):
        module_of(str(file))
    file.write_text('1 / 0\n')  # nothing that a file usually has wrong: its traceback is wanted
    with pytest.raises(ZeroDivisionError):
        module_of(str(file))


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / 'mine.py').write_bytes(b'a = 1\0\n')
    with pytest.raises(InputError, match='mine.py.*null bytes'):
        module_of(f'{tmp_path}/mine.py')


def test_what_is_no_python_file(tmp_path):
    with pytest.raises(InputError, match="there is no file nowhere.py; ikd's own are in configs/"):
        module_of('nowhere.py')
    (tmp_path / 'mine.txt').write_text('')
    with pytest.raises(InputError, match='mine.txt is no Python file'):
        module_of(f'{tmp_path}/mine.txt')


@pytest.mark.parametrize('made', ['', 'return 3', "return Grid('mine', 'Mine', ())"])
def test_what_is_no_grid(made, tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(f'from ikd.grid import Grid\n\ndef grid(argument):\n    "A grid."\n    {made}\n')
    with pytest.raises(InputError, match=r'mine.py: grid\(argument\) must return a Grid of ikd.grid, with cells'):
        reproduce.load(str(file))
