"""How many processors this process may use, and what they can: affinity, a container's quota, /proc/cpuinfo."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

from fer_fast.machine.groups import group_folders, text_of

#: Where Linux mounts its two kinds of control groups; a machine may have both, and then version 2 has no processors.
_VERSION_2 = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
_VERSION_1 = ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpuacct,cpu")
CPUINFO = Path("/proc/cpuinfo")


_taken: int | None = None


def take_at_most(count: int) -> None:
    """Leaves the other processors to others: from now on this process has no more than so many, wherever it runs."""
    global _taken
    _taken = count


def usable_processors(root: Path = Path("/")) -> int:
    """How many processors' worth of time this process may use, at least 1.

    The smallest of three: the processors that it may run on, its container's quota, rounded up, `take_at_most`.

    Args:
        root: the folder that holds proc and sys.
    """
    return min(each for each in (allowed_processors(), cpu_quota(root), _taken) if each is not None)


def quota_threads() -> int | None:
    """The threads that suffice for what this process may use; None where that is all processors that it may run on."""
    usable = usable_processors()
    return usable if usable < allowed_processors() else None


def allowed_processors() -> int:
    """How many processors this process may run on, whatever share of their time it gets."""
    return len(os.sched_getaffinity(0))


def cpu_quota(root: Path = Path("/")) -> int | None:
    """The processors' worth of time that control groups grant this process, rounded up; None without a limit.

    A group has no more than the groups that it lies in, so that the smallest quota on the way up counts.
    """
    quotas = [
        quota for folder in group_folders(root, "cpu", _VERSION_1, _VERSION_2) if (quota := _quota(folder)) is not None
    ]
    return max(1, math.ceil(min(quotas))) if quotas else None


def _quota(folder: Path) -> float | None:
    """The processors' worth of time of one control group, by either version's files; None without a limit."""
    words = text_of(folder / "cpu.max").split()
    words = words or [text_of(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdecimal() and len(word) < 20 and int(word) > 0 for word in words):
        return None  # "max" and -1 are no limit
    return int(words[0]) / int(words[1])


def processor_name(cpuinfo: Path = CPUINFO) -> str:
    """The first processor's name; empty where Linux says none."""
    return _facts(cpuinfo).get("model name", "")


def processor_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """What the first processor can, in Linux' words, flags on x86 and features on ARM; empty where it says nothing."""
    facts = _facts(cpuinfo)
    return frozenset((facts.get("flags") or facts.get("Features") or "").split())


def has_int8_dot_products() -> bool:
    """Whether the processor multiplies and adds int8 in one instruction (VNNI)."""
    return bool({"avx512_vnni", "avx_vnni"} & processor_flags())


def has_amx() -> bool:
    """Whether the processor has matrix tiles for bf16 (AMX)."""
    return "amx_bf16" in processor_flags()


def has_bf16_instructions() -> bool:
    """Whether the processor multiplies bf16 without going through fp32."""
    return bool({"avx512_bf16", "amx_bf16"} & processor_flags())


@cache
def _facts(cpuinfo: Path) -> dict[str, str]:
    """The first processor's lines, name to value; none where there is no such file."""
    first, _, _ = text_of(cpuinfo).partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
