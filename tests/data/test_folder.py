"""Folders of images: what is found in them, how they are split, what is refused."""
import os

import numpy as np
import pytest
from PIL import Image

from ikd.data import folder, images, limits, load
from ikd.errors import InputError
from ikd.pictures.drawn import pixels
from ikd.pictures.maps import explanation_figure


def names_of(entries):
    return [f'{path.parent.name}/{path.name}' for path, _ in entries]


def rejects(call, *words):
    """One line with the words and, after a colon, what to do."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable() and ': ' in message
    for word in words:
        assert word in message


def test_digits_as_files_are_the_digits(digits_folder, capsys):
    data = load('folder', digits_folder)
    assert data.class_names == tuple(sorted('zero one two three four five six seven eight nine'.split()))
    assert data.train_images.shape == (337, 8, 8, 1) and data.test_images.shape == (83, 8, 8, 1)
    assert (data.train_images.dtype, data.train_labels.dtype) == (np.uint8, np.int32)
    assert 'Reading 420 images of 10 classes in' in capsys.readouterr().err
    listing = folder.files(digits_folder)
    for part, found, labels in ((listing.train, data.train_images, data.train_labels),
                                (listing.test, data.test_images, data.test_labels)):
        for (path, label), image, own in zip(part, found, labels, strict=True):
            assert path.parent.name == data.class_names[own] and own == label
            np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(path)))
    np.testing.assert_allclose(data.mean, [data.train_images.mean() / 255])
    np.testing.assert_allclose(data.std, [data.train_images.std() / 255])


def test_the_split_is_stratified_and_disjoint(digits_folder):
    listing = folder.files(digits_folder)
    counts = [np.bincount([label for _, label in part]) for part in (listing.train, listing.test)]
    np.testing.assert_array_equal(counts[1], np.round(sum(counts) / 5))
    every = sorted(path for path, _ in listing.train + listing.test)
    assert every == sorted(digits_folder.rglob('*.png')) and len({*every}) == 420


def test_the_split_never_changes(write_folder, tmp_path):
    """The smallest of `printf a/000.png | sha256sum` and so on: 0e30dd, 10f0ab and 115847; wherever the folder is."""
    found = [folder.files(write_folder(tmp_path / place, {'a': 5, 'b': 10})) for place in ('x', 'y')]
    assert names_of(found[0].test) == names_of(found[1].test) == ['a/001.png', 'b/002.png', 'b/003.png']


def test_one_image_more_moves_at_most_one_other(write_folder, tmp_path):
    before = folder.files(write_folder(tmp_path, {'a': 20, 'b': 20}))
    for i in range(20, 40):
        after = folder.files(write_folder(tmp_path, {'a': 1}, first=i))
        old = {*names_of(before.train), *names_of(before.test)}
        moved = {*names_of(before.test)} ^ ({*names_of(after.test)} & old)
        assert len(moved) <= 1 and len(names_of(after.train) + names_of(after.test)) == len(old) + 1
        before = after


def test_the_first_images_are_of_every_class(digits_folder):
    """`data.limit` keeps the first: classes are mixed."""
    assert {label for _, label in folder.files(digits_folder).train[:60]} == {*range(10)}


@pytest.mark.parametrize('train, test', [('train', 'test'), ('train', 'val'), ('train', 'validation'),
                                         ('train', 'valid'), ('Train', 'TEST'), ('train', 'Test')])
def test_a_split_that_is_there(write_folder, tmp_path, train, test):
    write_folder(tmp_path / train, {'cat': 3, 'dog': 1})
    write_folder(tmp_path / test, {'cat': 1, 'dog': 2}, first=50)
    data = load('folder', tmp_path)
    assert np.bincount(data.train_labels).tolist() == [3, 1] and np.bincount(data.test_labels).tolist() == [1, 2]
    assert data.class_names == ('cat', 'dog')


def test_test_comes_before_val_and_training_images_alone_are_split(write_folder, tmp_path):
    write_folder(tmp_path / 'train', {'cat': 5, 'dog': 5})
    assert len(folder.files(tmp_path).test) == 2
    write_folder(tmp_path / 'val', {'cat': 3, 'dog': 3})
    assert len(folder.files(tmp_path).test) == 6
    write_folder(tmp_path / 'test', {'cat': 4, 'dog': 4})
    assert len(folder.files(tmp_path).test) == 8


def test_train_and_test_may_be_classes(write_folder, tmp_path):
    """Of vehicles, say: no folders inside."""
    assert folder.files(write_folder(tmp_path, {'train': 5, 'test': 5})).class_names == ('test', 'train')


def test_what_is_left_alone(write_folder, tmp_path):
    write_folder(tmp_path, {'cat': 5, 'dog': 5, '.hidden': 3})
    for name in ('cat/notes.txt', 'cat/.000.png', 'loose.png', 'cat/noextension'):
        (tmp_path / name).write_bytes(b'?')
    listing = folder.files(tmp_path)
    assert len(listing.train + listing.test) == 10 and listing.class_names == ('cat', 'dog')


@pytest.mark.parametrize('size, expected', [(None, 28), (12, 12), (100, 100)])
def test_sizes(write_folder, tmp_path, size, expected):
    data = load('folder', write_folder(tmp_path, {'a': 5, 'b': 5}), size)
    assert data.train_images.shape == (8, expected, expected, 1)


@pytest.mark.parametrize('shape', [(65, 65), (20, 30), (29, 29)])
def test_large_oblong_and_unequal_images_are_made_64(write_folder, tmp_path, shape):
    write_folder(tmp_path, {'a': 5, 'b': 5} if shape == (29, 29) else {})
    for i in range(6):
        (tmp_path / 'ab'[i % 2]).mkdir(exist_ok=True)
        Image.new('L', shape, i).save(tmp_path / 'ab'[i % 2] / f'x{i}.JPG', 'JPEG')
    assert load('folder', tmp_path).test_images.shape[1:] == (64, 64, 1)


def test_one_colour_image_makes_all_of_them_so(write_folder, tmp_path):
    write_folder(tmp_path, {'a': 5, 'b': 5})
    write_folder(tmp_path, {'a': 1}, colours=True, first=5)
    data = load('folder', tmp_path)
    assert data.train_images.shape[1:] == (28, 28, 3) and len(data.mean) == len(data.std) == 3
    np.testing.assert_array_equal(data.train_images[..., 0], data.train_images[..., 2])


def test_no_folder():
    rejects(lambda: load('folder'), 'data.name=folder', '--config.data.dir')


@pytest.mark.parametrize('counts, words', [
    ({}, ['0 classes', 'two']), ({'a': 5}, ['1 classes']), ({'a': 5, 'b': 0}, ['b has no image', '.png']),
    ({'a': 5, 'b': 1}, ['b/000.png is the only image of its class']),
    ({'a/inner': 5, 'b': 5}, ['a/inner is a folder']),
    ({'train/a': 5, 'train/b': 5, 'test/a': 5, 'test/c': 5}, ['class b is in only one of', 'train', 'test']),
    ({'train/a': 5, 'train/b': 5, 'holdout/a': 5, 'holdout/b': 5},
     ['holdout beside train: call the test set one of test, val']),
    ({'train/a': 5, 'train/b': 5, 'test': 5}, ['test has folders of images for 0 classes']),
    ({'test/a': 5, 'test/b': 5, 'c': 1}, ['test/a is a folder'])])
def test_folders_that_are_not_data_sets(write_folder, tmp_path, counts, words):
    rejects(lambda: load('folder', write_folder(tmp_path, counts)), *words)


def test_unreadable_images_are_counted_the_first_is_named(write_folder, tmp_path):
    write_folder(tmp_path, {'a': 8, 'b': 8})
    whole = (tmp_path / 'a' / '000.png').read_bytes()
    damage = {'a/x0.png': whole[:100], 'a/x1.jpg': b'', 'b/x2.gif': b'GIF89a' + bytes(50), 'b/x3.png': whole[:-50]}
    for name, content in damage.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / 'b' / 'x4.png')
    (tmp_path / 'b' / 'x5.png').symlink_to('/dev/zero')
    (tmp_path / 'b' / 'x6.png').symlink_to('nowhere')
    (tmp_path / 'b' / 'x7.png').symlink_to('x7.png')
    bad = folder.unreadable(tmp_path)
    assert [path.stem for path, _ in bad] == [f'x{i}' for i in range(8)]
    assert [reason for _, reason in bad][4:] == ['not a file'] * 4
    rejects(lambda: load('folder', tmp_path), '8 of 24 images cannot be read, the first is', '/x', 'take them away')
    for path, _ in bad:
        path.rename(path.with_name('.' + path.name))
    assert load('folder', tmp_path).train_images.shape == (12, 28, 28, 1) and not folder.unreadable(tmp_path)


def test_nothing_but_unreadable_images(tmp_path):
    for name in 'ab':
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f'{i}.png').write_bytes(b'no image')
    rejects(lambda: load('folder', tmp_path), '6 of 6 images cannot be read', 'not of PNG, JPEG')


def test_more_than_the_memory_is_refused_before_anything_is_decoded(write_folder, tmp_path, monkeypatch):
    write_folder(tmp_path, {'a': 5, 'b': 5})
    monkeypatch.setattr(limits, 'half_of_memory', lambda: 10 * 20 * 20 - 1)
    monkeypatch.setattr(folder, 'decode', None)
    rejects(lambda: load('folder', tmp_path, 20), '10 images of 20x20x1, 4,000 bytes', '3,999', '--config.data.size')
    monkeypatch.undo()
    assert 2**28 < limits.half_of_memory() < 2**45
    rejects(lambda: load('folder', tmp_path, 10**7), '1,000,000,000,000,000 bytes')
    rejects(lambda: load('digits', size=10**7), 'digits has 1,797 images')


@pytest.mark.parametrize('told, files, allowed', [
    ('0::/job/step', {'0/job/step/memory.max': 'max', '0/job/memory.max': '1000'}, [1000]),
    ('0::/../elsewhere', {'0/memory.max': '70'}, [70]),
    ('4:cpu:/a\n5:memory,x:/b', {'1/b/memory.limit_in_bytes': '9', '1/memory.limit_in_bytes': '8'}, [9, 8]),
    (None, {}, [])])
def test_what_a_container_may_have(tmp_path, told, files, allowed):
    """Of control groups version 2 and 1, limits of any folder on the way to the group."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + '\n')
    if told:
        (tmp_path / 'told').write_text(told + '\n')
    tops = (str(tmp_path / '0'), 'memory.max'), (str(tmp_path / '1'), 'memory.limit_in_bytes')
    assert [*limits._allowed(tmp_path / 'told', tops)] == allowed


def test_names_with_odd_characters_reach_messages_and_pictures(write_folder, tmp_path):
    odd = ['a\nb', '$x$ $\\frac$', 'ü ñ', os.fsdecode(b'\xff\xfe'), '-rf', '\x1b[31m']
    write_folder(tmp_path, dict.fromkeys(odd, 5))
    data = load('folder', tmp_path)
    assert {*data.class_names} == {'a\\nb', '$x$ $\\frac$', 'ü ñ', '\\udcff\\udcfe', '-rf', '\\x1b[31m'}
    k = len(odd)
    figure = explanation_figure(data.test_images, np.ones((k, k, 4, 4)), np.eye(k), data.test_labels, np.eye(k),
                                data.class_names, '')
    assert pixels(figure).std() > 0
    titles = {axes.get_title() for axes in figure.axes}
    assert {*data.class_names} <= titles
    for name in odd:
        (tmp_path / name / '000.png').write_bytes(b'')
        rejects(lambda: load('folder', tmp_path), 'cannot be read')


def test_an_unlistable_folder(write_folder, tmp_path, monkeypatch):
    write_folder(tmp_path, {'a': 5, 'b': 5})
    listdir = os.listdir

    def refuse(path):
        if str(path).endswith('b'):
            raise PermissionError(13, 'Permission denied')
        return listdir(path)

    monkeypatch.setattr(os, 'listdir', refuse)
    rejects(lambda: load('folder', tmp_path), 'b cannot be listed (Permission denied)')


def test_suffixes_are_those_of_the_formats():
    """Every suffix is one that Pillow gives to a format which is read, and every format has one."""
    Image.init()
    formats = {Image.EXTENSION[suffix] for suffix in images.SUFFIXES}
    assert formats == {*images.FORMATS}
