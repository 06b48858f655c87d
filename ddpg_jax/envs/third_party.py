"""Suppresses known messages that other packages print or warn about when they are imported; all others pass."""

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator

KNOWN_NOISE = (  # how the messages begin
    "Failed to import warp",
    "Failed to import mujoco_warp",
    "Brax System, piplines and environments",
    "compiler attribute 'settotalmass' is deprecated",
)


@contextlib.contextmanager
def suppress_known_noise() -> Iterator[None]:
    """Suppresses the messages in `KNOWN_NOISE` in a `with` block that imports packages or builds MuJoCo models."""
    printed = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.callback(_print_others, printed)
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(contextlib.redirect_stdout(printed))
        warnings.filterwarnings("ignore", message=f"({'|'.join(KNOWN_NOISE)})")
        import mujoco

        stack.callback(mujoco.set_mju_user_warning, mujoco.get_mju_user_warning())
        mujoco.set_mju_user_warning(warnings.warn)  # by default they go to MUJOCO_LOG.TXT as well
        yield


def _print_others(printed: io.StringIO) -> None:
    """Prints the other lines to standard error."""
    for line in printed.getvalue().splitlines():
        if not line.startswith(KNOWN_NOISE):
            print(line, file=sys.stderr)
