"""CSV files about files: a line of column names, one of which is that of the files, and rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audiobag.utils.errors import InputError
from audiobag.utils.files import check_readable

FILE_COLUMNS: Final = ("file", "filename", "path", "filepath", "fname", "wav", "audio", "video_id")


def read_rows(argument: str, path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV (or TSV) with a line of column names.

    Args:
        argument: name of the argument, for messages.
        path: the file.

    Raises:
        ValueError: the file cannot be read, is empty, or has a row of another length.
    """
    check_readable(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        separator = max("\t;,", key=head.count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has another number of cells than the first")
            rows.append({str(key).strip(): str(value) for key, value in row.items()})
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise InputError(f"{argument} must be a CSV with a line of column names, got {path} ({error})") from error
    if not rows:
        raise InputError(f"{argument} must have rows below its column names, got {path}, which has none")
    return rows


def file_column(argument: str, path: Path, rows: Sequence[dict[str, str]]) -> str:
    """Return the name of the column with the files.

    Raises:
        ValueError: there is none.
    """
    for name in rows[0]:
        if name.lower() in FILE_COLUMNS:
            return name
    raise InputError(
        f"{argument} must have a column of files ({', '.join(FILE_COLUMNS)}), got {path} with {', '.join(rows[0])}"
    )
