"""Messages that other packages print or warn when they are imported: known ones are dropped, all others pass."""

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
    """Drops the lines in `NOISE` while packages are imported and MuJoCo models are built, as a context manager."""
    printed = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.callback(_print_others, printed)
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(contextlib.redirect_stdout(printed))
        warnings.filterwarnings("ignore", message=f"({'|'.join(NOISE)})")
        import mujoco

        stack.callback(mujoco.set_mju_user_warning, mujoco.get_mju_user_warning())
        mujoco.set_mju_user_warning(warnings.warn)  # by default they go to MUJOCO_LOG.TXT as well
        yield


def _print_others(printed: io.StringIO) -> None:
    for line in printed.getvalue().splitlines():
        if not line.startswith(NOISE):
            print(line, file=sys.stderr)
