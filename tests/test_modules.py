"""Files that a command is given: what is wrong with one is said in a line, with the place."""
import pytest

from ikd import reproduce
from ikd.errors import InputError
from ikd.modules import module_of

MISTAKES = [('value = [1, 2', "'[' was never closed"), ('value = epoch', "name 'epoch' is not defined"),
            ('import nowhere_at_all', "No module named 'nowhere_at_all'"), ('value = {}["gamma"]', 'gamma'),
            ('value = "a".b', "'str' object has no attribute 'b'"), ('value = int("x")', 'invalid literal'),
            ('value = len(3)', "object of type 'int' has no len()")]


@pytest.mark.parametrize('line, said', MISTAKES)
def test_mistakes_are_said_with_their_line(line, said, tmp_path):
    """In the file itself, and in the function that makes a grid."""
    file = tmp_path / 'mine.py'
    for start, read in ('first = 1\n', module_of), ('def grid(argument):\n    ', reproduce.load):
        file.write_text(f'{start}{line}\n')
        with pytest.raises(InputError) as error:
            read(str(file))
        assert f'{error.value}'.startswith(f'{file}, line 2: {said}') and '\n' not in f'{error.value}'


def test_what_is_refused_on_purpose_stays_as_it_is(tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text('from ikd.errors import InputError\nraise InputError("give another")\n')
    with pytest.raises(InputError, match='^give another$'):
        module_of(str(file))
    file.write_text('1 / 0\n')  # nothing that a file usually has wrong: its traceback is wanted
    with pytest.raises(ZeroDivisionError):
        module_of(str(file))


def test_what_is_no_python_file(tmp_path):
    with pytest.raises(InputError, match="there is no file nowhere.py; ikd's own are in configs/"):
        module_of('nowhere.py')
    (tmp_path / 'mine.txt').write_text('')
    with pytest.raises(InputError, match='mine.txt is no Python file'):
        module_of(f'{tmp_path}/mine.txt')
