"""Ctrl-C while the command still imports its libraries: it ends without a traceback.

The package imports this module first. In all other programs that import the package nothing changes. Once everything is
imported, `ddpg_jax.runs.signals` takes over.
"""

import re
import signal
import sys
import threading
from pathlib import Path

# While `python -m` imports a package, the first argument is "-m", whichever module it is to run.
_is_module = sys.argv[:1] == ["-m"] and re.search(r"(^|\s)-\w*m\s?ddpg_jax(\s|$)", " ".join(sys.orig_argv)) is not None
_is_command = _is_module or Path((sys.argv or [""])[0]).name == "ddpg-jax"
_in_main_thread = threading.current_thread() is threading.main_thread()
if _is_command and _in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
