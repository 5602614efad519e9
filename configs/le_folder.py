"""LE(Grad-CAM) of ResNet8 on a folder of your own images.

    python -m ikd.main --config=configs/le_folder.py --config.data.dir=photos/
    python -m ikd.main --config=configs/le_folder.py --config.data.dir=photos/ --config.method.name=ce

`photos/CLASS/*.jpg` (png, bmp, gif, webp, tif), of which a fifth of each class is kept for test, or
`photos/train/CLASS/` and `photos/test/CLASS/`. Classes, grey or colour, and normalisation are found by itself, and so
is the size: 64x64 from the largest square in the middle, unless all images are smaller squares alike. Another one
with --config.data.size=96; where left and right or the edges matter, --config.data.augment=none. Fewer than 40 images
need a smaller --config.batch_size. No table of the paper; the explainer and loss of its section 5, for thirty epochs.
"""
from configs import common
from ikd.config import apply_arguments


def get_config(argument=''):
    config = common.cifar()
    config.model.name = 'resnet8'
    config.data.name = 'folder'
    config.update(batch_size=32, epochs=30)
    config.method.name = 'le'
    return apply_arguments(config, argument)
