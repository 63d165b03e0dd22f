"""A program on a terminal of a given width, and what a person sees there.

The screen understands what rich writes: text of any width, line breaks, moves of the cursor,
erasing, colours. It has no bottom, so nothing scrolls away.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from rich.cells import cell_len

DEADLINE_S = 30.0
_ROWS = 24
_PIECE = re.compile(r"\x1b\[(\??)(\d*)([A-Za-z])|\x1b\[[\d;]*m|\x1b.|[\r\n]|[^\x1b\r\n]", re.DOTALL)
_FILLER = ""  # the second cell of a wide character


class Screen:
    """The cells of a terminal `columns` wide."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.cursor_visible = True
        self._cells: list[list[str]] = [[]]
        self._row = 0
        self._column = 0
        self._unfinished = ""

    @property
    def lines(self) -> list[str]:
        """The lines that are not blank."""
        rows = ("".join(row).rstrip() for row in self._cells)
        return [row for row in rows if row]

    def feed(self, text: str) -> None:
        """Take in what the program wrote."""
        text = self._unfinished + text
        escape = text.rfind("\x1b")
        if escape >= 0 and not re.match(r"\x1b(\[[?\d;]*[A-Za-z]|[^\[])", text[escape:]):
            text, self._unfinished = text[:escape], text[escape:]
        else:
            self._unfinished = ""
        for piece in _PIECE.finditer(text):
            self._take(piece[0], piece[1], piece[2], piece[3])

    def _take(self, piece: str, private: str | None, number: str | None, final: str | None) -> None:
        if piece == "\r":
            self._column = 0
        elif piece == "\n":
            self._down()
        elif final == "A":
            self._row = max(0, self._row - int(number or 1))
        elif final == "K":
            self._cells[self._row] = [] if number == "2" else self._cells[self._row][: self._column]
        elif final in {"h", "l"} and private and number == "25":
            self.cursor_visible = final == "h"
        elif not piece.startswith("\x1b"):
            self._put(piece)
        elif final not in {"m", None}:
            raise AssertionError(f"this screen does not know {piece!r}")

    def _put(self, character: str) -> None:
        width = cell_len(character)
        if self._column + width > self.columns:
            self._column = 0
            self._down()
        row = self._cells[self._row]
        row += " " * (self._column + width - len(row))
        row[self._column : self._column + width] = [character, _FILLER][: max(1, width)]
        self._column += width

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._cells):
            self._cells.append([])


class Terminal:
    """A program that has a terminal of its own; `pipe_stdout` leaves it only stderr and input."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        columns: int,
        pipe_stdout: bool = False,
    ) -> None:
        self.screen = Screen(columns)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            env={**env, "TERM": "xterm-256color"},
            stdin=slave,
            stdout=subprocess.PIPE if pipe_stdout else slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - so that Ctrl-C reaches it as typed
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self._master)

    def type(self, text: str) -> None:
        """What a person types; "\\x03" is Ctrl-C."""
        os.write(self._master, text.encode())

    def until(self, wanted: Callable[[Screen], object]) -> Screen:
        """Wait until the screen is as wanted."""
        deadline = time.monotonic() + DEADLINE_S
        while not wanted(self.screen):
            assert time.monotonic() < deadline, self.screen.lines
            if not self._read(deadline):
                assert wanted(self.screen), self.screen.lines
        return self.screen

    def ended(self) -> int:
        """Wait for the end; the exit status."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read(deadline):
            assert time.monotonic() < deadline, self.screen.lines
        return self.process.wait(timeout=DEADLINE_S)

    def _read(self, deadline: float) -> bool:
        """Take in what is there; False when the program has closed the terminal."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        try:
            written = os.read(self._master, 65536) if ready else b""
        except OSError:  # Linux says it like this
            return False
        self.screen.feed(self._decoder.decode(written))
        return bool(written)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
