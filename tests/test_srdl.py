"""The two stages of SRDL: where they end, what the second starts from and sees."""
import pytest

from ikd import stages
from ikd.recipes import recipe
from tests.small_run import states, steps
from tests.test_stages import make_config

pytestmark = pytest.mark.usefixtures('without_pictures')


def test_srdl_variants():
    """Restart and schedule say what stage two starts from; with one schedule its place is where stage one ended."""
    def second(**fields):
        config = make_config('srdl', epochs=8, **fields)
        stage = recipe(config)[1]
        _, schedule = stage.optimizer(config.optimizer, 10, stage.span or stage.epochs)
        return recipe(config)[0], stage, schedule

    first, stage, schedule = second()
    assert (first.epochs, stage.epochs, stage.start) == (4, 4, stages.fresh)
    assert (float(schedule(0)), float(schedule(25))) == pytest.approx((0.1, 0.01))
    first, stage, schedule = second(**{'srdl.schedule': 'global', 'srdl.split': 0.25})
    assert (first.epochs, stage.epochs, first.span, stage.span) == (2, 6, 8, 8)
    assert (float(schedule(0)), float(schedule(20)), float(schedule(40))) == pytest.approx((0.1, 0.01, 0.001))
    assert second(**{'srdl.restart': 'weights'})[1].start is stages.weights_only
    assert second(**{'srdl.restart': 'weights', 'srdl.schedule': 'global'})[1].start is stages.continued
    assert second(**{'srdl.targets': 'plain'})[1].augmented is False


@pytest.mark.parametrize('split, first', [(0.45, 4), (0.5, 4), (0.01, 1), (0.99, 7)])
def test_where_the_first_stage_of_srdl_ends(split, first):
    """At the nearest epoch of eight; both stages have at least one."""
    listed = recipe(make_config('srdl', epochs=8, **{'srdl.split': split}))
    assert [stage.epochs for stage in listed] == [first, 8 - first]


def test_a_teacher_of_plain_images_does_not_see_the_augmentation():
    """A student equal to its teacher and without BatchNorm disagrees with it only where the crops differ."""
    divergence = {}
    for targets in ('augmented', 'plain'):
        config = make_config('srdl', **{'srdl.targets': targets, 'data.augment': 'crop_flip', 'model.name': 'mlp'})
        job, (first, second) = states(config, (0, 1))
        same = second._replace(params=first.params)
        divergence[targets] = steps(job, 1, same, first, count=1)[1]['distillation'][0]
    assert abs(divergence['augmented']) < 1e-5 < 1e-4 < divergence['plain']
