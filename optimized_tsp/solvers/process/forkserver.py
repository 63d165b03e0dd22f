"""A small process that has imported the engines and forks solver children on request.

Importing OR-Tools takes one to two seconds, forking a process that has done so milliseconds. It is
our own instead of `multiprocessing`'s because that one imports the caller's `__main__` again in
every child (the whole command line here), dies of a SIGTERM sent to the process group, and leaves
its children running when the process that started it is killed.

Nothing outlives its parent: when the parent's end of the control socket closes, for whatever
reason, every child is killed and the server ends; and the kernel kills the children if the server
itself is killed (Linux). The children are the server's own, so a process id that it kills or reaps
cannot meanwhile belong to somebody else.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pkgutil
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path

from optimized_tsp.solvers.process import child
from optimized_tsp.solvers.process.messages import FORK, REPLY, REQUEST
from optimized_tsp.solvers.registry import AnySolver, all_solvers

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """`python -m optimized_tsp.solvers.process.forkserver CONTROL_FD [preload]`"""
    control = socket.socket(fileno=int(sys.argv[1]))
    _outlast_signals()
    solvers = all_solvers().values()
    if "preload" in sys.argv[2:]:
        for solver in solvers:
            _import_engines(type(solver))
    gc.collect()
    gc.freeze()  # keeps the collector from writing to (and so copying) pages shared with children
    _serve(control)


def _import_engines(solver: type[AnySolver]) -> None:
    """Import the modules beside the solver's own, and so what they stand on (OR-Tools, SciPy).

    Kernels that are not compiled yet are compiled here: no solve has to wait for that.
    """
    package = sys.modules[solver.__module__].__package__
    if not package:
        return
    _import_all(package)


def _import_all(package: str) -> None:
    for module in pkgutil.iter_modules(sys.modules[package].__path__, f"{package}."):
        try:
            importlib.import_module(module.name)
        except ImportError:  # if a solve needs it, that solve fails and says so; no other does
            traceback.print_exc()
        else:
            if module.ispkg:
                _import_all(module.name)


def _outlast_signals() -> None:
    """Leave the decision who ends to the parent, whoever signals all processes of a service."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # A core file of a solver with gigabytes of memory would fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _serve(control: socket.socket) -> None:
    children: set[int] = set()
    try:
        while True:
            message, fds, _, _ = socket.recv_fds(control, REQUEST.size, 1)
            if not message:
                break
            request, pid = REQUEST.unpack(message)
            if request == FORK:
                reply = _fork(control, fds[0])
                children.add(reply)
            else:
                children.remove(pid)
                reply = _reap(pid)
            control.sendall(REPLY.pack(reply))
    except ConnectionError:  # the parent closed its end while we worked for it
        pass
    finally:
        for pid in children:
            _reap(pid)


def _fork(control: socket.socket, channel_fd: int) -> int:
    server_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        control.close()
        os.setpgid(0, 0)  # whatever the solver starts is killed with it
        _die_with_parent(server_pid)
        _offer_to_oom_killer()
        child.serve(socket.socket(fileno=channel_fd))
    os.close(channel_fd)
    return pid


def _reap(pid: int) -> int:
    """Kill the child and all it started; one that ended already keeps its exit code."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # forked a moment ago and not yet the head of its group
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _die_with_parent(parent_pid: int) -> None:
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before we asked
        os._exit(1)


def _offer_to_oom_killer() -> None:
    """When memory runs out a solver is the one to go: not the worker, not the database."""
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text("500")


if __name__ == "__main__":
    main()
