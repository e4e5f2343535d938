"""docs/operations.md is carried out as it is written."""

from __future__ import annotations

import os

import pytest
from e2e.helm.__main__ import NAMES, ROOT
from e2e.helm.page import Page
from e2e.kubectl import CommandFailed

TEXT = """\
# Title

## One

```sh
echo team-a \\
  --namespace fairlead
false
```

## Two

Nothing here.

```yaml
a: 1
```
"""


@pytest.fixture
def page() -> Page:
    return Page(TEXT, {"team-a": "team-x", "--namespace fairlead": "--namespace y"})


def test_commands_by_section(page: Page) -> None:
    assert page.commands("One") == ["echo team-a --namespace fairlead", "false"]
    assert page.commands("Two") == []


def test_a_command_is_run_with_the_names_of_the_test(page: Page) -> None:
    assert page.run(page.commands("One")[0], os.environ, "more") == "team-x --namespace y more\n"
    assert page.unrun() == ["false"]


def test_a_command_that_fails_or_should_have_is_noticed(page: Page) -> None:
    with pytest.raises(CommandFailed):
        page.run("false", os.environ)
    assert page.run("false", os.environ, fails=True) == ""
    with pytest.raises(CommandFailed):
        page.run("true", os.environ, fails=True)


def test_only_whole_words_are_other_names() -> None:
    page = Page("", {"team-a": "x"})
    assert page.translated("team-a team-ab my-team-a {team-a,b}") == "x team-ab my-team-a {x,b}"


def test_no_command_of_the_page_touches_what_is_not_the_tests() -> None:
    page = Page((ROOT / "docs" / "operations.md").read_text(), NAMES)
    for command in page.unrun():
        translated = page.translated(command)
        assert "--namespace fairlead " not in f"{translated} ", translated
        assert "release --all-namespaces" not in translated
    assert len(page.unrun()) > 10
