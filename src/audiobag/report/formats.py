"""Tables as Markdown and LaTeX, with all text escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from audiobag.report.statistics import Ends, Estimate

NONE = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows and columns. The first column names the row.

    Attributes:
        title: of the table.
        columns: column headings.
        rows: one text per column each.
        essential: number of columns, from the left, that a narrow terminal shows.
        note: explains the numbers.
        bold: (row, column) of the cells in bold.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    essential: int
    note: str
    bold: frozenset[tuple[int, int]] = frozenset()


def mean_text(found: Estimate | None, digits: int = 4) -> str:
    """Return a mean and, of several values, their deviation as the text of a cell."""
    if found is None:
        return NONE
    deviation = "" if found.deviation is None else f" ± {found.deviation:.{digits}f}"
    return f"{found.mean:.{digits}f}{deviation}"


def ends_text(ends: Ends, form: str = ".4f") -> str:
    """Return an interval as the text of a cell; `form` formats each end."""
    return NONE if ends is None else f"{ends[0]:{form}} to {ends[1]:{form}}"


def markdown(table: Table) -> str:
    """Return a table as Markdown."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    rows = _cells(table, markdown_text, "**{}**")
    align = "| " + " | ".join(["---", *["---:"] * (len(table.columns) - 1)]) + " |"
    head = f"### {markdown_text(table.title)}"
    columns = line(map(markdown_text, table.columns))
    return "\n".join([head, "", columns, align, *map(line, rows), "", table.note, ""])


def _cells(table: Table, escaped: Callable[[str], str], bold: str) -> list[list[str]]:
    """Return the cells of a table, escaped, with those in bold marked."""
    return [
        [bold.format(escaped(cell)) if (i, j) in table.bold else escaped(cell) for j, cell in enumerate(row)]
        for i, row in enumerate(table.rows)
    ]


def markdown_text(text: str) -> str:
    """Return a text with the characters escaped that have a meaning in Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text).replace("\n", " ")


def latex(table: Table) -> str:
    """Return a table as LaTeX, for a document that uses booktabs."""

    def line(cells: Iterable[str]) -> str:
        return " & ".join(cells) + r" \\"

    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(table.title)}. {latex_text(table.note)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
            r"\toprule",
            line(map(latex_text, table.columns)),
            r"\midrule",
            *map(line, _cells(table, latex_text, r"\textbf{{{}}}")),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "≈": r"$\approx$",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}


def latex_text(text: str) -> str:
    """Return a text with the characters escaped that have a meaning in LaTeX; signs of numbers are in math mode."""
    escaped = "".join(_LATEX.get(c, c) for c in text)
    return re.sub(r"(?<![\w-])([-+])(?=\d)", r"$\1$", escaped)
