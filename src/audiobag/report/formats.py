"""Tables as Markdown, LaTeX and CSV, with all text escaped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    essential: int
    note: str


def markdown(table: Table) -> str:
    """Return a table as Markdown."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"

    align = "| " + " | ".join(["---", *["---:"] * (len(table.columns) - 1)]) + " |"
    head = f"### {markdown_text(table.title)}"
    return "\n".join([head, "", line(table.columns), align, *map(line, table.rows), "", table.note, ""])


def markdown_text(text: str) -> str:
    """Return a text with the characters escaped that have a meaning in Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text).replace("\n", " ")


def latex(table: Table) -> str:
    """Return a table as LaTeX, for a document that uses booktabs."""

    def line(cells: Iterable[str]) -> str:
        return " & ".join(latex_text(cell) for cell in cells) + r" \\"

    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(table.title)}. {latex_text(table.note)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
            r"\toprule",
            line(table.columns),
            r"\midrule",
            *map(line, table.rows),
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
    **{c: f"\\{c}" for c in "&%$#_{}"},
}


def latex_text(text: str) -> str:
    """Return a text with the characters escaped that have a meaning in LaTeX; signs of numbers are in math mode."""
    escaped = "".join(_LATEX.get(c, c) for c in text)
    return re.sub(r"(?<![\w-])([-+])(?=\d)", r"$\1$", escaped)


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
