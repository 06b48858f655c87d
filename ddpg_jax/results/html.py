"""The parts of a report as HTML: tables, figures, an animation. All text of a run passes through `escape`."""

import base64
import html
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ddpg_jax.core.settings import SettingError
from ddpg_jax.deploy.policy import Source
from ddpg_jax.results.curves import Group
from ddpg_jax.results.labels import named
from ddpg_jax.results.plot import RC_PARAMS, draw_curve, encode_figure, shorten_tick_labels
from ddpg_jax.runs.signals import undone_at_once

# Colors of an SVG that are replaced by the page's own, which differ between light and dark mode
TEXT_COLOR, LINE_COLOR = "#010203", "#040506"
CSS = """
:root { color-scheme: light dark; --text: #1b1f24; --muted: #667; --background: #fff; --border: #dde; --line: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e6ea; --muted: #9aa3ad; --background: #14171b; --border: #333a42; --line: #56b4e9; } }
body { margin: 0 auto; max-width: 62rem; padding: 1.2rem; background: var(--background); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, figcaption { color: var(--muted); } code, pre { font: .85rem/1.5 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--border);
  border-radius: 6px; padding: .7rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--border); }
th { color: var(--muted); font-weight: 500; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; } svg, img { width: 100%; height: auto; color: var(--text); } img { max-width: 30rem; }
"""


def escape(value: Any) -> str:
    """Returns a value as text, escaped for HTML, quotes included; a byte of a path that is no UTF-8 as \\udcff."""
    return html.escape(str(value)).encode("utf-8", "backslashreplace").decode("utf-8")


def paragraph(text: Any) -> str:
    """Returns a paragraph of text, escaped."""
    return f"<p>{escape(text)}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a table, which scrolls by itself on a narrow screen."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def section(title: str, *parts: str) -> str:
    """Returns a section of the page under its title."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def document(title: str, *parts: str) -> str:
    """Returns the whole page, which loads nothing from the network."""
    title = escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{CSS}</style></head><body><h1>{title}</h1>{''.join(parts)}</body></html>\n"
    )


def curve_figure(group: Group, quantity: str, id_prefix: str) -> str:
    """Returns a curve as inline SVG in the page's colors: a thin line per seed below the interquartile mean.

    Args:
      group: the curve.
      quantity: its title.
      id_prefix: keeps the ids of its SVG different from those of the page's other figures.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colors = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    with rc_context(RC_PARAMS | dict.fromkeys(colors, TEXT_COLOR) | {"grid.color": TEXT_COLOR, "grid.alpha": 0.12}):
        figure = Figure(figsize=(3.4, 2.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.plot(group.x, group.values, color=LINE_COLOR, alpha=0.35, linewidth=0.7)
        draw_curve(axes, group, {"color": LINE_COLOR})
        shorten_tick_labels(axes.xaxis)
        shorten_tick_labels(axes.yaxis)
        axes.set_xlabel("environment steps per seed")
        axes.set_title(named(quantity), parse_math=False)  # a name may have dollar signs
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        svg = encode_figure(figure, ".svg").decode("utf-8")
    return f'<figure role="img" aria-label="{escape(named(quantity))}">{_inline_svg(svg, id_prefix)}</figure>'


def _inline_svg(svg: str, id_prefix: str) -> str:
    """Returns an SVG file as an element of a page: no header, no namespaces, ids of its own, colors of the page."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{id_prefix}", svg)
    return svg.replace(TEXT_COLOR, "currentColor").replace(LINE_COLOR, "var(--line)")


def policy_animation(folder: Source, seed: int) -> str:
    """Renders an episode of a seed's policy as an inline GIF; where that fails, returns a sentence that says why."""
    from ddpg_jax.results.render import render

    try:
        with (
            tempfile.TemporaryDirectory() as temporary,
            undone_at_once(lambda: shutil.rmtree(temporary, ignore_errors=True)),
        ):
            path = Path(temporary, "episode.gif")
            render(folder, path, seed=seed)
            data = base64.b64encode(path.read_bytes()).decode("ascii")
        return (
            f'<figure><img src="data:image/gif;base64,{data}" alt="an episode of the policy of seed {seed}"></figure>'
        )
    except SettingError as error:
        return paragraph(f"The policy could not be rendered: {error}")
    except Exception as error:  # a driver or a codec: the report is still worth having
        return paragraph(f"The policy could not be rendered: {type(error).__name__}: {error}")
