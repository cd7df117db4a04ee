"""CSV text with the line and column of every cell, which the standard reader does not tell."""

from __future__ import annotations

from typing import Final, NamedTuple

BYTES_MAX: Final = 16 << 20
"""A larger file is refused."""


class FaultError(ValueError):
    """The file is malformed.

    Attributes:
        line: 1 for the first.
        column: in characters, 1 for the first of the line.
        cause: what is wrong, without the place.
    """

    def __init__(self, line: int, column: int, cause: str) -> None:
        self.line = line
        self.column = column
        self.cause = cause
        super().__init__(f"line {line}, column {column}: {cause}")


class Cell(NamedTuple):
    """The text of a cell, and where its first character stands (inside the quotes, if quoted)."""

    text: str
    line: int
    column: int


Row = list[Cell]


def decode(data: bytes) -> str:
    """UTF-8 text, with or without a byte-order mark.

    Raises:
        FaultError: too large, or not UTF-8.
    """
    if len(data) > BYTES_MAX:
        raise FaultError(1, 1, f"the file has {len(data)} bytes, more than {BYTES_MAX}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line = before.count("\n") + 1
        raise FaultError(line, len(before) - (before.rfind("\n") + 1) + 1, "not UTF-8 text") from error


def rows(text: str) -> list[Row]:
    """The rows of RFC 4180 text with any line ends; the last line end may be missing.

    Raises:
        FaultError: a quote that never closes, or text around a quoted cell.
    """
    return _Reader(text.replace("\r\n", "\n").replace("\r", "\n")).rows()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0

    def rows(self) -> list[Row]:
        found: list[Row] = []
        while self._at < len(self._text):
            row = [self._cell()]
            while self._at < len(self._text) and self._text[self._at] == ",":
                self._at += 1
                row.append(self._cell())
            self._newline()
            found.append(row)
        return found

    def _newline(self) -> None:
        if self._at < len(self._text):
            self._at += 1
            self._line += 1
            self._line_start = self._at

    @property
    def _column(self) -> int:
        return self._at - self._line_start + 1

    def _cell(self) -> Cell:
        text = self._text
        start = self._at
        while start < len(text) and text[start] in " \t":
            start += 1
        if start < len(text) and text[start] == '"':
            self._at = start + 1
            return self._quoted()
        line, column = self._line, self._column
        ends = [end for end in (text.find(",", self._at), text.find("\n", self._at)) if end >= 0]
        end = min(ends, default=len(text))
        cell = Cell(text[self._at : end], line, column)
        self._at = end
        return cell

    def _quoted(self) -> Cell:
        text = self._text
        line, column = self._line, self._column
        parts: list[str] = []
        while True:
            end = text.find('"', self._at)
            if end < 0:
                raise FaultError(line, column - 1, "the quote that begins here is never closed")
            parts.append(text[self._at : end])
            for i in range(self._at, end):
                if text[i] == "\n":
                    self._line += 1
                    self._line_start = i + 1
            self._at = end + 1
            if not text.startswith('"', self._at):
                break
            parts.append('"')
            self._at += 1
        while self._at < len(text) and text[self._at] in " \t":
            self._at += 1
        if self._at < len(text) and text[self._at] not in ",\n":
            raise FaultError(self._line, self._column, "text after the closing quote of a cell")
        return Cell("".join(parts), line, column)
