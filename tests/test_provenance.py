"""What a result was obtained with."""
import re
import subprocess

import pytest

import ikd
from ikd import provenance
from ikd.provenance import git_commit


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A small repository that ikd is said to lie in: git(*arguments)."""
    def git(*arguments):
        command = ['git', '-C', str(tmp_path), '-c', 'user.name=x', '-c', 'user.email=x', *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    for name in ('ikd/code.py', 'results/table.md'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text('old')
    monkeypatch.setattr(provenance, '__file__', str(tmp_path / 'ikd' / 'code.py'))
    return git


def test_the_commit_is_dirty_by_code_alone(repository, tmp_path, monkeypatch):
    """A table that is written anew changes nothing about what it was obtained with."""
    monkeypatch.setenv('IKD_COMMIT', 'told')
    assert git_commit() == 'told'
    repository('init', '-q')
    repository('add', 'results')
    repository('commit', '-qm', "somebody's own, in which ikd lies untracked")
    assert git_commit() == 'told'
    repository('add', '.')
    repository('commit', '-qm', 'x')
    commit = repository('rev-parse', 'HEAD')
    (tmp_path / 'results' / 'table.md').write_text('new')
    assert git_commit() == commit and len(commit) == 40
    (tmp_path / 'ikd' / 'code.py').write_text('new')
    assert git_commit() == f'{commit}-dirty'


def test_a_cpu_is_named():
    """JAX calls every CPU `cpu`, which says nothing of a time."""
    kind = provenance.provenance()['device']['kind']
    assert re.fullmatch(r'.*\w.*, \d+ cores', kind) and not kind.startswith('cpu')


def test_without_a_commit_ikd_has_its_version(monkeypatch):
    """As where it is installed by pip: else nothing would say which ikd it was."""
    for commit, said in ('abc', None), (None, ikd.__version__):
        provenance.provenance.cache_clear()
        monkeypatch.setattr(provenance, 'git_commit', lambda: commit)
        assert provenance.provenance()['versions'].get('ikd') == said
    provenance.provenance.cache_clear()


def test_the_commit_is_that_of_the_code_that_runs(monkeypatch):
    """What is checked out meanwhile is not what was imported."""
    provenance.provenance.cache_clear()
    monkeypatch.setattr(provenance, 'git_commit', lambda: 'before')
    assert provenance.provenance()['git_commit'] == 'before'
    monkeypatch.setattr(provenance, 'git_commit', lambda: 'after')
    assert provenance.provenance()['git_commit'] == 'before'
    provenance.provenance.cache_clear()
