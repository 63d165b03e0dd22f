"""How good and how fast the engine is on a folder of TSPLIB files, beside what else there is.

`make bench-engine DIR=folder` takes every .tsp and .atsp file for which `optima.csv` in the same
folder knows the optimum (columns `name` and `optimum`). Our engine goes first; the others then get
the wall time that it took (at least `--least` seconds). Every solve runs in a process of its own,
one at a time, with two threads.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.engine.contenders import CONTENDERS
from benchmarks.engine.report import print_rows, print_summary
from benchmarks.engine.trace import Trace
from benchmarks.engine.trial import run_trial
from optimized_tsp.solvers.tsp import TspInstance

_SAMPLE_S = 0.2
_STARTING_S = 60.0


def main() -> None:
    arguments = _arguments()
    optima = _optima(arguments.folder / "optima.csv")
    files = list(_files(arguments, optima))
    if not files:
        sys.exit(f"No instance of {arguments.folder} with a known optimum fits the selection.")
    names = [*arguments.contenders, *(["trial"] if arguments.trial else [])]
    traces: list[Trace] = []
    progress = Progress(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with progress:
        task = progress.add_task("", total=len(files) * len(names))
        for num_nodes, file in files:
            of_file: list[Trace] = []
            for name in names:
                progress.update(task, description=f"{file.stem}: {name}")
                of_file.append(_run(arguments, name, (num_nodes, file), of_file))
                progress.advance(task)
            print_rows(of_file, optima[file.stem])
            traces += of_file
            if arguments.output is not None:
                _keep(arguments.output, of_file, optima[file.stem])
    print_summary(traces, optima)


def _run(
    arguments: argparse.Namespace, name: str, sized: tuple[int, Path], earlier: list[Trace]
) -> Trace:
    num_nodes, file = sized
    limit_s = arguments.limit
    if earlier:
        limit_s = min(limit_s, max(arguments.least, earlier[0].wall_s))
    if name == "trial":
        return run_trial(arguments.trial, file, num_nodes, limit_s)
    return _measure(name, file, num_nodes, limit_s)


def _measure(name: str, file: Path, num_nodes: int, limit_s: float) -> Trace:
    """Run a contender in a process of its own and watch its memory."""
    command = [sys.executable, "-m", "benchmarks.engine.measured", name, str(file), str(limit_s)]
    with tempfile.TemporaryFile("w+") as out:
        process = psutil.Popen(command, stdout=out, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 2 * limit_s + _STARTING_S
        peak = 0
        while process.poll() is None and time.monotonic() < deadline:
            peak = max(peak, _memory(process))
            try:
                process.wait(_SAMPLE_S)
            except psutil.TimeoutExpired:
                continue
        if process.poll() is None:
            process.kill()
            process.wait()
            return Trace(name, file.stem, num_nodes, limit_s, failure="did not end")
        out.seek(0)
        if process.returncode != 0:
            said = process.stderr.read().decode(errors="replace").strip().splitlines()
            why = (said or ["died"])[-1][:100]
            return Trace(name, file.stem, num_nodes, limit_s, failure=why)
        trace = Trace.from_json(json.load(out))
    trace.peak_mib = round(peak / 2**20, 1)
    return trace


def _memory(process: psutil.Popen) -> int:
    """Bytes of a process and its children; what they share is counted once."""
    total = 0
    for one in (process, *_children(process)):
        try:
            total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue  # it ended between two looks
    return total


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return children


def _optima(path: Path) -> dict[str, int]:
    if not path.is_file():
        sys.exit(f"{path} is missing: a table with the columns name and optimum.")
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["name"]: int(row["optimum"]) for row in csv.DictReader(lines)}


def _files(arguments: argparse.Namespace, optima: dict[str, int]) -> Iterator[tuple[int, Path]]:
    """The chosen files and their numbers of nodes, small ones first."""
    found = [
        path
        for path in arguments.folder.iterdir()
        if path.suffix in {".tsp", ".atsp"} and path.stem in optima
    ]
    chosen = arguments.instances or [path.stem for path in found]
    if unknown := set(chosen) - {path.stem for path in found}:
        sys.exit(f"Not in {arguments.folder} with an optimum: {', '.join(sorted(unknown))}")
    sized = [
        (TspInstance.model_validate({"tsplib": path.read_text("utf-8")}).node_count, path)
        for path in found
        if path.stem in chosen
    ]
    for num_nodes, path in sorted(sized):
        if arguments.smallest <= num_nodes <= arguments.largest:
            yield num_nodes, path


def _keep(output: Path, traces: list[Trace], optimum: int) -> None:
    """Add the traces to a file with one JSON object a line, which the plots are drawn from."""
    with output.open("a", encoding="utf-8") as lines:
        for trace in traces:
            lines.write(json.dumps({**trace.to_json(), "optimum": optimum}) + os.linesep)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.engine", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=float, default=45.0, help="seconds for our engine")
    parser.add_argument("--least", type=float, default=5.0, help="seconds for the others at least")
    parser.add_argument("--instances", type=_names, help="names, separated by commas")
    parser.add_argument("--smallest", type=int, default=1, help="nodes")
    parser.add_argument("--largest", type=int, default=2_000, help="nodes")
    parser.add_argument("--contenders", type=_names, default=[*CONTENDERS], help="ours first")
    parser.add_argument("--trial", type=Path, help="folder of the first trial's scripts")
    parser.add_argument("--output", type=Path, help="add the traces to this file, JSON lines")
    arguments = parser.parse_args()
    if unknown := set(arguments.contenders) - set(CONTENDERS):
        parser.error(f"no such contender: {', '.join(unknown)}; there are {', '.join(CONTENDERS)}")
    return arguments


if __name__ == "__main__":
    main()
