"""The records of a prepared TFDS set: any of them by its number, and their images, without TensorFlow."""
import contextlib
import io
import os

import numpy as np
from PIL import Image

from ikd.data.images import MODES, opened, resize


@contextlib.contextmanager
def only_known_features():
    """While this lasts TFDS's own features can be read from a set's files, but no module that those name is run.

    TFDS imports what features.json says, and the folder of the data may well be importable.
    """
    import tensorflow_datasets as tfds

    connector = tfds.features.FeatureConnector
    original = vars(connector)['cls_from_name']

    def known(cls, name):
        if not name.startswith('tensorflow_datasets.core.features.'):
            raise ValueError(f"feature {name} is not one of TFDS's own")
        return original.__func__(cls, name)

    connector.cls_from_name = classmethod(known)
    try:
        yield
    finally:
        connector.cls_from_name = original


def channels_of(builder):
    """How many channels the images of a set have: 1, 3 or 4."""
    found = builder.info.features['image'].shape[-1]
    return found if found in MODES else 3


def examples(builder, split):
    """(n, read) of a split: how many examples are there, and read(numbers), a list of those, images still encoded.

    From ArrayRecord or TFRecord files; several threads may read. EOFError for a TFRecord file that is cut off, and
    whatever TFDS raises for damaged files.
    """
    import tensorflow_datasets as tfds

    decoders = {'image': tfds.decode.SkipDecoding()}
    if {f.value for f in builder.info.available_file_formats()} != {'tfrecord'}:
        source = builder.as_data_source(split, decoders=decoders)
        return len(source), lambda numbers: source.__getitems__([*map(int, numbers)])
    # TFDS reads its default format with TensorFlow only.
    paths = builder.info.splits[split].filepaths
    index = np.array([(file, *place) for file, path in enumerate(paths) for place in _places(path)]).reshape(-1, 3)

    def read(numbers):
        found = []
        for file, start, length in index[np.asarray(numbers)]:
            with open(paths[file], 'rb') as content:
                content.seek(start)
                record = content.read(length)
            found.append(builder.info.features.deserialize_example_np(record, decoders=decoders))
        return found

    return len(index), read


def _places(path):
    """Yields (start, length) of each record in a TFRecord file.

    It has a length (8 bytes), a checksum (4), the record and its checksum (4), over and over.
    """
    with open(path, 'rb') as file:
        left = os.fstat(file.fileno()).st_size
        while header := file.read(12):
            length = int.from_bytes(header[:8], 'little')
            left -= 16 + length
            if left < 0:
                raise EOFError(f'{path} ends in the middle of a record')
            yield file.tell(), length
            file.seek(length + 4, os.SEEK_CUR)


def size_of(example):
    """(h, w) of an example's image, of which only the header is decoded."""
    with opened(io.BytesIO(example['image'])) as picture:
        return picture.height, picture.width


def decode(example, channels, size=None):
    """The image of an example as uint8 [h, w, channels], resized to size x size if given. Raises as `opened` does."""
    with opened(io.BytesIO(example['image'])) as picture:
        image = np.asarray(picture.convert(MODES[channels])).reshape(picture.height, picture.width, -1)
    return image if size is None else resize(image, size)


def encode(image):
    """A binary file with the image uint8 [h, w, c] as PNG."""
    png = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(png, 'PNG')
    png.seek(0)
    return png
