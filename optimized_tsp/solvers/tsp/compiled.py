"""Functions over arrays that numba compiles to machine code.

Every kernel names its signature, so that importing its module compiles it or, from the second time
on, loads it from the cache: never in the middle of a solve. Calls with other types are errors.
`compile_kernels` fills the cache when the package is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.options import DefaultOptions

from optimized_tsp.solvers.tsp.kernel_cache import KernelCache

__all__ = ["kernel"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

_BARE = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}


def kernel(
    signature: str, *, bare: bool = False, inline: bool = False
) -> Callable[[FunctionT], FunctionT]:
    """Compile a function for `signature` (numba's notation), without the interpreter's lock.

    A `bare` kernel makes no array, not even a view of one: references to its arguments are not
    counted then, which is atomic, and several times as slow as what small kernels do. One that is
    `inline` becomes part of its callers, which spares handing over the parts of many arrays.
    """
    options: dict[str, Any] = {"nogil": True, "forceinline": inline, **(_BARE if bare else {})}

    def compile_it(function: FunctionT) -> FunctionT:
        config: Any = numba.config
        others = config.CACHE_LOCATOR_CLASSES
        config.CACHE_LOCATOR_CLASSES = f"{KernelCache.__module__}.{KernelCache.__name__}"
        try:
            compiled = numba.njit(signature, cache=True, **options)(function)
        except OSError:  # nowhere to keep it: slow to start, and otherwise the same
            compiled = numba.njit(signature, **options)(function)
        finally:
            config.CACHE_LOCATOR_CLASSES = others
        return cast("FunctionT", compiled)

    return compile_it
