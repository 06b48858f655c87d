"""The pieces of a report's page: tables, figures, frame. All text that comes from a run passes through `text`."""

import base64
import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ddpg_jax.results.curves import Group
from ddpg_jax.results.figures import STYLE, curve, saved, shorten
from ddpg_jax.results.labels import named

INK, LINE = "#010203", "#040506"  # colors that stand for the page's own, in light and in dark
CSS = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667; --paper: #fff; --rule: #dde; --line: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6ea; --soft: #9aa3ad; --paper: #14171b; --rule: #333a42; --line: #56b4e9; } }
body { margin: 0 auto; max-width: 62rem; padding: 1.2rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, figcaption { color: var(--soft); } code, pre { font: .85rem/1.5 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--rule);
  border-radius: 6px; padding: .7rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 500; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; } svg, img { width: 100%; height: auto; color: var(--ink); } img { max-width: 30rem; }
"""


def text(value: Any) -> str:
    """Escaped for HTML, quotes included."""
    return html.escape(str(value))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table that scrolls by itself where the screen is narrow."""
    lines = ["".join(f"<td>{text(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    titles = "".join(f"<th>{text(cell)}</th>" for cell in head)
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'


def section(title: str, *parts: str) -> str:
    """A part of the page under its title."""
    return f"<section><h2>{text(title)}</h2>{''.join(parts)}</section>"


def document(title: str, *parts: str) -> str:
    """The whole page; it asks the network for nothing."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{CSS}</style></head><body><h1>{text(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def embedded(content: bytes, kind: str, about: str) -> str:
    """A picture within the page."""
    data = base64.b64encode(content).decode("ascii")
    return f'<figure><img src="data:{kind};base64,{data}" alt="{text(about)}"></figure>'


def small_figure(group: Group, quantity: str, place: int) -> str:
    """A curve as inline SVG in the page's colors: a thin line per seed under the interquartile mean.

    Args:
      place: its number on the page, which keeps its ids apart from those of others.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colors = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    with rc_context(STYLE | dict.fromkeys(colors, INK) | {"grid.color": INK, "grid.alpha": 0.12}):
        figure = Figure(figsize=(3.4, 2.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.plot(group.x, group.values, color=LINE, alpha=0.35, linewidth=0.7)
        curve(axes, group, {"color": LINE})
        shorten(axes.xaxis)
        shorten(axes.yaxis)
        axes.set(xlabel="environment steps per seed")
        axes.set_title(named(quantity))
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        svg = saved(figure, ".svg").decode("utf-8")
    return f'<figure role="img" aria-label="{text(named(quantity))}">{_inlined(svg, f"f{place}-")}</figure>'


def _inlined(svg: str, prefix: str) -> str:
    """An SVG file as a part of a page: no header, no namespaces, ids of its own, colors by name."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", svg)
    return svg.replace(INK, "currentColor").replace(LINE, "var(--line)")
