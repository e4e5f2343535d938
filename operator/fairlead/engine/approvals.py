"""Who may answer an approval, and with what.

That a request comes from whom it names is not for the engine to find out: the API server checks it at admission
(`UserAction.verified`). Where it does not, an approval that is restricted to some people is refused to everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fairlead.engine.events import UserAction
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Json, ValueType
from fairlead.engine.outputs import has_type
from fairlead.engine.passes import Pass
from fairlead.engine.refusals import Refused
from fairlead.engine.state import NodeState
from fairlead.engine.wording import timestamp

__all__ = ["approved", "check_identity"]


def check_identity(p: Pass, state: NodeState, action: UserAction) -> None:
    """Raise :class:`Refused` unless the one who asks may answer."""
    work = _work(p, state)
    users, groups = work.get("users") or (), work.get("groups") or ()
    if not users and not groups:
        return
    if not action.verified:
        raise Refused(
            "IdentityNotVerified",
            f"only some may answer {state.name}, and nothing checks here who asks: "
            "install the admission policy that comes with the chart",
        )
    if action.by not in users and not set(groups) & set(action.groups):
        allowed = ", ".join([*users, *(f"group {group}" for group in groups)])
        raise Refused("NotAllowed", f"{action.by} may not answer {state.name}; allowed: {allowed}")


def approved(p: Pass, state: NodeState, action: UserAction) -> dict[str, Json]:
    """Return the outputs of an approval that was given: the option, the form's values, who and when.

    Raises :class:`Refused` for somebody who may not, and for values that do not fit the form.
    """
    check_identity(p, state, action)
    work = _work(p, state)
    options = work.get("options") or ["Approve"]
    given = dict(action.values)
    option = given.pop("option", options[0])
    if option not in options:
        raise Refused("InvalidValues", f"{state.name}: `option` must be one of {', '.join(options)}, not {option!r}")
    values = _form_values(state.name, work.get("form") or (), given)
    return {**values, "option": option, "by": action.by, "at": timestamp(p.now)}


def _work(p: Pass, state: NodeState) -> Mapping[str, Json]:
    try:
        work: Mapping[str, Json] = state.node.work.evaluate(p.scope(state))
    except ExpressionError as error:
        raise Refused("ExpressionError", f"{state.name}: {error.message}") from error
    return work


def _form_values(name: str, form: Iterable[Mapping[str, Json]], given: dict[str, Json]) -> dict[str, Json]:
    values: dict[str, Json] = {}
    for field in form:
        key = field["name"]
        if key in given:
            values[key] = _checked(name, field, given.pop(key))
        elif "default" in field:
            values[key] = field["default"]
        else:
            raise Refused("InvalidValues", f"{name}: the form's field {key!r} has no value; give it in `values`")
    if given:
        raise Refused("InvalidValues", f"{name}: the form has no field {', '.join(map(repr, sorted(given)))}")
    return values


def _checked(name: str, field: Mapping[str, Json], value: Json) -> Json:
    kind = ValueType(field.get("type", "string"))
    problem = ""
    if not has_type(value, kind):
        problem = f"must be of type {kind.value}"
    elif field.get("enum") is not None and value not in field["enum"]:
        problem = f"must be one of {', '.join(map(str, field['enum']))}"
    elif field.get("minimum") is not None and value < field["minimum"]:
        problem = f"must be at least {field['minimum']:g}"
    elif field.get("maximum") is not None and value > field["maximum"]:
        problem = f"must be at most {field['maximum']:g}"
    if problem:
        raise Refused("InvalidValues", f"{name}: `{field['name']}` {problem}, not {value!r}")
    return value
