"""Common corruptions at five severities, after Hendrycks and Dietterich 2019.

They are generated here, on the fly; they are not the files of CIFAR-10-C, and accuracies are not those on these.
Numbers are those of the authors' script for images of 32x32 where the operation is the same; lengths grow with the
image. Of their kinds, those that need pictures of their own (frost) or much code (snow, glass, elastic, spatter) are
left out, and `saturate`. Motion blur and zoom blur are written anew after their description.

Each kind is a function of images x [n, h, w, c] in [0, 1], a level, which is the severity less one, and `draw`, a
NumPy Generator; what it gives may lie outside of [0, 1], as `corrupt` clips it.
"""
import io

import numpy as np
from PIL import Image
from scipy import ndimage

from ikd.data.images import visible
from ikd.errors import InputError

SEVERITIES = (1, 2, 3, 4, 5)


def gaussian_noise(x, level, draw):
    """Noise of the same deviation everywhere."""
    return x + draw.normal(size=x.shape) * (0.04, 0.06, 0.08, 0.09, 0.10)[level]


def shot_noise(x, level, draw):
    """Each pixel counts so many photons."""
    photons = (500, 250, 100, 75, 50)[level]
    return draw.poisson(x * photons) / photons


def impulse_noise(x, level, draw):
    """Some values are black or white."""
    amount, chance = (0.01, 0.02, 0.03, 0.05, 0.07)[level], draw.random(x.shape)
    return np.where(chance < amount, draw.random(x.shape) < 0.5, x)


def speckle_noise(x, level, draw):
    """Noise in proportion to the value."""
    return x + x * draw.normal(size=x.shape) * (0.06, 0.1, 0.12, 0.16, 0.2)[level]


def defocus_blur(x, level, draw):
    """A disk for each point, of a radius that spreads as far as the script's kernels do."""
    radius = (0.595, 0.745, 0.895, 1.02, 1.605)[level] * pixel(x)
    reach, fine = int(np.ceil(radius)), 16  # a pixel counts by the share of it, fine x fine points, that is inside
    places = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    inside = places[:, None] ** 2 + places ** 2 <= radius ** 2
    kernel = inside.reshape(2 * reach + 1, fine, 2 * reach + 1, fine).mean((1, 3))
    return ndimage.convolve(x, (kernel / kernel.sum())[None, :, :, None], mode='nearest')


def gaussian_blur(x, level, draw):
    """A normal distribution for each point."""
    deviation = (0.4, 0.6, 0.7, 0.8, 1)[level] * pixel(x)
    return ndimage.gaussian_filter(x, (0, deviation, deviation, 0), mode='nearest')


def motion_blur(x, level, draw):
    """Half a normal distribution along a line, in a direction of each image's own within 45 degrees of a row."""
    reach, deviation = np.array(((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))[level]) * pixel(x)
    way = np.arange(0, reach + 1)
    weights = np.exp(-way ** 2 / (2 * deviation ** 2))
    angles, (h, w) = draw.uniform(-np.pi / 4, np.pi / 4, (len(x), 1)), x.shape[1:3]
    return sum(weight * at(x, np.arange(h) - t * np.sin(angles), np.arange(w) - t * np.cos(angles))
               for t, weight in zip(way, weights / weights.sum()))


def zoom_blur(x, level, draw):
    """The mean of the image and of its enlargements, by hundredths: as many as the script's `arange` has."""
    zooms = 1 + np.arange((7, 12, 16, 21, 26)[level]) / 100
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in x.shape[1:3])
    enlarged = sum(at(x, rows[None] / zoom - rows[0], columns[None] / zoom - columns[0]) for zoom in zooms)
    return (x + enlarged) / (len(zooms) + 1)


def fog(x, level, draw):
    """A bright cloud of an image's own."""
    amount, decay = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))[level]
    h, w = x.shape[1:3]
    cloud = clouds(len(x), 2 ** int(np.ceil(np.log2(max(h, w)))), decay, draw)[:, :h, :w, None]
    cloud -= cloud.min((1, 2), keepdims=True)
    cloud /= cloud.max((1, 2), keepdims=True)
    brightest = x.max((1, 2, 3), keepdims=True)
    return (x + amount * cloud) * brightest / (brightest + amount)


def brightness(x, level, draw):
    """The value of hue, saturation, value is raised; black becomes grey."""
    value = x.max(-1, keepdims=True)
    raised = np.minimum(value + (0.05, 0.1, 0.15, 0.2, 0.3)[level], 1)
    return np.where(value > 0, x * raised / np.where(value > 0, value, 1), raised)


def contrast(x, level, draw):
    """Every value comes closer to the image's mean in its channel."""
    mean = x.mean((1, 2), keepdims=True)
    return mean + (x - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[level]


def pixelate(x, level, draw):
    """Smaller and back, by the means of boxes."""
    share, (h, w) = (0.95, 0.9, 0.85, 0.75, 0.65)[level], x.shape[1:3]
    small = max(1, int(w * share)), max(1, int(h * share))
    return by_pillow(x, lambda picture: picture.resize(small, Image.Resampling.BOX).resize((w, h),
                                                                                         Image.Resampling.BOX))


def jpeg_compression(x, level, draw):
    """Saved as JPEG of a low quality."""
    def saved(picture):
        file = io.BytesIO()
        picture.save(file, 'JPEG', quality=(80, 65, 58, 50, 40)[level])
        return Image.open(file)

    return by_pillow(x, saved)


def pixel(x):
    """What a pixel of a 32x32 image is long in images [n, h, w, c]."""
    return min(x.shape[1:3]) / 32


def clouds(n, side, decay, draw):
    """Diamond-square noise [n, side, side], side a power of two, its edges going on at the opposite ones.

    Points half way between known ones are the mean of four, and noise, fainter from scale to scale by the square of
    `decay`: the authors multiply what `decay` divides by noise of its own size.
    """
    cloud = np.zeros((n, side, side))
    for scale in range(int(np.log2(side))):
        step, deviation = side >> scale, decay ** (-2.0 * scale)
        half = step // 2
        corners = cloud[:, ::step, ::step]
        below, right = np.roll(corners, -1, 1), np.roll(corners, -1, 2)
        noise = deviation * draw.uniform(-1, 1, (3, *corners.shape))
        middle = (corners + below + right + np.roll(below, -1, 2)) / 4 + noise[0]
        cloud[:, half::step, half::step] = middle
        cloud[:, half::step, ::step] = (corners + below + middle + np.roll(middle, 1, 2)) / 4 + noise[1]
        cloud[:, ::step, half::step] = (corners + right + middle + np.roll(middle, 1, 1)) / 4 + noise[2]
    return cloud


def at(x, rows, columns):
    """Images x [n, h, w, c] between their pixels, linearly, at rows [n or 1, p] and columns [n or 1, q].

    Beyond the edge is what is at the edge. [n, p, q, c].
    """
    def weights(places, side):
        return np.maximum(0, 1 - np.abs(np.clip(places, 0, side - 1)[..., None] - np.arange(side)))

    across = weights(rows, x.shape[1]) @ x.reshape(*x.shape[:2], -1)
    across = across.reshape(len(x), -1, *x.shape[2:]).swapaxes(1, 2)
    return (weights(columns, x.shape[2]) @ across.reshape(*across.shape[:2], -1)).reshape(
        len(x), -1, *across.shape[2:]).swapaxes(1, 2)


def by_pillow(x, change):
    """change(picture) of each image as a Pillow picture."""
    pictures = np.round(255 * x).astype(np.uint8)
    pictures = pictures[..., 0] if x.shape[-1] == 1 else pictures
    return np.stack([np.asarray(change(Image.fromarray(one))) for one in pictures]).reshape(x.shape) / 255


KINDS = {function.__name__: function for function in (
    gaussian_noise, shot_noise, impulse_noise, speckle_noise, defocus_blur, gaussian_blur, motion_blur, zoom_blur,
    fog, brightness, contrast, pixelate, jpeg_compression)}


def corrupt(images, kind, severity, seed=0):
    """uint8 images [n, h, w, c] after a corruption, a key of `KINDS`, of severity 1 to 5: uint8, the same shape.

    What is random is the same in all severities of a seed, but for shot noise. A channel beside grey or the three
    colours, as of opacity, stays as it is. InputError for another severity.
    """
    if severity not in SEVERITIES:
        raise InputError(f'severity is {severity}; choose one of {SEVERITIES}')
    draw = np.random.default_rng((seed, list(KINDS).index(kind)))
    seen = visible(images)
    changed = KINDS[kind](seen / 255, severity - 1, draw)
    changed = np.round(255 * np.clip(changed, 0, 1)).astype(np.uint8)
    return np.concatenate([changed, images[..., seen.shape[-1]:]], -1)
