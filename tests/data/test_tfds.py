import io
import json
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from ikd.data import limits, tfds
from ikd.errors import InputError


def test_only_the_first_read_decodes(prepared, monkeypatch, capsys):
    first = tfds.read('mnist', prepared)
    assert 'Reading 100 images of mnist' in capsys.readouterr().err
    monkeypatch.setattr(tfds, '_stored_examples', None)
    for a, b in zip(first[:4], tfds.read('mnist', prepared)):
        np.testing.assert_array_equal(a, b)
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('name', ['fashion-mnist', 'my set', 'cifar10/3.0.2', 'nowhere'])
def test_a_name_that_is_no_sets(tmp_path, name):
    """Whatever TFDS thinks of it: there is no folder that could be damaged."""
    assert tfds.read(name, tmp_path) is None


@pytest.mark.parametrize('harm', ['garbage', 'truncated', 'flipped', 'other', 'pickle', 'bomb', 'types', 'labels',
                                  'unwritable'])
def test_a_bad_cache_does_not_matter(prepared, harm):
    first = tfds.read('mnist', prepared)
    cache, = prepared.rglob('ikd_*.npz')
    content = cache.read_bytes()
    cache.unlink()
    if harm == 'garbage':
        cache.write_bytes(b'garbage')
    elif harm == 'truncated':
        cache.write_bytes(content[:-1000])
    elif harm == 'flipped':
        cache.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    elif harm == 'other':
        np.savez(cache, *(array[:-1] for array in first[:4]))
    elif harm == 'pickle':
        np.savez(cache, *(np.array([{}]) for _ in range(4)))
    elif harm == 'bomb':  # as many examples, but compressed: it could be of any size
        np.savez_compressed(cache, *(np.zeros_like(array) for array in first[:4]))
    elif harm == 'types':
        np.savez(cache, *(array.astype(float) for array in first[:4]))
    elif harm == 'labels':
        np.savez(cache, *first[:3], first[3] + 10)
    else:
        cache.mkdir()  # reading fails, and so does writing, for every user
    for a, b in zip(first[:4], tfds.read('mnist', prepared)):
        np.testing.assert_array_equal(a, b)
    assert not list(prepared.rglob('*.tmp'))


def test_size(prepared):
    assert tfds.read('mnist', prepared, size=9)[0].shape == (100, 9, 9, 1)
    assert tfds.read('mnist', prepared)[0].shape == (100, 28, 28, 1)


def as_tfrecord(directory, name, shards=1):
    """Rewrite a prepared set's ArrayRecord files in TFDS's default format; its checksums are not looked at.

    Each split is divided over several files, the first of which have a record more where that is needed.
    """
    import tensorflow_datasets

    builder = tensorflow_datasets.builder(name, data_dir=directory)
    raw = tensorflow_datasets.decode.DeserializeMethod.RAW_BYTES
    folder = directory / name / str(builder.version)
    info = json.loads((folder / 'dataset_info.json').read_text()) | {'fileFormat': 'tfrecord'}
    for split in info['splits']:
        records = list(builder.as_data_source(split['name'], deserialize_method=raw))
        path, = folder.glob(f"{name}-{split['name']}.array_record*")
        parts = [[records[i] for i in places] for places in np.array_split(np.arange(len(records)), shards)]
        split['shardLengths'] = [str(len(part)) for part in parts]
        for number, part in enumerate(parts):
            (folder / f"{name}-{split['name']}.tfrecord-{number:05d}-of-{shards:05d}").write_bytes(
                b''.join(struct.pack('<QI', len(r), 0) + r + bytes(4) for r in part))
        path.unlink()
    (folder / 'dataset_info.json').write_text(json.dumps(info))


def test_tfrecord_sets_are_read_too(prepared):
    """The same records in TFDS's default format; its checksums are not looked at."""
    expected = tfds.read('mnist', prepared)
    folder = prepared / 'mnist' / '3.0.1'
    as_tfrecord(prepared, 'mnist')
    (folder / 'ikd_original.npz').unlink()
    for a, b in zip(expected[:4], tfds.read('mnist', prepared)):
        np.testing.assert_array_equal(a, b)
    (folder / 'ikd_original.npz').unlink()
    path, = folder.glob('mnist-test*')
    for cut in 2, 2000:  # within the last record's checksum, and further
        path.write_bytes(path.read_bytes()[:-cut])
        with pytest.raises(InputError, match='ends in the middle of a record.* prepare'):
            tfds.read('mnist', prepared)
    assert 'tensorflow' not in sys.modules


@pytest.mark.parametrize('file', ['mnist-train.array_record*', 'dataset_info.json'])
@pytest.mark.parametrize('harm', ['truncated', 'absent'])
def test_damaged_sets(prepared, file, harm):
    path, = (prepared / 'mnist' / '3.0.1').glob(file)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    if harm == 'absent':
        path.unlink()
    with pytest.raises(InputError, match='delete') as caught:
        tfds.read('mnist', prepared)
    assert '\n' not in str(caught.value)


def make_set(directory, name, splits, shape=(None, None, 3), classes=('cat', 'dog')):
    """Prepares a set of our own from {split: [(image, label)]}, unknown to TFDS once it is written."""
    import tensorflow_datasets
    from tensorflow_datasets.core import registered as registry

    def png(image):
        if isinstance(image, bytes):
            return io.BytesIO(image)
        file = io.BytesIO()
        Image.fromarray(image).save(file, 'PNG')
        file.seek(0)
        return file

    core, features = tensorflow_datasets.core, tensorflow_datasets.features
    with registry.skip_registration():
        class Images(core.GeneratorBasedBuilder):
            VERSION = core.Version('1.0.0')

            def _info(self):
                return core.DatasetInfo(builder=self, features=features.FeaturesDict({
                    'image': features.Image(shape=shape), 'label': features.ClassLabel(names=classes)}))

            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(examples) for split, examples in splits.items()}

            def _generate_examples(self, examples):
                for i, (image, label) in enumerate(examples):
                    yield i, {'image': png(image), 'label': label}

    Images.name = name
    Images(data_dir=directory, file_format='array_record').download_and_prepare()


def test_other_sets(colour, tmp_path):
    images = colour[0]
    make_set(tmp_path, 'pets', {'train': [(x, i % 2) for i, x in enumerate(images)],
                                'validation': [(x, 1) for x in images[:7]]})
    found = tfds.read('pets', tmp_path)
    assert found[4] == ('cat', 'dog') and set(found[3]) == {1} and found[2].shape == (7, 32, 32, 3)
    assert sorted(x.tobytes() for x in found[0]) == sorted(x.tobytes() for x in images)


def test_a_test_split_comes_before_a_validation_split(colour, tmp_path):
    make_set(tmp_path, 'pets', {split: [(colour[0][0], label)] for split, label in
                                (('train', 0), ('validation', 1), ('test', 0))})
    assert tfds.read('pets', tmp_path)[3] == 0


def test_other_grey_set(grey, tmp_path):
    images = grey[0][..., 0]
    make_set(tmp_path, 'grey', {s: [(x, 0) for x in images[:5]] for s in ('train', 'test')}, (None, None, 1))
    assert tfds.read('grey', tmp_path)[0].shape == (5, 28, 28, 1)


def test_other_sets_of_unequal_sizes_need_a_size(colour, tmp_path):
    images = colour[0]
    make_set(tmp_path, 'within', {s: [(images[0], 0), (images[1, :20], 1)] for s in ('train', 'test')})
    make_set(tmp_path, 'between', {'train': [(images[0], 0)], 'test': [(images[1, :20], 1)]})
    for name in ('within', 'between'):
        with pytest.raises(InputError, match='set an image size'):
            tfds.read(name, tmp_path)
        assert tfds.read(name, tmp_path, size=16)[0].shape[1:] == (16, 16, 3)


def test_other_sets_that_do_not_fit(colour, tmp_path):
    image = colour[0][0]
    make_set(tmp_path, 'half', {'train': [(image, 0)]})
    make_set(tmp_path, 'unlabelled', {'train': [(image, 0)], 'test': [(image, -1)]})
    with pytest.raises(InputError, match='test'):
        tfds.read('half', tmp_path)
    with pytest.raises(InputError, match='labels from -1'):
        tfds.read('unlabelled', tmp_path)


@pytest.mark.parametrize('legacy', [False, True])
def test_features_of_a_set_run_no_module(colour, tmp_path, monkeypatch, legacy):
    """TFDS imports the modules that features.json names, and the folder of the data may be importable.

    Whoever uses TFDS beside ikd finds it as it was.
    """
    import tensorflow_datasets

    connector = tensorflow_datasets.features.FeatureConnector
    before = vars(connector)['cls_from_name']
    make_set(tmp_path, 'pets', {s: [(colour[0][0], 0)] for s in ('train', 'test')})
    path = tmp_path / 'pets' / '1.0.0' / 'features.json'
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'evil_features.py').write_text(f"open({str(tmp_path / 'harmed')!r}, 'w')")
    known = json.loads(path.read_text())
    name = 'evil_features.Image'
    path.write_text(json.dumps({'type': name, 'content': {}} if legacy else known | {'pythonClassName': name}))
    with pytest.raises(InputError, match="feature evil_features.Image is not one of TFDS's own"):
        tfds.read('pets', tmp_path)
    assert not (tmp_path / 'harmed').exists() and 'evil_features' not in sys.modules
    path.write_text(json.dumps(known))
    assert len(tfds.read('pets', tmp_path)[0]) == 1
    assert vars(connector)['cls_from_name'] is before


def test_more_than_the_memory_holds(colour, tmp_path, monkeypatch):
    """Images and classes are counted before anything of that size is made."""
    make_set(tmp_path, 'pets', {s: [(x, 0) for x in colour[0][:5]] for s in ('train', 'test')})
    with monkeypatch.context() as context, pytest.raises(InputError, match='5 images of 32x32x3, 15,360 bytes'):
        context.setattr(limits, 'half_of_memory', lambda: 15_359)
        tfds.read('pets', tmp_path)
    folder = tmp_path / 'pets' / '1.0.0'
    features = json.loads((folder / 'features.json').read_text())
    features['featuresDict']['features']['label']['classLabel']['numClasses'] = str(2**40)
    (folder / 'features.json').write_text(json.dumps(features))
    for path in folder.glob('label.labels.txt'):
        path.unlink()
    with pytest.raises(InputError, match=f'{2**40} classes'):
        tfds.read('pets', tmp_path)


@pytest.mark.parametrize('kind', ['bomb', 'postscript', 'garbage'])
def test_images_that_are_none(colour, tmp_path, kind):
    """A record's image is opened as PNG, JPEG and the like only, and not if its header says it is huge."""
    bomb = io.BytesIO()
    Image.new('1', (8193, 8192)).save(bomb, 'PNG')
    content = {'bomb': bomb.getvalue(), 'garbage': bytes(50),
               'postscript': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n'}[kind]
    make_set(tmp_path, 'pets', {s: [(content, 0)] for s in ('train', 'test')})
    with pytest.raises(InputError, match='8193x8192 pixels' if kind == 'bomb' else 'cannot identify image'):
        tfds.read('pets', tmp_path)


def test_a_record_that_claims_more_than_its_file(prepared, monkeypatch):
    """Nothing is read, or made room for, beyond the file."""
    monkeypatch.setattr(tfds, 'load_arrays', lambda *_: None)
    folder = prepared / 'mnist' / '3.0.1'
    for path in folder.glob('mnist-*.array_record*'):
        path.rename(path.with_name(path.name.replace('array_record', 'tfrecord')))
        path.with_name(path.name.replace('array_record', 'tfrecord')).write_bytes(struct.pack('<QI', 2**62, 0) + b'x')
    info = folder / 'dataset_info.json'
    info.write_text(json.dumps(json.loads(info.read_text()) | {'fileFormat': 'tfrecord'}))
    with pytest.raises(InputError, match='ends in the middle of a record'):
        tfds.read('mnist', prepared)
