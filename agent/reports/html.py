"""A report as one HTML page: no script, nothing fetched, printable on A4. Whatever comes from outside is escaped.

Figures of charts also stand in tables, since many mail programs leave SVG out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from agent.host.text import clean
from agent.reports import charts
from agent.reports.document import Block, Chart, Code, Document, Heading, Item, Items, Para, Picture, Table, clock

LONGEST = 4000
SHORT = 28
"""Characters up to which a column is not broken into lines: a moment, a name, a state."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Even if something slipped through, a browser would fetch and run nothing."""
STYLE = """
@page{size:A4;margin:15mm 14mm}
body{font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;color:#1c1c1c;background:#fff;max-width:52rem;
margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .3rem}h2{font-size:1.12rem;margin:1.7rem 0 .5rem;padding-bottom:.2rem;
border-bottom:1px solid #d8d8d8}h3,h4{font-size:1rem;margin:1.1rem 0 .3rem}h4{font-size:.92rem;color:#444}
p{margin:.4rem 0}.soft{color:#666}
.badge{display:inline-block;font-size:.72rem;font-weight:700;letter-spacing:.04em;color:#fff;border-radius:4px;
padding:.15rem .5rem;
vertical-align:middle;margin-left:.5rem}
.critical{background:#b3261e}.warning{background:#b06000}.notice{background:#1a56a8}.ok{background:#1b7f3b}
table{border-collapse:collapse;width:100%;margin:.5rem 0 .8rem;font-size:.92em}th,td{text-align:left;vertical-align:top;
padding:.25rem .6rem .25rem 0;border-bottom:1px solid #ececec;overflow-wrap:anywhere}
th{font-weight:600;color:#555;white-space:nowrap}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}td.k{color:#555;white-space:nowrap;width:1%}td.s{white-space:nowrap}
ul,ol{margin:.4rem 0;padding-left:1.3rem}li{margin:.2rem 0;overflow-wrap:anywhere}
code,pre{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.92em}
code{background:#f3f3f1;padding:.05rem .25rem;border-radius:3px}
pre{background:#f6f6f4;padding:.5rem .7rem;border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere}
figure{margin:.7rem 0 1rem}figcaption{font-weight:600;margin-bottom:.2rem}
figure svg,figure img{width:100%;max-width:100%;height:auto}
.spark{letter-spacing:-1px;white-space:nowrap}
@media print{body{font-size:10.5pt;max-width:none;margin:0;padding:0}h2,h3,h4,figcaption{break-after:avoid}
figure,tr,pre,li{break-inside:avoid}.badge,code,pre{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


def page(document: Document) -> str:
    """The whole page."""
    badge = f'<span class="badge {text(document.tone)}">{text(document.badge.upper())}</span>' if document.badge else ""
    drawn = charts.available()
    body = "\n".join(_block(block, drawn) for block in document.blocks)
    if not drawn and any(isinstance(block, Chart) for block in document.blocks):
        body += f'\n<p class="soft">{text(charts.MEND)}</p>'
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{text(document.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{text(document.title)}{badge}</h1>\n<p class="soft">{text(document.under)}</p>\n{body}\n</body>\n</html>\n'
    )


def text(said: str) -> str:
    """Text that stays text."""
    return escape(clean(said, LONGEST), quote=True)


def _block(block: Block, drawn: bool) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{text(block.text)}</h{block.level}>"
        case Para():
            return f'<p class="soft">{text(block.text)}</p>' if block.soft else f"<p>{text(block.text)}</p>"
        case Items():
            tag = "ol" if block.numbered else "ul"
            return f"<{tag}>{''.join(f'<li>{_item(item)}</li>' for item in block.items)}</{tag}>"
        case Table():
            return _table(block.head, block.rows, block.figures)
        case Code():
            return "<pre>" + "\n".join(text(line) for line in block.text.splitlines()) + "</pre>"
        case Chart():
            return _chart(block, drawn)
        case Picture():
            return _picture(block)


def _item(item: Item) -> str:
    return text(item.text) + (f" → <code>{text(item.command)}</code>" if item.command else "")


def _table(
    head: Iterable[str], rows: Iterable[Sequence[str]], figures: frozenset[int] = frozenset(), colours: Sequence[str] = ()
) -> str:
    """A table; with ``colours`` each row begins with the sign of its line."""
    names, cells = [*head], [*rows]
    longest = [max((len(row[n]) for row in cells), default=0) for n in range(len(names))]
    kinds = ["n" if n in figures else "s" if size <= SHORT else "" for n, size in enumerate(longest)]
    if not any(names):
        kinds[0] = "k"
    classes = [f' class="{kind}"' if kind else "" for kind in kinds]
    top = "<thead><tr>" + "".join(f"<th{c}>{text(n)}</th>" for n, c in zip(names, classes, strict=True)) + "</tr></thead>"
    body = ""
    for number, row in enumerate(cells):
        sign = f'<span style="color:{colours[number % len(colours)]}">■</span> ' if colours else ""
        told = [text(v) for v in row]
        told[0] = sign + told[0]
        body += "<tr>" + "".join(f"<td{c}>{v}</td>" for v, c in zip(told, classes, strict=True)) + "</tr>"
    return f"<table>{top if any(names) else ''}<tbody>{body}</tbody></table>"


def _chart(chart: Chart, drawn: bool) -> str:
    seen = charts.svg(chart) if drawn else ""
    marks = "".join(f", {mark.text} {clock(mark.time)}" for mark in chart.marks)
    span = f'<p class="soft">{text(f"{clock(chart.since)} to {clock(chart.until)}{marks}")}</p>'
    rows = charts.readings(chart)
    if drawn:  # the picture shows the course, the table which line is which
        told = _table(
            ("series", *charts.READINGS_HEAD[2:]), [(r[0], *r[2:]) for r in rows], frozenset({1, 2, 3, 4}), charts.COLOURS
        )
    else:
        told = _table(charts.READINGS_HEAD, rows, frozenset({2, 3, 4, 5}))
    return f"<figure><figcaption>{text(chart.title)}</figcaption>{seen}{span}{told}</figure>"


def _picture(picture: Picture) -> str:
    """As an image, not inline: nothing in it can run or restyle the page."""
    where = f'<p class="soft">{text(picture.why)} <code>{text(picture.path)}</code></p>'
    if picture.svg is None:
        return f"<figure><figcaption>{text(picture.title)}</figcaption>{where}</figure>"
    data = base64.b64encode(picture.svg).decode("ascii")
    shown = f'<img alt="{text(picture.title)}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure><figcaption>{text(picture.title)}</figcaption>{shown}{where}</figure>"
