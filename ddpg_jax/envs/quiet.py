"""Third-party start-up noise, dropped by name; everything else passes."""

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator

NOISE = (
    "Failed to import warp",
    "Failed to import mujoco_warp",
    "Brax System, piplines and environments",
    "compiler attribute 'settotalmass' is deprecated",
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops the lines of `NOISE` that importing and building MuJoCo models prints or warns."""
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.filterwarnings("ignore", message=f"({'|'.join(NOISE)})")
        import mujoco

        before = mujoco.get_mju_user_warning()
        mujoco.set_mju_user_warning(warnings.warn)
        try:
            yield
        finally:
            mujoco.set_mju_user_warning(before)
    for line in printed.getvalue().splitlines():
        if not line.startswith(NOISE):
            print(line, file=sys.stderr)
