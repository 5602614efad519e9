"""What `python -m ikd.explain` does: which images of which run, explained, drawn, saved."""
import os
import pathlib
import sys
from contextlib import closing

import numpy as np

from ikd.compiled import keep_compiled
from ikd.data.folder import files, read_each
from ikd.data.images import SUFFIXES
from ikd.data.limits import printable
from ikd.errors import InputError
from ikd.evaluation.images import explain_images
from ikd.explainers import EXPLAINERS
from ikd.files import replacing
from ikd.modules import run_config
from ikd.pictures.drawn import save_figure
from ikd.pictures.overlays import overlay_figure
from ikd.progress import Progress
from ikd.run_files import open_folder, output_path
from ikd.trained import explainers_for, load
from ikd.words import in_parts, named, plural

EXAMPLES = 10  # test images
LIKELIEST = 3
LONGEST = 180  # bytes of a picture's name, without its number and suffix


def listed(words, out):
    """The paths that --images names: files as they stand, of folders the image files in them, however deep.

    A word that is no file may be several, separated by commas. What has a name that begins with a dot is left alone,
    and so is what lies in the folder `out`.
    """
    paths, own = [], pathlib.Path(os.path.realpath(out))
    parts = in_parts(words, os.path.exists)
    if not parts:
        raise InputError('--images names nothing; give files or folders, or leave it out for some test images')
    for part in parts:
        top = pathlib.Path(part).expanduser()
        if not top.is_dir():
            paths.append(top)
            continue
        inside = [path for path in sorted(top.rglob('*')) if path.suffix.lower() in SUFFIXES
                  and not any(name.startswith('.') for name in path.relative_to(top).parts)
                  and own not in pathlib.Path(os.path.realpath(path)).parents]  # where links go round, too
        if not inside:
            raise InputError(f"{top} has no image ({', '.join(SUFFIXES)}); correct --images")
        paths += inside
    return paths


def read(paths, shape, class_names):
    """(names, images uint8 [n, h, w, c], labels) of the files that can be read; the others are told of on stderr.

    labels: int [n], by the names of the folders, -1 for those of no class. InputError if no file can be read.
    """
    images, faults = read_each(paths, shape)
    for path, fault in zip(paths, faults):
        if fault:
            print(f'ikd: skipped {printable(path)} ({fault})', file=sys.stderr)
    kept = [path for path, fault in zip(paths, faults) if not fault]
    if not kept:
        raise InputError('no image is left to explain; give others with --images')
    folders = [path.absolute().parent.name for path in kept]
    labels = [class_names.index(folder) if folder in class_names else -1 for folder in folders]
    return [printable(path) for path in kept], images, np.array(labels)


def examples(trained):
    """(names, images, labels) of the first test image of each class, of ten classes at most."""
    dataset, data = trained.dataset, trained.config.data
    places = np.unique(dataset.test_labels, return_index=True)[1][:EXAMPLES]
    names = [f'test image {place}' for place in places]
    if data.name == 'folder' and not data.holdout:
        paths = files(data.dir).test
        names = [printable(paths[place][0]) for place in places]
    return names, dataset.test_images[places], dataset.test_labels[places]


def chosen(asked, trained):
    """(names of explainers, notes on those that were asked for and do not apply). InputError if none is left."""
    names, reasons = explainers_for(trained)
    if asked == 'all':
        return names, [f'not for this network: {name} ({reason})' for name, reason in reasons.items()]
    asked = named('explainers', trained.config.method.explainer if asked is None else asked, EXPLAINERS)
    for name in asked:
        if name in reasons:
            raise InputError(f"--explainers={name} does not go with this network: {reasons[name]}; choose from: all, "
                             f"{', '.join(names)}")
    return tuple(dict.fromkeys(asked)), []


def picture_names(names, explainer):
    """A file name for the picture of each image: `<its name>-<explainer>.png`, with a number where two are alike.

    Of long names only the beginning, as file systems take 255 bytes; explainers have half of the room at most.
    """
    beginning = lambda text, size: text.encode()[:size].decode(errors='ignore')
    explainer, found = beginning(explainer, LONGEST // 2), {}
    for name in names:
        stem = beginning(pathlib.PurePath(name).stem.replace(' ', '_'), LONGEST - len(explainer.encode()))
        ways = (f'{stem}{number}-{explainer}.png' for number in ('', *(f'-{i}' for i in range(2, len(names) + 1))))
        found[next(way for way in ways if way not in found)] = name
    return list(found)


def save_arrays(path, trained, names, images, labels, explained):
    """Write explanations.npz: what `numpy.load` gives without unpickling anything."""
    arrays = {f'{kind}_{name}': values for kind in ('maps', 'similarities')
              for name, values in getattr(explained, kind).items()}
    with replacing(path) as temporary, temporary.open('wb') as file:
        np.savez(file, files=np.array(names), class_names=np.array(trained.class_names), images=images, labels=labels,
                 reference=explained.reference, classes=explained.classes, probabilities=explained.probabilities,
                 **arrays)


def explain_run(options):
    """Explain, draw, write and tell; options: of `ikd.explain.parse`."""
    out = output_path(options, 'explained')
    paths = listed(options.images, out) if options.images is not None else None
    run_config(options)
    trained = load(options.workdir, options.seed, options.data, images=paths is None)
    keep_compiled(trained.config.cache_dir)
    explainers, notes = chosen(options.explainers, trained)
    if paths:
        names, images, labels = read(paths, trained.dataset.image_shape, trained.class_names)
    else:
        names, images, labels = examples(trained)
    open_folder(out)
    pictures = picture_names(names, 'all' if options.explainers == 'all' else '-'.join(explainers))
    with closing(Progress((len(explainers) + 1) * len(names), unit='image')) as progress:
        def done(images, text='explained'):
            progress.tick(images)
            progress.tell(text)

        progress.tell('explaining')
        explained = explain_images(trained, images, labels, explainers, done)
        save_arrays(out / 'explanations.npz', trained, names, images, labels, explained)
        for i, picture in enumerate(pictures):
            save_figure(figure_of(trained, i, names[i], images[i], labels[i], explained, notes), out / picture)
            done(1, 'drawn')
    for name, picture, probabilities in zip(names, pictures, explained.probabilities):
        likeliest = np.argsort(-probabilities, kind='stable')[:LIKELIEST]
        says = ', '.join(f'{trained.class_names[label]} {probabilities[label]:.2f}' for label in likeliest)
        print(f'{name}: {says}  ->  {out / picture}')
    for note in notes:
        print(note)
    print(f"{plural(len(names), 'picture')} and explanations.npz written to {out}/")


def figure_of(trained, i, name, image, label, explained, notes):
    """The picture of the i-th image, [h, w, c], of `explained`; label: its class, -1 where that is not known."""
    rows = {explainer: (explained.maps[explainer][i], explained.similarities[explainer][i])
            for explainer in explained.maps}
    truth = f'; the true class: {trained.class_names[label]}' if label >= 0 else ''
    return overlay_figure(pathlib.PurePath(name).name, image, explained.classes[i], rows, explained.probabilities[i],
                          int(label), trained.class_names, trained.title + truth, trained.config.method.similarity,
                          notes)
