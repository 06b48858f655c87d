"""The pictures of a report."""

import tempfile
from pathlib import Path

from ddpg_jax.core.settings import SettingError
from ddpg_jax.results.html import embedded, text


def episodes(folder: Path, pictures: bool) -> str:
    """A film of the policy, or one sentence that says why there is none."""
    if not pictures:
        return "<p>Pictures were not asked for.</p>"
    from ddpg_jax.results.render import render

    with tempfile.TemporaryDirectory() as place:
        film = Path(place) / "episodes.gif"
        try:
            render(folder, film)
            return embedded(film.read_bytes(), "image/gif", "episodes of the policy")
        except SettingError as error:
            return f"<p>There is no picture: {text(error)}</p>"
        except Exception as error:  # a driver, a codec: the page is worth having without its film
            return f"<p>There is no picture: {text(type(error).__name__)}: {text(error)}</p>"
