"""S17: places where the value of a Secret could show."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_CONTROLLERS = "tests/unit/controllers"
_SENDER = "tests/unit/egress/test_sender.py::TestSecrets"

MUTANTS = (
    Mutant(
        invariant="S17",
        name="status-of-a-request",
        broken="What a server repeats of a request's secrets is shown in the status.",
        file="egress/request.py",
        old="            secrets.update(_spellings(value))\n",
        new="",
        caught_by=(f"{_SENDER}::test_none_shows_in_what_a_server_repeats",),
    ),
    Mutant(
        invariant="S17",
        name="redirect",
        broken="Where a redirect leads to is shown with the secret in it.",
        file="egress/sender.py",
        old="            failed.message = request.without_secrets(failed.message)\n",
        new="",
        caught_by=(f"{_SENDER}::test_none_shows_in_a_redirect_to_where_nobody_answers",),
    ),
    Mutant(
        invariant="S17",
        name="log-of-a-request",
        broken="The request that has met a bug is logged with its headers.",
        file="egress/sender.py",
        old="        session = self._connections.session(allow_private=allow_private)\n",
        new="        session = self._connections.session(allow_private=allow_private)\n"
        '        logging.getLogger("fairlead").error("sending %s", dict(request.headers))\n',
        caught_by=(f"{_SENDER}::test_none_shows_when_we_have_a_bug",),
    ),
    Mutant(
        invariant="S17",
        name="log-of-a-failure",
        broken="The log repeats what a failed task printed.",
        file="controllers/apply.py",
        old='log.log(level, "%s", event.reason, extra=owner.fields(task))',
        new='log.log(level, "%s: %s", event.reason, event.message, extra=owner.fields(task))',
        caught_by=(f"{_CONTROLLERS}/test_log_fields.py::test_a_failure_names_the_task_and_not_what_it_printed",),
    ),
    Mutant(
        invariant="S17",
        name="trace-of-a-failure",
        broken="A trace repeats what a failed task printed.",
        file="telemetry/traces.py",
        old='failure="" if attempt.failure_class is None else attempt.reason or attempt.failure_class.value,',
        new='failure="" if attempt.failure_class is None else attempt.message,',
        caught_by=(
            "tests/unit/telemetry/test_traces.py::test_a_failure_says_its_reason_and_not_what_the_task_printed",
        ),
    ),
    Mutant(
        invariant="S17",
        name="no-text",
        broken="The value of a Secret that is no text is shown by the error that says so.",
        file="controllers/secrets.py",
        old='f"key {key!r} of Secret {name!r} is no text"',
        new='f"key {key!r} of Secret {name!r} is no text: {data[key]}"',
        caught_by=(f"{_CONTROLLERS}/test_http_task.py::TestSecrets::test_a_value_that_is_no_text_is_not_told",),
    ),
    Mutant(
        invariant="S17",
        name="condition-of-a-wait",
        broken="An expression that fails on a Secret tells the values that it met.",
        file="controllers/condition.py",
        old="{trouble(error, found)}",
        new="{error.message}",
        caught_by=(f"{_CONTROLLERS}/test_condition.py::test_nothing_of_a_secret_is_told",),
    ),
    Mutant(
        invariant="S17",
        name="condition-of-a-resource",
        broken="The same about the object of a `resource` task, in its status.",
        file="controllers/resource_objects.py",
        old='"the expression cannot be evaluated" if _is_secret(seen) else error.message\n',
        new="error.message\n",
        caught_by=(f"{_CONTROLLERS}/test_resource_task.py::test_nothing_of_a_secret_is_told",),
    ),
)
