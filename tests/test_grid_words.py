"""What the words after the colon of a grid's config make of it."""
import importlib

import pytest

from configs.tables.shared import DECAY
from ikd.errors import InputError
from ikd.grid import cell_name
from ikd.grid_words import adapt, rescale
from ikd.validation import resolve
from tests.small_grid import config_of
from tests.test_grid import small, table


def test_a_shorter_schedule_is_another_cell_and_says_so():
    search = importlib.import_module('configs.searches.cifar')
    whole, short = search.grid(), search.grid('epochs=40')
    assert short.name == 'search-cifar-epochs40' and '40 epochs instead of 160' in short.title
    for old, new in zip(whole.cells, short.cells):
        assert new.config.epochs == 40 and new.config.optimizer.milestones == old.config.optimizer.milestones
        warmups = [resolve(cell.config).method.warmup_epochs for cell in (old, new)]
        assert warmups in ([32, 8], [10, 2], [80, 20]) and cell_name(old.config) != cell_name(new.config)
    srdl = importlib.import_module('configs.tables.srdl').grid('epochs=40')
    assert [cell.config.epochs for cell in srdl.cells[:3]] == [40, 20, 40]


def test_one_network_of_a_table():
    grid = table(2, 'model=resnet8')
    assert grid.name == 'table2-resnet8' and {cell.column for cell in grid.cells} == {'ResNet8'}
    assert table(2, 'model=resnet8,smoke').name == 'table2-resnet8-smoke'


def test_notes_stand_where_what_they_are_about_is():
    everywhere, mnist, cifar = table(6).notes, table(6, 'model=mlp').notes, table(6, 'model=resnet8').notes
    about = [note for note in everywhere if note not in mnist]
    assert len(about) == 3 and all('CIFAR-10' in note or 'BatchNorm' in note for note in about)
    assert cifar == tuple(note for note in everywhere if note != DECAY[1]) and DECAY[1] in mnist
    assert all(isinstance(note, str) for note in everywhere)
    fewer = table(6, 'model=mlp,images=1000').notes
    assert sum('of the paper' in note or 'In the paper' in note for note in mnist) == 2
    assert not any('of the paper' in note or 'In the paper' in note for note in fewer)


def test_a_network_and_a_schedule_in_any_order():
    """The MLP has 50 of the table's 160 epochs: alone it is the longest."""
    for argument in 'model=mlp,epochs=10', 'epochs=10,model=mlp':
        grid = table(6, argument)
        assert grid.name == 'table6-mlp-epochs10' and '10 epochs instead of 50' in grid.title
        assert {cell.config.epochs for cell in grid.cells} == {10}


def test_fewer_images():
    for argument in 'images=1000,epochs=10', 'epochs=10,images=1000':
        grid = table(3, argument)
        assert grid.name == 'table3-epochs10-images1000' and 'the first 1,000 training images' in grid.title
        assert all(cell.config.data.train_images == 1000 and not cell.config.data.limit for cell in grid.cells)
        assert not any(cell.paper for cell in grid.cells)


def test_another_precision_is_another_cell_beside_the_paper_s_numbers():
    usual, fast = table(2, 'model=resnet8'), table(2, 'model=resnet8,precision=tf32')
    assert fast.name == 'table2-resnet8-tf32' and fast.title.endswith('(tf32)')
    for old, new in zip(usual.cells, fast.cells):
        assert (old.config.precision, new.config.precision) == ('float32', 'tf32') and new.paper == old.paper
        assert cell_name(old.config) != cell_name(new.config)


def test_every_part_of_a_schedule_keeps_its_share():
    """To the nearest epoch: 54 of 160 towards features, 32 of warm-up; what is None or 0 stays."""
    config = config_of('fsp_kd', **{'features.epochs': 54, 'method.warmup_epochs': 32})
    rescale(config, 11 / 160)
    assert (config.epochs, config.features.epochs, config.method.warmup_epochs) == (11, 4, 2)
    rescale(config, 1 / 1000)
    assert (config.epochs, config.features.epochs, config.method.warmup_epochs) == (2, 1, 1)
    for value in None, 0:
        config = config_of('fsp_kd', **{'epochs': 95, 'features.epochs': value, 'method.warmup_epochs': value})
        rescale(config, 0.25)
        assert (config.epochs, config.features.epochs, config.method.warmup_epochs) == (24, value, value)


def test_the_shortest_schedule_has_its_warm_up():
    """The MLP has two epochs here, a fifth of which is none."""
    configs = [resolve(cell.config) for cell in table(6, 'epochs=5').cells if cell.row.startswith('LE')]
    assert {(config.epochs, config.method.warmup_epochs) for config in configs} == {(2, 1), (5, 1)}


@pytest.mark.parametrize('argument, message', [
    ('smok', "unknown argument 'smok' after the colon of --config; choose from: smoke, epochs=N, images=N, "
     'precision=tf32 or bfloat16, model=NAME'),
    ('precision=float32', "unknown argument 'precision=float32'"),
    ('images=0', "'images=0' after the colon of --config: give a whole number of at least 1"),
    ('images=', "unknown argument 'images='"),
    ('epochs=1', "'epochs=1' after the colon of --config: give a whole number of at least 2"),
    ('epochs=x', "'epochs=x' after the colon of --config: give a whole number of at least 2"),
    ('model=vgg8', "unknown argument 'model=vgg8' .*; the networks are resnet14, resnet8"),
    ('images=1000,smoke,images=300', "'images' is given twice"), ('smoke,smoke', "'smoke' is given twice"),
])
def test_an_argument_that_means_nothing(argument, message):
    with pytest.raises(InputError, match=message):
        table(2, argument)


def test_adapt_leaves_the_grid_alone():
    grid = small('ce')
    adapt(grid, 'smoke')
    assert grid.cells[0].config.epochs == 160
