"""`mujoco.Renderer` with an OpenGL library that works on this machine, with or without a display.

MuJoCo chooses its OpenGL library once, when it is imported: the one that MUJOCO_GL names, else one that needs a
display. Training a Brax task imports MuJoCo long before anything is drawn, so on a server without a display the
variable would come too late; and none of MuJoCo's libraries is installed everywhere. So the choice is made here, when a
renderer is created, by trying those that can work.
"""

import atexit
import importlib
import os
import sys
import warnings
import weakref
from typing import Any

from ddpg_jax.core.settings import SettingError

HEADLESS = ("egl", "osmesa")  # MuJoCo's modules that need no display


def create_renderer(model: Any, size: int) -> Any:
    """Creates a `mujoco.Renderer` of `size` x `size` pixels.

    MUJOCO_GL names the library. Without it, these are tried: on Linux glfw if there is a display, egl and osmesa;
    elsewhere what MuJoCo chose.

    Raises:
      SettingError: none of them works.
    """
    import mujoco

    reasons = []
    for backend in _backends():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # GLFW only warns where it cannot open a window
                if backend is not None:
                    _use(backend)
                renderer = mujoco.Renderer(model, size, size)
            atexit.register(_close, weakref.ref(renderer))
            return renderer
        except Exception as error:  # each driver reports a missing library in its own way
            reasons.append(f"{backend}: {(str(error).splitlines() or [type(error).__name__])[0][:120]}")
    raise SettingError(
        f"MuJoCo's renderer needs OpenGL, for instance the Debian packages libegl1 and libgl1 ({'; '.join(reasons)})."
    )


def _backends() -> tuple[str | None, ...]:
    """Returns the names of MuJoCo's OpenGL modules to try; None is the one that MuJoCo has chosen."""
    requested = os.environ.get("MUJOCO_GL", "").lower().strip()
    if requested in (*HEADLESS, "glfw"):
        return (requested,)
    if sys.platform != "linux":
        return (None,)
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return ("glfw", *HEADLESS) if display else HEADLESS


def _close(reference: weakref.ref) -> None:
    """Closes a renderer that is alive when Python exits, whose `__del__` would fail after its modules are gone."""
    renderer = reference()
    if renderer is not None:
        renderer.close()


def _use(backend: str) -> None:
    """Replaces the OpenGL context that `mujoco.Renderer` creates."""
    import mujoco

    if backend in HEADLESS and os.environ.get("PYOPENGL_PLATFORM") not in (None, backend):
        # PyOpenGL binds itself to one platform when it is imported, so it has to be imported again
        for name in [name for name in sys.modules if name.split(".")[0] == "OpenGL"]:
            del sys.modules[name]
        del os.environ["PYOPENGL_PLATFORM"]
    context_type = importlib.import_module(f"mujoco.{backend}").GLContext
    sys.modules[mujoco.Renderer.__module__].gl_context.GLContext = context_type
