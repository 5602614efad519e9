"""Names that a page must not take for more than text, and what a page says."""
import html
import re

CLASSES = ('<img src=x onerror="document.title=1">', "<script>document.title=2;'", 'plain & simple')
NAME = '<img src=x onerror=document.title=3> \'"&'


def text_of(page):
    """What a page says, without its tags; a space where one was."""
    body = re.sub('<(style|script)>.*?</', '</', page, flags=re.DOTALL)
    return ' '.join(html.unescape(re.sub('<[^>]*>', ' ', body)).split())
