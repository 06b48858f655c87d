"""Where MuJoCo draws: an OpenGL context, without a display if there is none.

MuJoCo reads MUJOCO_GL once, when it is imported, and the physics has imported it long before anything is drawn. So the
context is made here.
"""

import importlib
import os
import sys
import warnings
from typing import Any

from ddpg_jax.core.settings import SettingError

HEADLESS = ("egl", "osmesa")
USUAL = {"linux": ("glfw", *HEADLESS), "darwin": ("cgl", "glfw")}  # by sys.platform
KINDS = {"egl": "mujoco.egl", "osmesa": "mujoco.osmesa", "glfw": "mujoco.glfw", "cgl": "mujoco.cgl"}


def context(size: int) -> Any:
    """An OpenGL context for pictures of `size` x `size`, made current; `free()` gives it back.

    MUJOCO_GL names its kind. Without it: on Linux without a display egl and then osmesa, elsewhere a hidden window.

    Raises:
      SettingError: there is none of these kinds.
    """
    reasons = []
    for kind in _kinds():
        _rebind(kind)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # by which GLFW says that there is no window
            try:
                made = importlib.import_module(KINDS[kind]).GLContext(size, size)
                made.make_current()
                return made
            except Exception as error:  # a missing library shows itself in as many ways as there are drivers
                reasons.append(f"{kind}: {(str(error).splitlines() or [type(error).__name__])[0][:120]}")
    raise SettingError(
        f"MuJoCo's pictures need OpenGL, for instance the Debian packages libegl1 and libgl1 ({'; '.join(reasons)})."
    )


def _kinds() -> tuple[str, ...]:
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if asked in KINDS:
        return (asked,)
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return HEADLESS
    return USUAL.get(sys.platform, ("glfw",))


def _rebind(kind: str) -> None:
    """PyOpenGL binds itself to one platform when it is imported: one bound to another is forgotten."""
    if kind in HEADLESS and os.environ.get("PYOPENGL_PLATFORM") not in (None, kind):
        for name in [name for name in sys.modules if name.split(".")[0] == "OpenGL"]:
            del sys.modules[name]
        del os.environ["PYOPENGL_PLATFORM"]
