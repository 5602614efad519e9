"""The pictures of a run in its report: Figures 1 and 2 of 2009.09140, and the trees of a mixture of experts."""
from ikd import trained
from ikd.errors import InputError
from ikd.evaluation.class_cosines import EXPECTED, class_cosines, most_alike
from ikd.explainers.catalogue import called
from ikd.networks import describe
from ikd.pictures.drawn import png
from ikd.pictures.maps import colours
from ikd.pictures.matrix import matrix_figure
from ikd.report.html import element, join, paragraph, picture
from ikd.tables.paper_figures import ROWS

MOST_IMAGES = 2000  # in Figure 2
MOST_CLASSES = 100
TREES = {'tree.png': 'Which experts the classes are routed through: an edge is as wide as its share.',
         'dendrogram.png': 'Which classes are routed alike: the lower two meet, the more.'}


def explainer_of(run):
    """What the run's explainer is called."""
    return called(run.fields['method.explainer'])


def figure1(run):
    """The picture of its maps that the run has drawn."""
    path = run.workdir / 'explanations.png'
    if not path.is_file():
        return paragraph(f'Not drawn yet: explanations.png appears when the trial of seed {run.fields["seed"]} is '
                         'finished.', class_='note')
    similarity = run.fields.get('method.similarity', 'cosine')
    says = colours([run.fields['method.explainer']])
    caption = ('Each row: a test image, below it the prediction with its probability, then a map '
               f'({explainer_of(run)}) for every class, of many for the ten most alike, and its similarity'
               f"{'' if similarity == 'cosine' else f' ({similarity})'} to the map of the true class, which is "
               f'framed. {says[0].upper()}{says[1:]}.')
    return picture(path.read_bytes(), f'Images and the {explainer_of(run)} map of every class', caption)


def figure2(run, data_dir=None):
    """Mean cosines between the maps of each two classes, computed with the network of the run's smallest seed.

    Or why they can't be had. data_dir: where the data is now, None: where the run's config says.
    """
    if run.summary is None:
        return paragraph('Not drawn yet: it needs a trial that is finished.', class_='note')
    try:
        network = trained.load(run.workdir, data_dir=data_dir)
    except InputError as error:
        return paragraph(f'Needs the trained network and its data: {error}.', class_='note')
    k = len(network.class_names)
    if k > MOST_CLASSES:
        return paragraph(f'{k:,} classes are too many for a picture.', class_='note')
    found = class_cosines(network, most=MOST_IMAGES)
    images = min(MOST_IMAGES, len(network.dataset.test_labels))
    pairs = [pair for pair in EXPECTED.get(run.fields['data.name'], ()) if {*pair} <= {*network.class_names}]
    drawn, title = [], describe(network.config)
    for kind, rows in ROWS.items():
        name = kind.replace('_', ' ')
        figure = matrix_figure({name: (found[kind], rows)}, network.class_names, title, pairs)
        drawn.append(picture(png(figure), f'Mean cosine between the maps of two classes, {name}'))
    alike = ', '.join('/'.join(pair) for pair in most_alike(found['all_images'], network.class_names))
    caption = (f'Mean cosine between the {explainer_of(run)} maps of two classes over the first {images:,} test '
               f"images, seed {network.seed}. By true class: the row's map against the column's, over the images of "
               f"the row's class; all images: over all. {100 * found['zero_maps']:.1f} % of the maps are "
               f'zero; their cosines count as 0. Most alike: {alike}.'
               + (' Framed: the pairs that the paper finds more alike than others.' if pairs else ''))
    return join(element('div', *drawn, class_='pictures'), paragraph(caption, class_='caption'))


def trees(run):
    """The pictures of a mixture of experts; None where there are none."""
    found = [picture((run.workdir / name).read_bytes(), name, caption) for name, caption in TREES.items()
             if (run.workdir / name).is_file()]
    return join(*found) if found else None
