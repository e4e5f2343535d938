"""How often a task is tried again, compiled: its own `retry` and that of `taskDefaults`, field by field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fairlead.api.defaults import backoff, retry_policy
from fairlead.api.pod_rules import check_resources
from fairlead.api.rendering import TreeCompiler
from fairlead.api.task_retry import Retry, RetryRule
from fairlead.engine import model
from fairlead.engine.expressions import Declarations
from fairlead.engine.model import RetryPolicy, ValueType
from fairlead.engine.templates import CompiledTree, FieldReference

__all__ = ["Rules", "compile_retry", "compile_rules"]

#: What the condition of a rule sees of the attempt that failed. One that ran no container has no exit code.
_ATTEMPT = {
    "number": ValueType.INTEGER,
    "exitCode": None,
    "class": ValueType.STRING,
    "reason": ValueType.STRING,
    "message": ValueType.STRING,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one `retry`, with their conditions compiled (None where there is none)."""

    rules: Sequence[tuple[RetryRule, CompiledTree | None]] = ()

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that the conditions name."""
        return tuple(reference for _, when in self.rules if when for reference in when.references)


def compile_rules(retry: Retry | None, path: str, trees: TreeCompiler) -> Rules:
    """Check and compile the rules of the `retry` at `path`."""
    rules = (retry.rules if retry else None) or ()
    return Rules([(rule, _condition(rule, f"{path}.rules[{index}]", trees)) for index, rule in enumerate(rules)])


def compile_retry(own: Retry | None, default: Retry | None, rules: Rules) -> RetryPolicy:
    """Return the policy of a task: what it does not set is the default's. `rules` are those that count for it."""
    policy = retry_policy(own, default)
    return replace(
        policy,
        rules=tuple(
            model.RetryRule(
                exit_codes=frozenset(rule.exit_codes or ()),
                reasons=frozenset(rule.reasons or ()),
                when=when,
                limit=rule.limit,
                backoff=backoff(rule.backoff, None, otherwise=policy.backoff) if rule.backoff else None,
                resources=rule.resources,
            )
            for rule, when in rules.rules
        ),
    )


def _condition(rule: RetryRule, path: str, trees: TreeCompiler) -> CompiledTree | None:
    if rule.exit_codes is None and rule.reasons is None and rule.when is None:
        trees.report(path, "must have at least one of `exitCodes`, `reasons` and `when`")
    if rule.resources is not None:
        check_resources(rule.resources, f"{path}.resources", trees.report)
        if "${" in json.dumps(rule.resources):
            trees.report(f"{path}.resources", "must be written out: no expressions are replaced in it")
    if rule.when is None:
        return None
    declarations: Declarations = trees.declarations
    records = {**declarations.records, "attempt": _ATTEMPT}
    return replace(trees, declarations=replace(declarations, records=records)).condition(rule.when, f"{path}.when")
