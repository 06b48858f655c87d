"""What was measured, and on what."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import tomllib
from typing import Any

import jax

from on_device.rows import ROOT, Rows

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "gymnax", "brax", "mujoco", "orbax-checkpoint", "rejax")


def run(rows: Rows, options: Any) -> None:
    """Names the device, the versions and the sources."""
    devices = jax.devices()
    first = devices[0]
    rows.put(
        "device",
        device=first.device_kind,
        platform=first.platform,
        devices=len(devices),
        runtime=" ".join(first.client.platform_version.split()),
        memory_bytes=(first.memory_stats() or {}).get("bytes_limit"),
        compute_capability=getattr(first, "compute_capability", None),
        cpu_cores=os.cpu_count(),
        cpu=platform.machine(),
        driver=driver(),
    )
    found = {name: version(name) for name in PACKAGES}
    rows.put("versions", python=platform.python_version(), **found, plugins=plugins())
    rows.put("source", commit=commit(), sha256=digest())
    rows.attempt("requirements", unmet)


def version(package: str) -> str | None:
    """Returns the version of a package, or None where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def plugins() -> dict[str, str | None]:
    """Returns the packages that bring an accelerator to JAX, and their versions."""
    names = {found.metadata["Name"] for found in importlib.metadata.distributions()}
    signs = ("jax-cuda", "jax-rocm", "libtpu", "nvidia-cublas", "nvidia-cudnn", "nvidia-cuda-runtime", "nvidia-nccl")
    return {name: version(name) for name in sorted(filter(None, names)) if name.startswith(signs)}


def driver() -> str | None:
    """Returns the version of NVIDIA's driver."""
    query = ["nvidia-smi", "--query-gpu=driver_version,power.limit,clocks.max.sm", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip() or None
    except (OSError, subprocess.TimeoutExpired):
        return None


def commit() -> str | None:
    """Returns the commit of the sources; where their history is not here, that at which `make wheels` ran, if any."""
    ask = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(ask, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        found = ""
    carried = ROOT / "wheels" / "COMMIT"
    return found or (carried.read_text(encoding="utf-8").strip() if carried.exists() else None)


def digest() -> str:
    """Returns a checksum of the package's sources, which names them where their history is not here."""
    total = hashlib.sha256()
    for path in sorted((ROOT / "ddpg_jax").rglob("*.py")):
        total.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return total.hexdigest()


def unmet() -> dict[str, Any]:
    """Returns what of the package's requirements is not installed here."""
    from packaging.requirements import Requirement

    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    wanted = map(Requirement, needed)
    return {"unmet": [str(one) for one in wanted if not one.specifier.contains(version(one.name) or "0", True)]}
