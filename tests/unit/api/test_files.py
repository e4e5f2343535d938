"""`files` of tasks: where they may be, what is in them, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import job, problems, rendered, spec, task

from fairlead.engine.expressions import ExpressionError

PARAMS = [
    {"name": "day", "default": "2026-11-22"},
    {"name": "config", "type": "object", "default": {"port": 5432, "host": "db"}},
]


def files(*given: Any, **more: Any) -> dict[str, Any]:
    return spec(task(files=list(given), **more), params=PARAMS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("a\nb\n", "a\nb\n", id="a text as it is"),
        pytest.param("", "", id="nothing"),
        pytest.param("day=${params.day}", "day=2026-11-22", id="an expression inside"),
        pytest.param("${params.day}", "2026-11-22", id="a string"),
        pytest.param("${params.config}", '{"host":"db","port":5432}', id="an object"),
        pytest.param({"b": [1, "${params.day}"], "a": None}, '{"a":null,"b":[1,"2026-11-22"]}', id="in an object"),
        pytest.param({"port": "${params.config.port}"}, '{"port":5432}', id="a number in an object stays one"),
        pytest.param(3, "3", id="a number"),
        pytest.param("${params.config.?user.orValue(null)}", "null", id="null"),
        pytest.param("$(HOME) $${x}", "$(HOME) ${x}", id="the kubelet expands nothing in it"),
    ],
)
def test_what_is_in_a_file(value: Any, text: str) -> None:
    assert rendered(files({"path": "x", "value": value}))["files"] == [{"path": "x", "text": text}]


@pytest.mark.parametrize("kind", [{}, {"script": {"source": "x", "image": "i"}}, {"job": job()}], ids=str)
def test_which_tasks_have_files(kind: dict[str, Any]) -> None:
    assert rendered(files({"path": "/etc/x", "value": "y"}, **kind))["files"] == [{"path": "/etc/x", "text": "y"}]


def test_files_read_other_tasks() -> None:
    reader = task("b", files=[{"path": "x", "value": "${tasks.a.outputs.rows}"}], needs=["a"])
    definition = spec(task("a", outputs=[{"name": "rows", "type": "array"}]), reader)
    assert rendered(definition, "b", a={"rows": [1, 2]})["files"][0]["text"] == "[1,2]"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/", "must be the path of a file"),
        ("a/", "must be the path of a file"),
        ("../a", "must be the path of a file"),
        ("a/./b", "must be the path of a file"),
        ("/a//b", "must be the path of a file"),
        ("c:/x", "must not have ':'"),
        ("a\nb", "control characters"),
        ("${params.day}.txt", "must not have expressions"),
        ("/fairlead/script", "which is Fairlead's; a relative path is below $FAIRLEAD_FILES"),
        ("/fairlead-files/a", "which is Fairlead's"),
        ("/dev/termination-log", "which is Fairlead's"),
    ],
)
def test_where_a_file_cannot_be(path: str, message: str) -> None:
    found = problems(files({"path": path, "value": ""}))
    assert list(found) == ["spec.tasks[0].files[0].path"]
    assert message in found["spec.tasks[0].files[0].path"]


@pytest.mark.parametrize("path", ["a", "a/b.json", ".hidden", "a..b", "/etc/app/x.ini", "/fairlead-x"])
def test_where_a_file_can_be(path: str) -> None:
    assert problems(files({"path": path, "value": ""})) == {}


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("a", "a", "files[0] is there, too"),
        ("a", "a/b", "a file and a directory at once: files[0] is 'a'"),
        ("a/b", "a", "a file and a directory at once: files[0] is 'a/b'"),
    ],
)
def test_files_in_each_others_place(one: str, other: str, message: str) -> None:
    found = problems(files({"path": one, "value": ""}, {"path": other, "value": ""}))
    assert message in found["spec.tasks[0].files[1].path"]


def test_files_where_something_is_mounted() -> None:
    container = {"image": "x", "volumeMounts": [{"name": "v", "mountPath": "/etc/app.ini"}]}
    pod = {"volumes": [{"name": "v", "emptyDir": {}}]}
    found = problems(files({"path": "/etc/app.ini", "value": ""}, container=container, pod=pod))
    assert found == {
        "spec.tasks[0].files[0].path": "'/etc/app.ini' is taken: "
        "spec.tasks[0].container.volumeMounts[0].mountPath is mounted there"
    }


def test_files_of_too_many_bytes() -> None:
    half = "ü" * 150_000
    known = problems(files(*({"path": name, "value": half} for name in "abcd")))
    assert "1,200,000 bytes; the files of a task may have 900,000 together" in known["spec.tasks[0].files"]


def test_files_that_turn_out_to_have_too_many_bytes() -> None:
    params = [{"name": "much", "default": "y" * 250_000}]
    definition = spec(task(files=[{"path": name, "value": "${params.much}"} for name in "abcd"]), params=params)
    with pytest.raises(ExpressionError, match=r"spec\.tasks\[0\]\.files: 1,000,000 bytes"):
        rendered(definition)


def test_problems_of_expressions_are_at_their_place() -> None:
    found = problems(files({"path": "x", "value": {"a": ["${params.nobody}"]}}))
    assert list(found) == ["spec.tasks[0].files[0].value.a[0]"]


def test_names_of_volumes_that_are_ours() -> None:
    pod = {"volumes": [{"name": "fairlead-files", "emptyDir": {}}]}
    assert "which is Fairlead's own volume" in problems(spec(task(pod=pod)))["spec.tasks[0].pod.volumes[0].name"]
