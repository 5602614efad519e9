"""What a folder holds beside the images that are read is told of."""
import shutil

from ikd.data import load


def test_what_is_left_out_is_counted(digits_folder, tmp_path, capsys):
    """But for hidden files: with a split that is there, too, and a third part."""
    plain, parts = tmp_path / 'plain', tmp_path / 'parts'
    for place in (plain, *(parts / part for part in ('train', 'test', 'val'))):
        for name, source in ('cat', 'one'), ('dog', 'two'):
            shutil.copytree(digits_folder / source, place / name)

    def said(directory):
        load('folder', directory)
        (line,) = capsys.readouterr().err.splitlines()
        return line.partition(' for test')[2]

    assert said(plain) == ''
    for name in ('cat/.DS_Store', 'cat/Thumbs.db', '.hidden', 'desktop.ini'):
        (plain / name).write_bytes(b'?')
    assert said(plain) == ''
    for name in ('cat/y.heic', 'dog/z.HEIC', 'dog/noextension', 'dog/\n.a\nb', 'loose.png', 'loose.txt'):
        (plain / name).write_bytes(b'?')
    assert said(plain) == '; left out: 2 .heic, 1 without a suffix, 1 .a\\nb, 2 beside the class folders'
    for i in range(9):
        (plain / f'cat/x.kind{i}').touch()
    assert 'of other kinds, 2 beside' in said(plain)
    (parts / 'test' / 'loose.png').touch()
    assert said(parts) == '; left out: 2 beside the class folders'
