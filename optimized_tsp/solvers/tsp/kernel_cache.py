"""Where compiled kernels are kept between processes, and when they are too old to be used.

numba's own way compares a kernel with its own file only, so that it would keep calling what a
kernel of another file used to be, and it wants to write where it reads, which an installation that
nobody may change does not allow.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import platformdirs

__all__ = ["KernelCache", "cache_folder", "kernel_files", "mark_as_complete"]

_ROOT = Path(__file__).parent
_PACKAGE = "optimized_tsp.solvers.tsp"
_IMPORT = re.compile(rf"^from {re.escape(_PACKAGE)}\.([\w.]+) import", re.MULTILINE)
_MARK = "kernels-compiled"


class KernelCache:
    """numba's cache locator for one kernel (see its NUMBA_CACHE_LOCATOR_CLASSES)."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> KernelCache:
        return cls(py_func, py_file)

    def get_cache_path(self) -> str:
        return str(cache_folder(Path(self._py_file)))

    def ensure_cache_path(self) -> None:
        Path(self.get_cache_path()).mkdir(parents=True, exist_ok=True)

    def get_source_stamp(self) -> str:
        """Of its file and all files whose kernels may be a part of this one."""
        digest = hashlib.sha256()
        for file in _sources(Path(self._py_file)):
            digest.update(_digest(file))
        return digest.hexdigest()

    def get_disambiguator(self) -> str:
        return "kernel"  # there is one of a name in a module, and a new one takes its place


def kernel_files() -> list[Path]:
    """All files with kernels, in the order of their names."""
    return [file for file in sorted(_ROOT.rglob("*.py")) if _has_kernels(file)]


def cache_folder(file: Path) -> Path:
    """Beside the file where the machine code of this computer is there or can be put.

    Elsewhere in the user's own cache.
    """
    beside = file.parent / "__pycache__"
    if _is_complete() or os.access(beside if beside.exists() else file.parent, os.W_OK):
        return beside
    place = hashlib.sha256(str(file.parent).encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("optimized-tsp")) / "kernels" / place


def mark_as_complete() -> None:
    """Note that all kernels are compiled for this computer, where that can be noted."""
    folder = _mark().parent
    if os.access(folder if folder.exists() else folder.parent, os.W_OK):
        folder.mkdir(exist_ok=True)  # where Python keeps no bytecode there is none yet
        _mark().write_text(_target())


@cache
def _is_complete() -> bool:
    return _mark().exists() and _mark().read_text() == _target()


def _mark() -> Path:
    return _ROOT / "__pycache__" / f"{_MARK}.{sys.implementation.cache_tag}"


def _target() -> str:
    """What machine code is made for, as numba tells one cache entry from another."""
    config: Any = numba.config
    name, features = config.CPU_NAME, config.CPU_FEATURES
    if name is None:
        name = llvm.get_host_cpu_name()
    if features is None:
        features = llvm.get_host_cpu_features().flatten()
    return f"{numba.__version__} {name} {features}"


@cache
def _digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


@cache
def _has_kernels(file: Path) -> bool:
    return f"from {_PACKAGE}.compiled import" in file.read_text()


@cache
def _sources(file: Path) -> tuple[Path, ...]:
    """The file, what it imports of ours (its constants), and so on for files with kernels."""
    found, waiting = {file}, [file]
    while waiting:
        for imported in _imports(waiting.pop()):
            if imported not in found:
                found.add(imported)
                if _has_kernels(imported):
                    waiting.append(imported)
    return tuple(sorted(found))


def _imports(file: Path) -> Iterator[Path]:
    for name in _IMPORT.findall(file.read_text()):
        module = _ROOT.joinpath(*name.split(".")).with_suffix(".py")
        yield module if module.exists() else module.with_suffix("") / "__init__.py"
