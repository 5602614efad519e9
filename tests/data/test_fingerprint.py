"""The fingerprint of a folder of images: which files a run was trained and tested on."""
from configs import le_folder
from ikd import data, experiment, run_checks, run_data, stage_names
from ikd.data import folder
from ikd.recipes import recipe
from ikd.validation import resolve
from tests.data.test_folder import rejects


def test_the_fingerprint_names_the_images_not_the_place(write_folder, tmp_path):
    """The same wherever the folder is; another for an image more, renamed or of another size, and for a test set."""
    found = [folder.fingerprint(write_folder(tmp_path / place, {'a': 5, 'b': 5})) for place in ('one', 'two')]
    assert found[0] == found[1]
    write_folder(tmp_path / 'two', {'b': 1}, first=5)
    found.append(folder.fingerprint(tmp_path / 'two'))
    (tmp_path / 'two' / 'b' / '005.png').rename(tmp_path / 'two' / 'b' / '006.png')
    found.append(folder.fingerprint(tmp_path / 'two'))
    with open(tmp_path / 'two' / 'b' / '006.png', 'ab') as file:
        file.write(b'x')
    found.append(folder.fingerprint(tmp_path / 'two'))
    for part in 'train', 'test':
        write_folder(tmp_path / 'three' / part, {'a': 5, 'b': 5})
    found.append(folder.fingerprint(tmp_path / 'three'))
    assert len({*found[1:]}) == len(found) - 1 == 5


def test_runs_and_warm_ups_of_unlike_folders_are_kept_apart(write_folder, tmp_path):
    """Also once an image has come; a run that is there says so instead of going on with other images."""
    def of(place, **fields):
        config = le_folder.get_config('smoke')
        config.data.dir = str(tmp_path / place)
        config.data.update(fields)
        return resolve(config)

    def names(config):
        return experiment.default_workdir(config, 'x').name, stage_names.stage_name(config, recipe(config), 0)

    for place, count in ('cats', 5), ('copy', 5), ('dogs', 6):
        write_folder(tmp_path / place, {'a': count, 'b': 5})
    cats = of('cats')
    assert names(cats) == names(of('copy'))
    assert all(a != b for a, b in zip(names(cats), names(of('dogs'))))
    run = tmp_path / 'run'
    experiment.open_workdir(cats, run, data.description(run_data.load_data(cats)))
    run_checks.check_identity(of('copy'), run)
    rejects(lambda: run_checks.check_identity(of('dogs'), run), 'files were added, removed or changed in')
    write_folder(tmp_path / 'cats', {'b': 1}, first=5)
    rejects(lambda: run_checks.check_identity(of('cats'), run), 'put them back, or choose another --workdir')
    gone = of('cats')
    gone.data.fingerprint = None  # as of a folder that is not there
    run_checks.check_identity(gone, run)
    gone.epochs += 1
    rejects(lambda: run_checks.check_identity(gone, run), 'holds another experiment: data.fingerprint')
    kept = cats.data.fingerprint  # as a config.json says
    assert of('cats', fingerprint=kept).data.fingerprint == kept


def test_the_fingerprint_says_which_images_are_tested_on(write_folder, tmp_path):
    """Where one comes to the test set alone, and where one goes from the end of the one part to the other's start."""
    found = []
    for place, count in ('one', 10), ('two', 11):
        train = write_folder(tmp_path / place / 'train', {'a': 10, 'b': 10})
        for path in sorted(train.glob('*/*.png'), key=folder._digest)[count:]:
            new = tmp_path / place / 'test' / path.parent.name / path.name
            new.parent.mkdir(parents=True, exist_ok=True)
            path.rename(new)
        found.append(folder.fingerprint(tmp_path / place))
    write_folder(tmp_path / 'two' / 'test', {'b': 1}, first=10)
    found.append(folder.fingerprint(tmp_path / 'two'))
    assert len({*found}) == 3
