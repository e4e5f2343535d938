"""Label and field selectors."""

from __future__ import annotations

import pytest

from fairlead.testing.apiserver.refusals import Refused
from fairlead.testing.apiserver.selectors import label_selector, select

LABELS = {"app": "x", "tier": "2", "fairlead.dev/bucket": "7", "empty": ""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app=x",
        "app==x",
        "app = x , tier=2",
        "app!=y",
        "missing!=y",
        "app",
        "!missing",
        "app in (x, y)",
        "app notin (y,z)",
        "missing notin (y)",
        "fairlead.dev/bucket in (6,7)",
        "tier>1",
        "tier<3",
        "empty=",
        "app in (x,y),!missing,tier>1",
    ],
)
def test_selects(text: str) -> None:
    assert label_selector(text)(LABELS)


@pytest.mark.parametrize(
    "text",
    ["app=y", "app!=x", "missing", "missing=", "!app", "app in (y)", "app notin (x)", "tier>2", "app>1", "app,no"],
)
def test_does_not_select(text: str) -> None:
    assert not label_selector(text)(LABELS)


@pytest.mark.parametrize("text", ["a=b=c", "a in b", "=x", "a in (b"])
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(Refused) as refused:
        label_selector(text)
    assert refused.value.answer.code == 400


def test_fields_are_those_of_the_kind() -> None:
    readable = {"metadata.name": lambda obj: str(obj["metadata"]["name"])}
    selector = select("app=x", "metadata.name!=b", readable)
    assert selector is not None
    assert selector({"metadata": {"name": "a", "labels": {"app": "x"}}})
    assert not selector({"metadata": {"name": "b", "labels": {"app": "x"}}})
    with pytest.raises(Refused):
        select("", "spec.other=1", readable)
