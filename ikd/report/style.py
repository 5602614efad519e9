"""How a report looks, and the few lines with which its curves answer a pointer."""

MOST_RUNS = 8
LIGHT = ['#2f6aa3', '#c4504f', '#2c8540', '#a97800', '#9a3f93', '#16859c', '#7a4a2b', '#55585f']
DARK = ['#79b0e8', '#f08b84', '#6cc57c', '#e0b54a', '#d98fd2', '#5fc8de', '#cf9a74', '#a9adb6']


def _colours(names):
    return ' '.join(f'--run{i}: {name};' for i, name in enumerate(names))


def _runs():
    """A run's colour, and that its curves go when its box in the legend is not ticked."""
    rules = [f'.run{i} {{ --own: var(--run{i}); }}\n'
             f'body:has(#show{i}:not(:checked)) .curve .run{i} {{ display: none; }}' for i in range(MOST_RUNS)]
    return '\n'.join(rules)


STYLE = f"""
:root {{ --paper: #fdfcf9; --ink: #1d1c1a; --soft: #66625b; --line: #d9d5cc; --strong: #1d1c1a; --tint: #f4f1ea;
  {_colours(LIGHT)} }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #17181a; --ink: #e6e3dc; --soft: #a29e96; --line: #383a3d; --strong: #b9b5ad; --tint: #212326;
    {_colours(DARK)} }}
}}
{_runs()}
""" + """
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 62rem; overflow-wrap: anywhere;
  font: 1.0625rem/1.55 "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, "Liberation Serif", serif;
  font-variant-numeric: lining-nums tabular-nums; }
p, figure, table { margin: 0; }
p { max-width: 44rem; }
a { color: inherit; }
h1 { font-size: clamp(1.6rem, 5vw, 2.3rem); font-weight: 500; line-height: 1.2; letter-spacing: -.01em;
  margin: 0 0 .75rem; text-wrap: balance; }
h2 { font-size: 1.25rem; font-weight: 600; margin: 3.25rem 0 .9rem; }
h3 { font-size: 1.0625rem; font-weight: 600; font-style: italic; margin: 1.9rem 0 .5rem; }
.headline { margin: 1.6rem 0 0; display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem .9rem; }
.headline b { font-size: clamp(2.4rem, 9vw, 3.5rem); font-weight: 400; line-height: 1.1; letter-spacing: -.02em; }
.headline span, .caption, figcaption, .note, .readout, summary, dt { color: var(--soft); }
.caption, figcaption, .note, .readout, .legend { font-size: .9rem; line-height: 1.45; }
.caption, figcaption { margin-top: .6rem; max-width: 44rem; }
.banner { border-left: 3px solid var(--run1); padding: .1rem 0 .1rem .9rem; margin: 1.4rem 0 0; }
code, pre { font: .86em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--tint); border-radius: 4px; padding: .8rem 1rem; margin: .5rem 0; white-space: normal; }
.command span { display: inline-block; max-width: 100%; }
.scroll { overflow-x: auto; max-width: 100%; background:
    linear-gradient(to right, var(--paper) 40%, transparent) left / 2.5rem 100% no-repeat local,
    linear-gradient(to left, var(--paper) 40%, transparent) right / 2.5rem 100% no-repeat local,
    linear-gradient(to right, var(--line), transparent) left / .8rem 100% no-repeat,
    linear-gradient(to left, var(--line), transparent) right / .8rem 100% no-repeat; }
.scroll + .scroll { margin-top: 1.4rem; }
table { border-collapse: collapse; border-block: 1.5px solid var(--strong); font-size: .95rem; line-height: 1.35; }
th { font-weight: 600; border-bottom: 1px solid var(--strong); vertical-align: bottom; }
th, td { text-align: right; padding: .38rem 0 .38rem 1.25rem; white-space: nowrap; overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 7rem; }
tbody tr + tr td { border-top: 1px solid var(--line); }
td small { display: block; color: var(--soft); }
.words th, .words td { text-align: left; vertical-align: top; }
.run::before { content: ""; display: inline-block; width: .85em; height: .2em; margin-right: .45em;
  vertical-align: .25em; background: var(--own); border-radius: 1px; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; padding: .4rem 0 1rem; }
.legend label { display: inline-flex; align-items: baseline; gap: .45rem; cursor: pointer; }
.legend input { accent-color: var(--own); margin: 0; transform: translateY(.1em); }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18.5rem), 1fr));
  gap: 1.7rem 2rem; }
.curve h4 { font-size: .95rem; font-weight: 600; margin: 0 0 .25rem; }
.curve svg { display: block; width: 100%; height: auto; touch-action: pan-y; overflow: visible; }
.curve text { font-size: 11px; fill: var(--soft); stroke: none; }
.curve .grid { stroke: var(--line); stroke-width: 1; }
.curve .cursor { stroke: var(--soft); stroke-width: 1; visibility: hidden; }
.curve .reading .cursor { visibility: visible; }
.curve polyline { fill: none; stroke: var(--own); stroke-linejoin: round; stroke-linecap: round; stroke-width: 2; }
.curve circle { fill: var(--own); stroke: none; }
.curve .trial { opacity: .45; }
.curve .trial polyline { stroke-width: .9; }
.curve polyline, .curve line { vector-effect: non-scaling-stroke; }
.readout { display: flex; flex-wrap: wrap; gap: 0 1rem; margin-top: .3rem; }
.picture { margin-top: 1.2rem; }
.picture .scroll { width: fit-content; background: #fff; border-radius: 4px; border: 1px solid var(--line); }
img { display: block; max-width: 100%; height: auto; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 1.6rem; }
.pictures .picture:nth-child(3) { grid-column: 1 / -1; }
details { margin-top: 1.2rem; }
summary { cursor: pointer; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.5rem; margin: 1rem 0 0; }
dd { margin: 0; }
@media (max-width: 34rem) {
  body { padding: 1.5rem 1rem 3.5rem; font-size: 1rem; }
  th, td { padding-left: 1.1rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd + dt { margin-top: .6rem; }
  .picture img { width: auto; max-width: 42rem; min-width: 100%; }
}
@media print {
  body { max-width: none; }
  figure { break-inside: avoid-page; }
  .legend input { display: none; }
}
"""

# Without it the numbers below a plot are those of the last epoch; with it those under the pointer.
SCRIPT = """
for (const plot of document.querySelectorAll('.curve')) {
  const svg = plot.querySelector('svg'), cursor = plot.querySelector('.cursor');
  const cells = plot.querySelectorAll('.readout b'), {places, epochs, values} = JSON.parse(plot.dataset.values);
  const last = Array.from(cells, cell => cell.textContent);
  const write = texts => cells.forEach((cell, i) => cell.textContent = texts[i]);
  svg.addEventListener('pointermove', event => {
    const x = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
    const near = places.reduce((best, place, i) => Math.abs(place - x) < Math.abs(places[best] - x) ? i : best, 0);
    cursor.setAttribute('x1', places[near]);
    cursor.setAttribute('x2', places[near]);
    svg.classList.add('reading');
    write([epochs[near], ...values.map(run => run[near])]);
  });
  svg.addEventListener('pointerleave', () => { svg.classList.remove('reading'); write(last); });
}
"""
