"""Archives that are on disk, once, whole and with the right checksum."""

import contextlib
import hashlib
import http.client
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from ikd.errors import InputError
from ikd.files import whole


def fetch(name, url_infos, directory):
    """Makes sure that directory/downloads/ikd/<name> holds every archive of url_infos, and returns it.

    A file that is already there, in directory/downloads/manual or in directory is used if its size and sha256
    are right; others are downloaded. Raises InputError that lists what is still needed if that fails.
    """
    folder = Path(directory) / 'downloads' / 'ikd' / name
    manual = Path(directory) / 'downloads' / 'manual'
    folder.mkdir(parents=True, exist_ok=True)
    needed = {}
    for url, info in url_infos.items():
        target = folder / info.filename
        places = (target, manual / info.filename, Path(directory) / info.filename)
        found = [path for path in places if _is_official(path, info)]
        if not found:
            needed[url] = info
        elif found[0] != target:
            with open(found[0], 'rb') as source, atomic(target) as file:
                shutil.copyfileobj(source, file)
    while needed:
        url, info = next(iter(needed.items()))
        try:
            _download(url, info, folder / info.filename)
        except (OSError, http.client.HTTPException) as error:
            files = ', '.join(f'{info.filename} from {url}' for url, info in needed.items())
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection
            with contextlib.suppress(OSError):  # what holds something stays
                for empty in folder, folder.parent, folder.parent.parent:
                    empty.rmdir()
            reason = ' '.join(f'{error}'.split()) or type(error).__name__
            raise InputError(f'{name} is not in {directory} and could not be downloaded ({reason}): name the folder '
                             f'that has it, or put these files, unchanged, into {directory} and run again: {files}'
                             ) from error
        del needed[url]
    return folder


def _download(url, info, target):
    digest, received = hashlib.sha256(), 0
    print(f'Fetching {url} ({info.size / 1e6:.1f} MB)', file=sys.stderr)
    # disable=None shows a bar on terminals only.
    with (urllib.request.urlopen(url, timeout=60) as response,
          atomic(target) as file,
          tqdm(total=int(info.size), unit='B', unit_scale=True, desc=info.filename, disable=None) as bar):
        while received <= info.size and (block := response.read(2**16)):
            file.write(block)
            digest.update(block)
            received += len(block)
            bar.update(len(block))
        if received != info.size or digest.hexdigest() != info.checksum:
            raise OSError(f'{url} gave {received} bytes with sha256 {digest.hexdigest()}, '
                          f'not {int(info.size)} with {info.checksum}')


def _is_official(path, info):
    if not path.is_file() or path.stat().st_size != info.size:
        return False
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest() == info.checksum


@contextlib.contextmanager
def atomic(target):
    """Yields a new binary file to write to, which takes its place as target only if all goes well."""
    with whole(target) as part:
        part.unlink(missing_ok=True)
        with open(part, 'xb') as file:  # x: not through a link that somebody put there
            yield file
