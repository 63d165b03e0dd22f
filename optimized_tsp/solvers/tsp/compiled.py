"""Functions over arrays that numba compiles to machine code.

Every kernel names its signature, so that importing its module compiles it or, from the second time
on, loads it from the cache: never in the middle of a solve. Calls with other types are errors.
`compile_kernels` fills the cache when the package is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from optimized_tsp.solvers.tsp.kernel_cache import KernelCache

__all__ = ["kernel"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def kernel(signature: str) -> Callable[[FunctionT], FunctionT]:
    """Compile a function for `signature` (numba's notation), without the interpreter's lock."""

    def compile_it(function: FunctionT) -> FunctionT:
        config: Any = numba.config
        others = config.CACHE_LOCATOR_CLASSES
        config.CACHE_LOCATOR_CLASSES = f"{KernelCache.__module__}.{KernelCache.__name__}"
        try:
            compiled = numba.njit(signature, cache=True, nogil=True)(function)
        except OSError:  # nowhere to keep it: slow to start, and otherwise the same
            compiled = numba.njit(signature, nogil=True)(function)
        finally:
            config.CACHE_LOCATOR_CLASSES = others
        return cast("FunctionT", compiled)

    return compile_it
