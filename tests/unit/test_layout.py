"""The tree is laid out as agreed."""

import operator
import sysconfig
from pathlib import Path

from tools.checks import ROOT, impurities, long_modules, shadowing


def test_the_source_directory_is_no_package() -> None:
    assert list(shadowing(ROOT)) == []


def test_operator_is_the_standard_librarys() -> None:
    assert Path(operator.__file__).parent == Path(sysconfig.get_path("stdlib"))


def test_no_module_is_too_long() -> None:
    assert [str(violation) for violation in long_modules(ROOT)] == []


def test_the_engine_is_pure() -> None:
    assert [str(violation) for violation in impurities(ROOT)] == []
