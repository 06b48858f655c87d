"""Ctrl-C while the command still imports its libraries: it ends without a traceback.

The package imports this module first. In all other programs that import the package nothing changes. Once everything is
imported, `ddpg_jax.runs.signals` takes over.
"""

import signal
import sys
import threading
from pathlib import Path

# While the package is imported, this is what `python -m ddpg_jax` has as its first argument.
_is_command = sys.argv[:1] == ["-m"] or Path((sys.argv or [""])[0]).name == "ddpg-jax"
_in_main_thread = threading.current_thread() is threading.main_thread()
if _is_command and _in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
