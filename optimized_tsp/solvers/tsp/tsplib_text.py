"""The layer of TSPLIB files below their meaning: keywords, sections, numbers, and where they stand.

G. Reinelt, "TSPLIB 95", section 1: a file is a sequence of entries `KEYWORD : value` and of data
sections, each headed by its keyword. Entries and sections are accepted in any order, keywords in
any case, with or without spaces around the colon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = [
    "Document",
    "Entry",
    "Section",
    "TsplibError",
    "decode_tsplib",
    "is_number",
    "not_a_number",
    "read_document",
    "shown",
]

SECTIONS = frozenset(
    {
        "DEMAND_SECTION",
        "DEPOT_SECTION",
        "DISPLAY_DATA_SECTION",
        "EDGE_DATA_SECTION",
        "EDGE_WEIGHT_SECTION",
        "FIXED_EDGES_SECTION",
        "NODE_COORD_SECTION",
        "TOUR_SECTION",
    }
)
ENTRIES = frozenset(
    {
        "CAPACITY",
        "COMMENT",
        "DIMENSION",
        "DISPLAY_DATA_TYPE",
        "EDGE_DATA_FORMAT",
        "EDGE_WEIGHT_FORMAT",
        "EDGE_WEIGHT_TYPE",
        "NAME",
        "NODE_COORD_TYPE",
        "TYPE",
    }
)

_KEYWORD = re.compile(r"\n[ \t\f\v]*([A-Za-z_]\w*)[ \t]*(:?)([^\n]*)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SPACE = re.compile(r"\s")
_ROW = re.compile(r"\S[^\n]*")
_BLOCK_CHARS = 1_000_000
_LONGEST_QUOTE = 40
_MOST_ENTRIES = 10_000


class TsplibError(ValueError):
    """A text that is not what TSPLIB 95 says, or asks for what is not supported.

    `line` counts from 1, `code` is a stable identifier, `message` says what was wrong and what
    would be right.
    """

    def __init__(self, line: int, code: str, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Entry:
    """`KEYWORD : value`, the value without the spaces around it."""

    keyword: str
    value: str
    line: int

    def choice(self) -> str:
        """The first word of the value in capitals (`TYPE: TSP (M.~Hofmeister)` is a TSP)."""
        words = self.value.upper().split(maxsplit=1)
        if not words:
            raise TsplibError(self.line, "missing_value", f"{self.keyword} needs a value.")
        return words[0]


@dataclass(frozen=True, slots=True)
class Section:
    """The data below a heading; `text` begins with the line break after the heading."""

    keyword: str
    text: str
    line: int

    @property
    def last_line(self) -> int:
        """The last line that is not blank."""
        return self.line + self.text.rstrip().count("\n")

    @property
    def plain(self) -> bool:
        """Whether Python's own number readers accept no more here than a TSPLIB file may hold."""
        return self.text.isascii() and "_" not in self.text

    def blocks(self) -> Iterator[list[str]]:
        """All words, some at a time: as a list they take thirty times the memory of the text."""
        start = 0
        while start < len(self.text):
            space = _SPACE.search(self.text, start + _BLOCK_CHARS)
            end = space.start() if space else len(self.text)
            yield self.text[start:end].split()
            start = end

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number and words of every line that is not blank."""
        line, counted = self.line, 0
        for match in _ROW.finditer(self.text):
            line += self.text.count("\n", counted, match.start())
            counted = match.start()
            yield line, match[0].split()

    def count_words(self) -> int:
        """How many words there are; counting costs a tenth of reading them."""
        return sum(map(len, self.blocks()))

    def count_rows(self) -> int:
        """How many lines are not blank."""
        return sum(1 for _ in _ROW.finditer(self.text))

    def word(self, index: int) -> tuple[int, str]:
        """Line and text of the word with this index; the last line and nothing past the end."""
        for line, words in self.rows():
            if index < len(words):
                return line, words[index]
            index -= len(words)
        return self.last_line, ""


@dataclass(slots=True)
class Document:
    """Entries and sections by keyword; `last_line` is the line of EOF or of the end of the text."""

    entries: dict[str, Entry] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)
    last_line: int = 1

    def need(self, keyword: str) -> Entry:
        if keyword not in self.entries:
            raise TsplibError(self.last_line, "missing_keyword", f"The entry {keyword} is missing.")
        return self.entries[keyword]

    def need_section(self, keyword: str) -> Section:
        if keyword not in self.sections:
            raise TsplibError(self.last_line, "missing_section", f"{keyword} is missing.")
        return self.sections[keyword]

    def dimension(self, limit: int) -> int:
        """Number of nodes, from 1 to `limit`; nothing is allocated for it yet."""
        entry = self.need("DIMENSION")
        if not (entry.value.isascii() and entry.value.isdigit()):
            message = f"DIMENSION is a whole number of nodes, not {shown(entry.value)}."
            raise TsplibError(entry.line, "wrong_dimension", message)
        digits = entry.value.lstrip("0")
        if not digits:
            raise TsplibError(entry.line, "wrong_dimension", "DIMENSION is at least 1.")
        if len(digits) > len(str(limit)) or int(digits) > limit:
            message = f"DIMENSION is at most {limit} here, not {shown(digits)}."
            raise TsplibError(entry.line, "too_many_nodes", message)
        return int(digits)


def decode_tsplib(content: bytes) -> str:
    """The text of a file: UTF-8, else Latin-1 (old files have umlauts in their comments)."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_document(text: str) -> Document:
    """Split a text into entries and sections; raises `TsplibError`."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = "\n" + text.rstrip("\x1a\n\t ")  # DOS files may end with Ctrl-Z
    document = Document()
    section: tuple[str, int] | None = None
    line, counted, end, entries = 0, 0, 0, 0
    for match in _KEYWORD.finditer(text):
        line += text.count("\n", counted, match.start() + 1)
        counted = match.start() + 1
        keyword = match[1].upper()
        _check_keyword(keyword, match, line, in_section=section is not None)
        _close(document, section, text[end : match.start()], line_after=line)
        section, end = None, match.end()
        if keyword == "EOF":
            document.last_line = line
            return document
        if keyword in SECTIONS:
            _check_heading(document, keyword, match[3], line)
            section = (keyword, line)
        else:
            _add_entry(document, Entry(keyword, match[3].strip(), line))
            entries += 1
            if entries > _MOST_ENTRIES:
                message = f"More than {_MOST_ENTRIES} lines of COMMENT are not read."
                raise TsplibError(line, "too_many_entries", message)
    document.last_line = line + text.count("\n", counted)
    _close(document, section, text[end:], line_after=document.last_line + 1)
    return document


def _check_keyword(keyword: str, match: re.Match[str], line: int, *, in_section: bool) -> None:
    if keyword in ENTRIES or keyword in SECTIONS or keyword == "EOF":
        return
    if in_section and not match[2]:
        raise TsplibError(line, "not_a_number", f"{not_a_number(match[0].split()[0])}.")
    raise TsplibError(
        line,
        "unknown_keyword",
        f"{shown(match[1])} is no keyword of TSPLIB 95; free text belongs behind COMMENT.",
    )


def _check_heading(document: Document, keyword: str, rest: str, line: int) -> None:
    if keyword in document.sections:
        first = document.sections[keyword].line
        message = f"{keyword} is given twice, first on line {first}."
        raise TsplibError(line, "repeated_section", message)
    if rest.strip():
        message = f"The data of {keyword} begin on the line after it, not with {shown(rest)}."
        raise TsplibError(line, "data_beside_heading", message)


def _add_entry(document: Document, entry: Entry) -> None:
    known = document.entries.setdefault(entry.keyword, entry)
    if known is not entry and entry.keyword != "COMMENT":
        message = f"{entry.keyword} is given twice, first on line {known.line}."
        raise TsplibError(entry.line, "repeated_keyword", message)


def _close(
    document: Document, section: tuple[str, int] | None, text: str, *, line_after: int
) -> None:
    """Keep the data of a section; outside of sections nothing but blank lines may stand."""
    if section is not None:
        keyword, line = section
        document.sections[keyword] = Section(keyword, text, line)
        return
    if words := text.split(maxsplit=1):
        line = line_after - text.lstrip().count("\n") - 1
        message = f"KEYWORD : value is expected here, or a section, not {shown(words[0])}."
        raise TsplibError(line, "keyword_expected", message)


def is_number(word: str) -> bool:
    """Whether a word is a decimal number, with or without an exponent."""
    return _NUMBER.fullmatch(word) is not None


def not_a_number(word: str) -> str:
    """What is wrong with a word that should be a number, as a clause."""
    clause = f"A number is expected here, not {shown(word)}"
    if is_number(word.replace(",", ".", 1)):
        return clause + ": write decimals with a point"
    return clause


def shown(word: str) -> str:
    """A word from the text as messages quote it: short, printable."""
    word = word.strip()
    return ascii(word if len(word) <= _LONGEST_QUOTE else word[:_LONGEST_QUOTE] + "...")
