import io
import json
import logging
from collections.abc import Iterator

import pytest

from fairlead.telemetry.logs import configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def say(stream: io.StringIO, format_: str = "json", **extra: object) -> str:
    configure(format_=format_, stream=stream)
    record = logging.getLogger("fairlead.test")
    record.info("released %s", "a pod", extra=extra)
    return stream.getvalue()


def test_a_json_line() -> None:
    line = json.loads(say(io.StringIO(), workflow="etl", namespace="data", task="load"))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "fairlead.test",
        "message": "released a pod",
        "workflow": "etl",
        "namespace": "data",
        "task": "load",
    }


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, "two\nlines", float("nan"), 10**30, "\ud800", {1, 2}], ids=lambda v: type(v).__name__
)
def test_whatever_is_said_is_one_line_of_json(value: object) -> None:
    written = say(io.StringIO(), value=value)
    assert written.count("\n") == 1
    assert json.loads(written)["message"] in ("released a pod", "'released a pod'")


def test_an_exception_stays_in_its_line() -> None:
    stream = io.StringIO()
    configure(format_="json", stream=stream)
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("x").exception("failed")
    line = json.loads(stream.getvalue())
    assert line["level"] == "error"
    assert line["exception"].endswith("ValueError: boom")


def test_text_for_people() -> None:
    assert say(io.StringIO(), "text", task="load").endswith("INFO    released a pod  task=load\n")


@pytest.mark.parametrize(("stream", "json_line"), [(io.StringIO(), True), (Terminal(), False)])
def test_auto_looks_at_the_stream(stream: io.StringIO, json_line: bool) -> None:
    assert say(stream, "auto").startswith("{") is json_line


def test_the_level_counts() -> None:
    stream = io.StringIO()
    configure(format_="text", level="WARNING", stream=stream)
    logging.getLogger("x").info("not this")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("options", [{"format_": "xml"}, {"level": "LOUD"}])
def test_nonsense_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"xml|LOUD"):
        configure(**options)
