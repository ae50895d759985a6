"""Run a notebook in the working directory and write its outputs, without Jupyter.

audiobag-prepare source=synthetic
python docs/notebook.py docs/notebook.ipynb
python docs/notebook.py docs/notebook-recordings.ipynb
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def execute(notebook: dict[str, Any], change: Callable[[str], str] = lambda code: code) -> None:
    """Run the cells of a notebook in turn, and set their outputs: what they print, and the value of their last line.

    Args:
        notebook: its content.
        change: changes the code of a cell before it runs.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for count, cell in enumerate((c for c in notebook["cells"] if c["cell_type"] == "code"), 1):
        tree = ast.parse(change("".join(cell["source"])))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        printed, value = io.StringIO(), None
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, f"cell {count}", "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), names)
        outputs: list[dict[str, Any]] = []
        if printed.getvalue():
            outputs.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(True)})
        if value is not None:
            data = {**_picture(value), "text/plain": [repr(value)]}
            outputs.append({"output_type": "execute_result", "execution_count": count, "metadata": {}, "data": data})
        cell.update(execution_count=count, outputs=outputs)


def _picture(value: object) -> dict[str, str]:
    if not isinstance(value, Figure):
        return {}
    buffer = io.BytesIO()
    value.savefig(buffer, format="png", dpi=80)
    return {"image/png": base64.b64encode(buffer.getvalue()).decode()}


if __name__ == "__main__":
    path = Path(sys.argv[1])
    content = json.loads(path.read_text(encoding="utf-8"))
    execute(content)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
