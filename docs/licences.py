"""What audiobag needs to run, and under which licences: licences.md, from the installed packages.

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

audiobag is Apache-2.0; AudioSet's class list, which it carries, is CC BY 4.0. These are the packages that it needs to
run, without extras, as their authors declare them; `python docs/licences.py` makes this page of what is installed.

| package | version | licence |
| --- | --- | --- |
"""


def needed(name: str, found: dict[str, Distribution] | None = None) -> dict[str, Distribution]:
    """Return the package and all it needs on this platform, by name."""
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
    """Return what the package declares: its expression, else its classifiers, else the first line of its licence."""
    about = package.metadata
    classifiers = [c.split(" :: ")[-1] for c in about.get_all("Classifier", []) if c.startswith("License")]
    declared = (about.get("License") or "").strip().splitlines()
    return about.get("License-Expression") or ", ".join(classifiers) or (declared[0] if declared else "not declared")


def page() -> str:
    """Return the page."""
    packages = {name: package for name, package in needed("audiobag").items() if name != "audiobag"}
    rows = (f"| {n} | {p.version.split('+')[0]} | {licence(p)} |" for n, p in sorted(packages.items()))
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(f"{PAGE.name}: {PAGE.write_text(page(), encoding='utf-8'):,} characters\n")
