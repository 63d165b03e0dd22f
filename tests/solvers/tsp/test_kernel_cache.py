"""Kernels are compiled when the package is installed, and never while somebody waits for a tour."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numba.core import event

from optimized_tsp.solvers.tsp import TspParameters, TspSolver, kernel_cache
from optimized_tsp.solvers.tsp.kernel_cache import cache_folder, kernel_files
from optimized_tsp.solvers.tsp.schemas import TspInstance

MODULE = '''"""A kernel of this test."""
from optimized_tsp.solvers.tsp.compiled import kernel
{imports}

@kernel("int64(int64)")
def {name}(x: int) -> int:
    return {result}
'''


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of just enough of the package to compile kernels, with two of them."""
    source = Path(kernel_cache.__file__).parent
    package = tmp_path / "optimized_tsp" / "solvers" / "tsp"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    for name in ("compiled.py", "kernel_cache.py", "compile_kernels.py"):
        shutil.copy(source / name, package / name)
    write_inner(package, "x + 1")
    imports = "from optimized_tsp.solvers.tsp.inner import inner"
    text = MODULE.format(imports=imports, name="outer", result="2 * inner(x)")
    (package / "outer.py").write_text(text)
    return package


def write_inner(package: Path, result: str) -> None:
    text = MODULE.format(imports="", name="inner", result=result)
    (package / "inner.py").write_text(text)


def python(package: Path, *arguments: str, **environment: str) -> str:
    """Run Python on the copy; a kernel's answer or what numba's cache did."""
    root, home = package.parents[2], package.parents[2] / "home"
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return done.stdout + done.stderr


CALL = "from optimized_tsp.solvers.tsp.outer import outer; print(outer(3))"


def compiled_and_loaded(log: str) -> tuple[int, int]:
    return len(re.findall("data saved", log)), len(re.findall("data loaded", log))


def test_what_is_compiled_once_is_loaded_also_where_nothing_can_be_written(
    installed: Path,
) -> None:
    python(installed, "-m", "optimized_tsp.solvers.tsp.compile_kernels")
    files = {path.name for path in (installed / "__pycache__").iterdir()}
    for folder in (installed, installed / "__pycache__"):
        folder.chmod(0o555)
    log = python(installed, "-c", CALL, NUMBA_DEBUG_CACHE="1")

    assert "8" in log
    assert compiled_and_loaded(log) == (0, 2)
    assert files == {path.name for path in (installed / "__pycache__").iterdir()}


def test_it_is_noted_that_all_is_compiled_where_python_keeps_no_bytecode(installed: Path) -> None:
    for name in ("inner.py", "outer.py"):  # no kernel beside the note makes its folder
        (installed / name).unlink()

    compiling = ("-m", "optimized_tsp.solvers.tsp.compile_kernels")
    python(installed, *compiling, PYTHONDONTWRITEBYTECODE="1")

    [note] = (installed / "__pycache__").iterdir()
    assert note.name.startswith("kernels-compiled")


def test_a_kernel_is_compiled_again_when_one_that_it_calls_has_changed(installed: Path) -> None:
    assert python(installed, "-c", CALL).strip() == "8"
    write_inner(installed, "x + 10")
    assert python(installed, "-c", CALL).strip() == "26"


def test_another_computer_compiles_for_itself(installed: Path) -> None:
    python(installed, "-c", CALL)
    log = python(installed, "-c", CALL, NUMBA_DEBUG_CACHE="1", NUMBA_CPU_NAME="generic")
    assert compiled_and_loaded(log) == (2, 0)


def test_every_kernel_of_ours_has_its_machine_code_at_hand() -> None:
    """Importing them all has compiled them: now each has an entry in the cache, as it is now."""
    files = kernel_files()
    assert len(files) > 3
    for file in files:
        kernels = re.findall(r"^@kernel\((?:.|\n)*?^def (\w+)", file.read_text(), re.MULTILINE)
        folder = cache_folder(file)
        for name in kernels:
            assert list(folder.glob(f"{file.stem}.{name}-kernel.*.nbi")), (file, name)


@pytest.mark.parametrize("form", ["coordinates", "matrix", "one way"])
def test_a_solve_compiles_nothing(form: str) -> None:
    random = np.random.default_rng(5)
    costs = random.integers(1, 1_000, (60, 60))
    instance = {
        "coordinates": TspInstance(
            coordinates=random.uniform(0, 1_000, (60, 2)).tolist(), metric="EUC_2D"
        ),
        "matrix": TspInstance(matrix=(costs + costs.T).tolist()),
        "one way": TspInstance(matrix=costs.tolist()),
    }[form]
    for file in kernel_files():
        import_module(".".join(("optimized_tsp", *file.parts[file.parts.index("solvers") :]))[:-3])
    with event.install_recorder("numba:compile") as recorder:
        outcome = TspSolver().solve(
            instance,
            TspParameters(timeout=3.0),
            seed=1,
            stop=threading.Event(),
            on_incumbent=lambda _: None,
            start=None,
        )
    assert outcome.solution is not None
    assert recorder.buffer == []
