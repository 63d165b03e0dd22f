"""Become another program that cannot outlive its parent.

Run by path with `python -I -S launch.py ORDER program [argument ...]`, where ORDER is the JSON of a
`process.Order`. It works between fork and exec, in a program of its own, because a parent-death
signal must be set by the child, after the change of user (which clears it). Standard library only,
everything imported up front: after the change of user this interpreter may be out of reach.
"""

import ctypes
import json
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
FOLDER = "{folder}"
"""In an argument: replaced by a path under which the program can reach its folder."""


def main() -> None:
    """Change user, tie our life to the parent's, and become the program."""
    order = json.loads(sys.argv[1])
    folder = order["folder"]
    # Opened while we still may: the folder can lie below one that only the caller can enter.
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY) if folder is not None else -1
    if order["uid"] is not None:
        os.setgroups([])
        os.setgid(order["gid"])
        os.setuid(order["uid"])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, order["death_signal"], 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != order["parent"]:
        return  # the parent died before the line above could notice
    os.umask(0o077)
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    path = _reachable(folder, folder_fd) if folder is not None else ""
    program = [argument.replace(FOLDER, path) for argument in sys.argv[2:]]
    os.execv(program[0], program)  # noqa: S606


def _reachable(folder: str, folder_fd: int) -> str:
    """The folder's own path, or one through the open descriptor where a parent is closed to us."""
    try:
        os.stat(os.path.join(folder, "."))  # noqa: PTH116, PTH118 - pathlib is a slow import
    except PermissionError:
        os.set_inheritable(folder_fd, True)  # noqa: FBT003
        return f"/proc/self/fd/{folder_fd}"
    return folder


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"cannot start {sys.argv[2]}: {error}")
