"""What pictures are called, and what Ctrl-C leaves on the terminal."""
import pytest

from ikd import explain, explained
from ikd.explainers import EXPLAINERS


def test_pictures_never_take_the_place_of_one_another():
    """Nor are their names longer than a file system takes, with what a file has beside them while it is written."""
    names = ['a/x.png', 'b/x.jpg', 'x-2.gif', 'two words.png', 'x.png']
    pictures = explained.picture_names(names, 'grad')
    assert pictures == ['x-grad.png', 'x-2-grad.png', 'x-2-2-grad.png', 'two_words-grad.png', 'x-3-grad.png']
    long = explained.picture_names(['☃' * 80 + name for name in ('a.png', 'b.png')], 'grad_cam_plus_plus')
    assert len({*long}) == 2 and all(len(name.encode()) < 190 for name in long)
    assert all(name.endswith('-grad_cam_plus_plus.png') for name in long)
    every = explained.picture_names(['y' * 100 + '.jpg', 'y' * 150 + '.png', 'z.png'], '-'.join(sorted(EXPLAINERS)))
    assert len({*every}) == 3 and all(len(name) < 190 for name in every)
    assert every[0].startswith('y' * 90) and 'contrastive_lrp-grad' in every[0]


def test_what_is_in_the_folder_for_pictures_is_not_explained(tmp_path):
    """And a comma may be part of a name, or stand between two."""
    names, folder = ('a,b.png', 'grey.png', 'rgba.png', 'tiny.bmp'), tmp_path / 'folder'
    (folder / 'seen').mkdir(parents=True)
    for name in *names, 'notes.txt', 'seen/grey-grad.png':
        (folder / name).touch()
    images = [folder / name for name in names]
    assert explained.listed([str(folder)], folder / 'seen') == images
    seen = folder / 'seen' / 'grey-grad.png'
    assert explained.listed([str(folder)], tmp_path / 'out') == sorted([*images, seen])
    both, _, rgba, tiny = images
    assert explained.listed([str(both)], tmp_path) == [both]
    for words in [f'{rgba},{tiny}'], [str(rgba), str(tiny)]:
        assert explained.listed(words, tmp_path) == [rgba, tiny]


def test_ctrl_c_is_a_line(monkeypatch, capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, 'main', interrupted)
    with pytest.raises(SystemExit) as ended:
        explain.cli()
    assert ended.value.code == 130 and capsys.readouterr().err == 'ikd: stopped\n'
