"""Each example of docs/semantics.md ends as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.docs.stories import parse, tell

PAGE = (Path(__file__).parents[3] / "docs" / "semantics.md").read_text()


def examples() -> list[tuple[str, str]]:
    """Every example with the heading that it stands under and its number there."""
    found = []
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        found += [(f"{section.splitlines()[0]} {number}", block) for number, block in enumerate(blocks, start=1)]
    return found


@pytest.mark.parametrize(("heading", "block"), examples(), ids=[heading for heading, _ in examples()])
def test_example(heading: str, block: str) -> None:
    story = parse(block)
    assert story.outcome, "an example says how it ends"
    assert story.nodes, "and how its tasks do"
    outcome, nodes, _ = tell(story)
    assert (outcome, {name: nodes.get(name) for name in story.nodes}) == (story.outcome, story.nodes)


def test_every_section_but_the_first_has_an_example() -> None:
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[2:]:
        assert "```yaml" in section, section.splitlines()[0]


def test_a_story_that_is_told_wrongly_is_found_out() -> None:
    wrong = examples()[0][1].replace("# a: exit 1", "# a: ok")
    story = parse(wrong)
    outcome, nodes, _ = tell(story)
    assert (outcome, nodes["c"]) == ("Succeeded", "Succeeded")
    assert outcome != story.outcome
