"""What a run was made on and with."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

FLAGS = (
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512_bf16",
    "avx512_vnni",
    "amx_bf16",
    "amx_tile",
    "asimd",
    "bf16",
    "i8mm",
    "sve",
)


def output(*command: str, cwd: Path | None = None) -> str | None:
    """What a command prints, if it works."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def fields(path: str) -> dict[str, str]:
    """The `key: value` lines of a file of the system; the first of each key."""
    try:
        text = Path(path).read_text()
    except OSError:
        return {}
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            values.setdefault(key.strip(), value.strip())
    return values


def machine() -> dict[str, Any]:
    """Processor, memory, and how busy the machine was."""
    cpu = fields("/proc/cpuinfo")
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    memory = fields("/proc/meminfo").get("MemTotal", "").split()
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(int(memory[0]) / 2**20, 1) if memory else None,
        "system": platform.system(),
        "load_average_before": os.getloadavg()[0],
    }


def versions(root: Path) -> dict[str, Any]:
    """The commit, whether files differ from it, and the compiler."""
    changes = output("git", "status", "--porcelain", cwd=root)
    return {
        "commit": output("git", "rev-parse", "HEAD", cwd=root),
        "changed_files": None if changes is None else len(changes.splitlines()),
        "rustc": output("rustc", "--version"),
    }
