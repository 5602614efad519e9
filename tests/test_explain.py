"""Why a network says so: for images of any kind, without the data it was trained on, every number checked."""
import json
import pathlib
import re
import shutil
import sys

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from PIL import Image

from configs import le_folder
from ikd import epochs, experiment, explain, explained
from ikd.errors import InputError
from ikd.evaluation import images as given
from ikd.pictures import overlays
from ikd.recipes import RECIPES
from ikd.trained import load

NAMES = tuple(sorted('zero one two three four five six seven eight nine'.split()))


@pytest.fixture(scope='module')
def run(digits_folder, tmp_path_factory):
    """The directory of a finished run of an MLP on a folder of images that is not there any more."""
    folder = tmp_path_factory.mktemp('photos')
    shutil.copytree(digits_folder, folder / 'digits')
    config = le_folder.get_config('smoke')
    config.update_from_flattened_dict({'data.dir': str(folder / 'digits'), 'data.augment': 'none', 'epochs': 4,
                                       'model.name': 'mlp', 'optimizer.learning_rate': 0.02})
    workdir = tmp_path_factory.mktemp('explained') / 'run'
    with pytest.MonkeyPatch.context() as patch:
        for module in epochs, experiment:
            patch.setattr(module, 'draw', lambda *args, **more: Figure())
        experiment.run(config, workdir, jax.devices()[:1])
    shutil.rmtree(folder)
    return workdir


@pytest.fixture
def odd(digits_folder, tmp_path):
    """A folder of images as people have them, each of a digit: name -> its uint8 [8, 8] where nothing is resized."""
    folder = tmp_path / 'odd'
    (folder / 'three').mkdir(parents=True)
    (folder / '.hidden').mkdir()
    grey = {name: np.asarray(Image.open(min((digits_folder / name).iterdir()))) for name in NAMES}
    save = lambda pixels, name: Image.fromarray(pixels).save(folder / name)
    save(grey['zero'], 'grey.png')
    save(grey['three'].astype(np.uint16) * 257, 'three/deep.png')
    save(np.dstack([grey['one']] * 3 + [np.full((8, 8), 255, np.uint8)]), 'rgba.png')
    Image.fromarray(grey['two']).convert('P').save(folder / 'palette.gif')
    Image.fromarray(grey['four']).resize((900, 1200)).save(folder / 'huge.jpg')
    save(grey['five'][:1, :2], 'tiny.bmp')
    Image.fromarray(grey['six']).resize((300, 300)).save(folder / 'cut.jpg')
    (folder / 'cut.jpg').write_bytes((folder / 'cut.jpg').read_bytes()[:1000])
    (folder / 'text.png').write_text('no image')
    (folder / 'notes.txt').write_text('left alone')
    save(grey['six'], '.hidden/six.png')
    return folder, {'grey.png': grey['zero'], 'deep.png': grey['three'], 'rgba.png': grey['one'],
                    'palette.gif': grey['two']}


def command(monkeypatch, capsys, *arguments):
    """The command line: (exit code, stdout, stderr)."""
    monkeypatch.setattr(sys, 'argv', ['explain', *map(str, arguments)])
    code = 0
    try:
        explain.cli()
    except SystemExit as error:
        code = error.code
    return code, *capsys.readouterr()


def test_a_folder_of_odd_images(run, odd, tmp_path, monkeypatch, capsys):
    """All that can be read is explained; numbers agree with the network, NumPy's cosine and one another."""
    folder, known = odd
    out = tmp_path / 'out'
    code, said, told = command(monkeypatch, capsys, f'--workdir={run}', f'--images={folder}', f'--out={out}')
    assert code == 0
    (cut, why), (text, reason) = re.findall(r'^ikd: skipped \S*/(\S+) \((.*)\)$', told, re.MULTILINE)
    assert (cut, text) == ('cut.jpg', 'text.png') and 'truncated' in why and reason.startswith('not of PNG, JPEG')
    with np.load(out / 'explanations.npz') as file:
        arrays = dict(file)  # without pickles, as numpy.load refuses them by default
    files = [pathlib.Path(name).name for name in arrays['files']]
    assert files == ['grey.png', 'huge.jpg', 'palette.gif', 'rgba.png', 'deep.png', 'tiny.bmp']
    assert tuple(arrays['class_names']) == NAMES
    for name, pixels in known.items():
        np.testing.assert_array_equal(arrays['images'][files.index(name), ..., 0], pixels)
    three = NAMES.index('three')
    assert arrays['labels'].tolist() == [-1, -1, -1, -1, three, -1]

    trained = load(run, images=False)
    assert trained.dataset.train_images.shape == (0, 8, 8, 1)
    x = (arrays['images'] / 255 - trained.dataset.mean) / np.array(trained.dataset.std)
    logits = np.asarray(trained.model.apply(trained.variables, x.astype(np.float32), train=False)[0], np.float64)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(arrays['probabilities'], powers / powers.sum(1, keepdims=True), atol=1e-5)
    reference = np.where(arrays['labels'] < 0, logits.argmax(1), arrays['labels'])
    np.testing.assert_array_equal(arrays['reference'], reference)
    maps = arrays['maps_grad'].reshape(6, 10, -1).astype(np.float64)
    nudge = np.zeros((1, 8, 8, 1), np.float32)
    nudge[0, 3, 4] = 1e-2  # a finite difference where the logits are almost linear
    moved = [np.asarray(trained.model.apply(trained.variables, x[:1].astype(np.float32) + sign * nudge,
                                            train=False)[0], np.float64) for sign in (1, -1)]
    np.testing.assert_allclose(arrays['maps_grad'][0, :, 3, 4, 0], (moved[0] - moved[1])[0] / 2e-2, atol=0.02)
    true = maps[np.arange(6), reference]
    cosines = (maps * true[:, None]).sum(-1) / np.linalg.norm(maps, axis=-1) / np.linalg.norm(true, axis=-1)[:, None]
    np.testing.assert_allclose(arrays['similarities_grad'], cosines, atol=1e-5)

    assert {path.name for path in out.iterdir()} == {
        'explanations.npz', *(f'{name.partition(".")[0]}-grad.png' for name in files)}
    first = NAMES[logits[0].argmax()]
    assert re.search(rf'grey\.png: {first} {arrays["probabilities"][0].max():.2f}, .*grey-grad\.png', said)
    assert '6 pictures and explanations.npz' in said and 'hidden' not in said + told
    assert imread(out / 'grey-grad.png').shape[1] > 1000


def test_all_explainers_side_by_side(run, digits_folder, tmp_path, monkeypatch, capsys):
    """A row for each that applies, and the reason why another does not."""
    shown = []
    monkeypatch.setattr(explained, 'overlay_figure', lambda *args: shown.append(args) or Figure())
    image = min((digits_folder / 'one').iterdir())
    explainers = ('grad', 'grad_input')
    answer = explainers, {'grad_cam': 'it has no feature map'}
    monkeypatch.setattr(explained, 'explainers_for', lambda *args: answer)
    code, said, _ = command(monkeypatch, capsys, f'--workdir={run}', f'--images={image}', '--explainers=all',
                            f'--out={tmp_path}')
    assert code == 0 and 'not for this network: grad_cam (it has no feature map)' in said
    (name, _, _, rows, *_, notes), = shown
    assert name == image.name and tuple(rows) == explainers and 'no feature map' in notes[0]
    with np.load(tmp_path / 'explanations.npz') as arrays:
        np.testing.assert_allclose(arrays['maps_grad_input'][0], load(run, images=False).dataset.std[0] ** -1 * (
            arrays['images'][0] / 255 - load(run, images=False).dataset.mean) * arrays['maps_grad'][0], atol=1e-5)
        assert arrays['labels'] == NAMES.index('one')


def test_several_images_and_explainers(run, odd, tmp_path, monkeypatch, capsys):
    """As a shell writes out photos/*.png, and as `ikd.evaluate` takes explainers."""
    images, shown, drawn = [odd[0] / name for name in ('grey.png', 'rgba.png')], [], overlays.overlay_figure
    monkeypatch.setattr(explained, 'overlay_figure', lambda *args: shown.append(args) or drawn(*args))
    code, said, _ = command(monkeypatch, capsys, f'--workdir={run}', '--explainers=grad_input,grad',
                            f'--out={tmp_path}', '--images', images[0], f'--images={images[1]}')
    assert code == 0 and (tmp_path / 'rgba-grad_input-grad.png').exists()
    with np.load(tmp_path / 'explanations.npz') as arrays:
        assert [*arrays['files']] == [*map(str, images)] and {'maps_grad', 'maps_grad_input'} <= {*arrays}
        for i, (name, image, classes, rows, probabilities, *_) in enumerate(shown):
            assert name == images[i].name and [*classes] == [*range(10)]
            np.testing.assert_array_equal(image, arrays['images'][i])
            np.testing.assert_array_equal(probabilities, arrays['probabilities'][i])
            for explainer, (maps, similarities) in rows.items():
                np.testing.assert_array_equal(maps, arrays[f'maps_{explainer}'][i])
                np.testing.assert_array_equal(similarities, arrays[f'similarities_{explainer}'][i])


def test_a_method_of_ones_own_comes_with_its_file(run, odd, tmp_path, monkeypatch, capsys):
    """Here the run's method, which is then not ikd's."""
    method = load(run, images=False).config.method.name
    (tmp_path / 'mine.py').write_text(f'from ikd.recipes import RECIPES, plain\nRECIPES[{method!r}] = plain.ce\n')
    monkeypatch.delitem(RECIPES, method)
    arguments = f'--workdir={run}', f'--images={odd[0]}/grey.png', f'--out={tmp_path}'
    code, _, told = command(monkeypatch, capsys, *arguments)
    assert code == 2 and f"the method '{method}', which is not known here; name the file that brings it with" in told
    code, said, _ = command(monkeypatch, capsys, *arguments, f'--config={tmp_path}/mine.py:smoke')
    assert code == 0 and 'grey.png: ' in said


def test_which_explainers_apply_is_the_networks_to_say(run, monkeypatch):
    names, notes = explained.chosen('all', load(run, images=False))
    assert {'grad', 'grad_input', 'guided_backprop'} <= {*names} and 'grad_cam' not in names
    assert any(note.startswith('not for this network: grad_cam (') for note in notes)


def test_test_images_need_the_data(run, digits_folder, tmp_path, monkeypatch, capsys):
    """Where the data is told anew, one of each class is shown; without data.json it is read for your images, too."""
    monkeypatch.setattr(explained, 'EXAMPLES', 3)
    workdir = tmp_path / 'run'
    shutil.copytree(run, workdir)
    code, said, told = command(monkeypatch, capsys, f'--workdir={workdir}')
    assert (code, said) == (2, '') and told.count('\n') == 1 and 'say with --data where it is now' in told
    code, said, _ = command(monkeypatch, capsys, f'--workdir={workdir}', f'--data={digits_folder}')
    assert code == 0
    shown = re.findall(f'^{digits_folder}/([a-z]*)/.*png: ', said, re.MULTILINE)
    assert len(shown) == 3
    with np.load(workdir / 'explained' / 'explanations.npz') as arrays:
        assert [NAMES.index(name) for name in shown] == [*arrays['labels']] == [*arrays['reference']] == [0, 1, 2]
    (workdir / 'data.json').unlink()
    image = min((digits_folder / 'one').iterdir())
    yours = f'--workdir={workdir}', f'--images={image}'
    assert command(monkeypatch, capsys, *yours)[0] == 2
    assert command(monkeypatch, capsys, *yours, f'--data={digits_folder}')[0] == 0
    (workdir / 'data.json').write_text(json.dumps({'class_names': ['a']}))
    code, _, told = command(monkeypatch, capsys, *yours)
    assert code == 2 and told.count('\n') == 1 and 'remove the file data.json' in told


def test_a_folder_that_has_changed_is_refused(run, digits_folder, tmp_path):
    """Its split and its classes would be others. A run without a fingerprint is held against its data.json."""
    workdir, folder = tmp_path / 'run', tmp_path / 'digits'
    shutil.copytree(run, workdir)
    shutil.copytree(digits_folder, folder)

    def refused(*words):
        with pytest.raises(InputError) as error:
            load(workdir, data_dir=folder)
        assert all(word in str(error.value) for word in (*words, '--data')) and '\n' not in str(error.value)

    described = json.loads((workdir / 'data.json').read_text())
    (workdir / 'data.json').write_text(json.dumps({**described, 'mean': [0.25]}))
    assert load(workdir, data_dir=folder).dataset.mean == (0.25,)
    shutil.copy(min((folder / 'one').iterdir()), folder / 'one' / 'more.png')
    refused('files were added', str(folder))
    assert load(workdir, images=False).class_names == NAMES
    config = json.loads((workdir / 'config.json').read_text())
    config['data']['fingerprint'] = None
    (workdir / 'config.json').write_text(json.dumps(config))
    refused('its images, labels or their order are others now')
    shutil.copytree(folder / 'one', folder / 'zzz')
    refused('class 10 was not there and is zzz now')
    shutil.rmtree(folder / 'zzz')
    (workdir / 'data.json').write_text(json.dumps({**described, 'image_shape': [9, 9, 1]}))
    refused('images were 9x9x1 and are 8x8x1 now')
    (workdir / 'data.json').unlink()
    assert load(workdir, data_dir=folder).dataset.mean != (0.25,)


@pytest.mark.parametrize('arguments, parts', [
    (['--workdir=nowhere'], ['nowhere', '--workdir']),
    (['--workdir={run}', '--images={odd}/text.png,{odd}/none.png'], ['no image is left', '--images']),
    (['--workdir={run}', '--images={odd}/.hidden/none'], ['no image is left']),
    (['--workdir={run}', '--images={odd}/nothing'], ['has no image (.png']),
    (['--workdir={run}', '--images={odd}', '--explainers=gradcam'], ["no 'gradcam'; choose from grad, ", ', or all']),
    (['--workdir={run}', '--images={odd}', '--explainers=grad_cam'], ['does not go with', 'choose from']),
    (['--workdir={run}', '--images={odd}', '--explainers=grad,gradcam'], ["--explainers: no 'gradcam'"]),
    (['--workdir={run}', '--images='], ['--images names nothing']),
    (['--workdir={run}', '--images={odd}', '--explainers='], ["--explainers: no ''"]),
    (['--workdir={run}', '--images={odd}/empty/round'], ['no image is left']),
    (['--workdir={run}', '--images={odd}', '--config=nowhere.py'], ['there is no file nowhere.py']),
    (['--workdir={run}', '--images={odd}', '--seed=7'], ['no trial of seed 7']),
    (['--workdir={run}', '--images={odd}/grey.png', '--out={odd}/grey.png'], ['cannot write', '--out']),
])
def test_bad_input_is_one_line_and_exit_code_2(arguments, parts, run, odd, monkeypatch, capsys):
    (odd[0] / 'nothing').mkdir()
    (odd[0] / 'empty' / 'round').mkdir(parents=True)
    (odd[0] / 'empty' / 'round' / 'loop.png').symlink_to('loop.png')
    code, said, told = command(monkeypatch, capsys, *(text.format(run=run, odd=odd[0]) for text in arguments))
    assert (code, said) == (2, '')
    *skipped, last = told.splitlines()
    assert all('skipped' in line for line in skipped) and last.startswith('ikd: ')
    for part in parts:
        assert part in last


def test_of_a_seed_that_is_named(run, odd, monkeypatch, capsys, tmp_path):
    """What another seed has left is not replaced."""
    workdir = tmp_path / 'run'
    shutil.copytree(run, workdir)
    (workdir / 'explained').mkdir()
    (workdir / 'explained' / 'grey-grad.png').write_text('of the first')
    seed = load(run, images=False).seed
    arguments = f'--workdir={workdir}', f'--images={odd[0]}/grey.png', f'--seed={seed}'
    assert command(monkeypatch, capsys, *arguments)[0] == 0
    assert (workdir / 'explained' / 'grey-grad.png').read_text() == 'of the first'
    found = {path.name for path in (workdir / 'explained' / f'seed{seed}').iterdir()}
    assert found == {'grey-grad.png', 'explanations.npz'}


def test_maps_that_do_not_fit_into_memory(run, odd, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(given, 'half_of_memory', lambda: 4 * 10 * 64 * 6 - 1)
    code, _, told = command(monkeypatch, capsys, f'--workdir={run}', f'--images={odd[0]}', f'--out={tmp_path}/out')
    assert code == 2 and '15,360 bytes' in told and 'give fewer images' in told
