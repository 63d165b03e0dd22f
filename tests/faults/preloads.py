"""Libraries in C that change what a program is told by its system; a C compiler builds them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_SOURCES = Path(__file__).parent


def compiled(name: str, folder: Path) -> Path:
    """The library of `NAME.c` in this folder, for LD_PRELOAD; every user may read it."""
    compiler = shutil.which("cc")
    assert compiler is not None, "a C compiler is needed"
    library = folder / f"{name}.so"
    source = _SOURCES / f"{name}.c"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True
    )
    library.chmod(0o755)
    return library


class Disk:
    """The disk under a Postgres that is started with this environment: it can be full.

    Nobody needs to be root for it: the C library refuses what would make a file longer.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o755)  # Postgres may run as another user
        self._full = folder / "full"
        self.environment = {
            "LD_PRELOAD": str(compiled("full_disk", folder)),
            "DISK_FULL": str(self._full),
        }

    def fill(self) -> None:
        """From now on there is no room."""
        self._full.touch()
        self._full.chmod(0o666)

    @property
    def refused(self) -> int:
        """Writes that were refused since it is full."""
        return self._full.stat().st_size

    def make_room(self) -> None:
        """As ever."""
        self._full.unlink()
