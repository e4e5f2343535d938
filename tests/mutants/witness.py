"""A plug-in of pytest that writes down how each test ended, and by what: `python -m pytest -p tests.mutants.witness`.

It refuses to begin where the package under test is not the one that it was told to expect.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["ENDED_IN", "EXPECTED", "Ends"]

#: Names of environment variables: the file to write to, and the folder that the package has to come from.
ENDED_IN = "FAIRLEAD_ENDED_IN"
EXPECTED = "FAIRLEAD_EXPECTED"

#: For each test that was begun: "" where it passed, "assertion", or the name of another error.
Ends = dict[str, str]

_ends: Ends = {}


def pytest_sessionstart() -> None:
    import fairlead

    folder = Path(fairlead.__file__).resolve().parents[1]
    if folder != Path(os.environ[EXPECTED]).resolve():
        raise pytest.UsageError(f"the package under test comes from {folder}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    if call.excinfo is None:
        _ends.setdefault(item.nodeid, "")
    elif not _ends.get(item.nodeid):  # the first error is the cause of those that follow
        _ends[item.nodeid] = _kind(call.excinfo) if call.when == "call" else f"{call.excinfo.typename} in {call.when}"
    return (yield)


def pytest_sessionfinish() -> None:
    Path(os.environ[ENDED_IN]).write_text(json.dumps(_ends), encoding="utf-8")


def _kind(found: pytest.ExceptionInfo[BaseException]) -> str:
    return "assertion" if _is_assertion(found.value) else found.typename


def _is_assertion(error: BaseException) -> bool:
    """Tell whether a test says so: an `assert` of the product itself is a crash like any other."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_assertion(each) for each in error.exceptions)
    if isinstance(error, pytest.fail.Exception):
        return True
    return isinstance(error, AssertionError) and not _raised_in(error).is_relative_to(os.environ[EXPECTED])


def _raised_in(error: BaseException) -> Path:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return Path(trace.tb_frame.f_code.co_filename if trace is not None else "").resolve()
