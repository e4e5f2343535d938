"""The dashboards as Grafana reads them: complete, without a name twice, and with a sentence for each panel."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from tools.monitoring.boards import BOARDS
from tools.monitoring.panels import Board, to_json


def read(board: Board) -> dict[str, Any]:
    return json.loads(to_json(board))


def test_there_are_four() -> None:
    assert [board.title.removeprefix("Fairlead / ") for board in BOARDS] == [
        "Fleet",
        "One workflow",
        "Operator health",
        "Capacity and cost",
    ]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.file)
class TestEach:
    def test_every_panel_is_there_and_says_what_it_shows(self, board: Board) -> None:
        panels = [panel for panel in read(board)["panels"] if panel["type"] != "row"]
        assert [panel["title"] for panel in panels] == [panel.title for panel in board.panels]
        assert all(panel["description"] for panel in panels)

    def test_titles_and_numbers_are_unique(self, board: Board) -> None:
        panels = read(board)["panels"]
        for key in ("id", "title"):
            assert [name for name, count in Counter(panel[key] for panel in panels).items() if count > 1] == []

    def test_the_data_source_can_be_chosen(self, board: Board) -> None:
        found = read(board)
        assert found["templating"]["list"][0]["type"] == "datasource"
        for panel in found["panels"]:
            for target in panel.get("targets", ()):
                assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}

    def test_queries_of_a_panel_have_names_of_their_own(self, board: Board) -> None:
        for panel in read(board)["panels"]:
            references = [target["refId"] for target in panel.get("targets", ())]
            assert references == list("ABCDEF"[: len(references)])

    def test_each_query_is_of_the_operators_that_were_chosen(self, board: Board) -> None:
        for panel in board.panels:
            for query in panel.queries:
                assert query.expr.count('job=~"$job"') >= 1, panel.title

    def test_where_there_is_no_moment_none_is_made_up(self, board: Board) -> None:
        """Where a count has no series, 0 is the answer; 0 s until something expires would say that it has."""
        for panel in board.panels:
            for query in panel.queries:
                assert not ("time()" in query.expr and "vector(" in query.expr), panel.title

    def test_some_panels_are_drawn_as_charts(self, board: Board) -> None:
        assert any(panel.main for panel in board.panels)


def test_a_dashboard_is_the_same_each_time() -> None:
    assert to_json(BOARDS[0]) == to_json(BOARDS[0])
