"""Functions over arrays that numba compiles to machine code.

Every kernel names its signature, so that importing its module compiles it or, from the second time
on, loads it from the cache: never in the middle of a solve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

__all__ = ["kernel"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def kernel(signature: str) -> Callable[[FunctionT], FunctionT]:
    """Compile a function for `signature` (numba's notation), without the interpreter's lock."""

    def compile_it(function: FunctionT) -> FunctionT:
        return cast("FunctionT", numba.njit(signature, cache=True, nogil=True)(function))

    return compile_it
