"""What `benchmarks/tune.py` has found: algorithm -> environment -> settings that differ from the defaults.

The searches themselves, every setting that was tried with its returns, are under benchmarks/results/tuning/.
"""

from typing import Any

TUNED: dict[str, dict[str, dict[str, Any]]] = {}
