from __future__ import annotations

import json

from e2e.chaos.keeper import defects


def test_exceptions_of_our_own_are_defects_and_others_are_not() -> None:
    lines = [
        json.dumps({"logger": "fairlead.controllers.queue", "message": "cannot reconcile: no", "exception": "Trace"}),
        json.dumps({"logger": "fairlead.controllers.queue", "message": "cannot reconcile: an outage"}),
        json.dumps({"logger": "kopf._core", "message": "no connection", "exception": "Trace"}),
        "Traceback (most recent call last):",
        "--- start",
    ]

    assert defects(lines) == ["cannot reconcile: no: Trace", "Traceback (most recent call last):"]
