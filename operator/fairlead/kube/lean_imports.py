"""Importing what is needed of a large package without the rest of it.

`kubernetes` imports all that it has when anything of it is imported: hundreds of modules, megabytes, and a good part of
the time of each start. We need its loader of kubeconfigs, and in a pod not even that; kopf imports it wherever it finds
it, to recognise objects of types that we do not use.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["absent", "bare_package"]


@contextmanager
def absent(name: str) -> Iterator[None]:
    """Let a package that nobody has imported yet look as if it were not installed, in this block."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # what `import` takes for "there is none"
    try:
        yield
    finally:
        del sys.modules[name]


def bare_package(name: str) -> None:
    """Let modules of a package be imported without its `__init__`, which is not executed; one within another, too.

    Raises ModuleNotFoundError where it is not installed. Nothing happens where it is imported already.
    """
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = sys.modules[name] = importlib.util.module_from_spec(spec)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)
