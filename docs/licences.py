"""Write licences.md: the packages that audiobag needs to run and their licences, as installed.

python docs/licences.py
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).with_suffix(".md")
_HEAD = """# Licences

audiobag is licensed under Apache-2.0. It includes AudioSet's class list (CC BY 4.0) and plotly.js (MIT). The table
lists the packages that audiobag needs to run, without extras, with the licences that their authors declare.
`python docs/licences.py` writes this page from the installed packages.

| package | version | licence |
| --- | --- | --- |
"""


def needed(name: str, found: dict[str, Distribution] | None = None) -> dict[str, Distribution]:
    """Return the package and everything it requires on this platform, by name."""
    found = {} if found is None else found
    if (key := canonicalize_name(name)) in found:
        return found
    try:
        found[key] = distribution(name)
    except PackageNotFoundError:
        return found
    for text in found[key].requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(requirement.name, found)
    return found


def licence(package: Distribution) -> str:
    """Return the declared licence: the expression, else the classifiers, else the first line of the licence field."""
    about = package.metadata
    classifiers = [c.split(" :: ")[-1] for c in about.get_all("Classifier", []) if c.startswith("License")]
    declared = (about.get("License") or "").strip().splitlines()
    return about.get("License-Expression") or ", ".join(classifiers) or (declared[0] if declared else "not declared")


def page() -> str:
    """Return the content of the page."""
    packages = {name: package for name, package in needed("audiobag").items() if name != "audiobag"}
    rows = (f"| {n} | {p.version.split('+')[0]} | {licence(p)} |" for n, p in sorted(packages.items()))
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(f"{PAGE.name}: {PAGE.write_text(page(), encoding='utf-8'):,} characters\n")
