"""What stands below the pictures of a run in its report."""
import html

import pytest

from ikd.report.gallery import figure1
from ikd.report.runs import Run


@pytest.mark.parametrize('explainer, similarity, parts', [
    ('grad_cam', 'cosine', ['its similarity to the map', 'framed. Red: speaks for the class, blue: against']),
    ('grad', 'wasserstein', ['its similarity (wasserstein) to the map', "Red: more of it would raise the class's"])])
def test_how_to_read_the_maps(tmp_path, explainer, similarity, parts):
    (tmp_path / 'explanations.png').write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(30))
    fields = {'method.explainer': explainer, 'method.similarity': similarity}
    said = html.unescape(figure1(Run(tmp_path, 'le', {}, fields, None, [], [], [])))
    assert all(part in said for part in (*parts, 'each map is scaled to its own largest value.'))
