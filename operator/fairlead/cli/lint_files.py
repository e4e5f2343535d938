"""What `fairlead lint` does: find files, check each, and print what is wrong in one of three forms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from fairlead.api.lint import Templates, lint_documents, read_templates
from fairlead.api.problems import Problem, Severity
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.output import LintFormat
from fairlead.cli.source import find_files, is_ours, load_yaml, read_text
from fairlead.cli.terminal import data, print_json, say
from fairlead.expr.cel import CelEvaluator

__all__ = ["lint_paths"]


@dataclass(frozen=True, slots=True)
class _Report:
    """One file: what is wrong, and how many of its documents were checked and how many are not ours."""

    file: Path
    problems: list[Problem]
    checked: int
    skipped: int

    @property
    def errors(self) -> int:
        return sum(problem.severity is Severity.ERROR for problem in self.problems)

    @property
    def warnings(self) -> int:
        return len(self.problems) - self.errors


def lint_paths(paths: Iterable[Path], *, output: LintFormat, strict: bool) -> int:
    """Check files and print what is wrong; returns the exit code. Raises :class:`CliError`."""
    evaluator = CelEvaluator()
    texts = {file: _text(file) for file in find_files(paths)}
    templates = read_templates(text for text in texts.values() if isinstance(text, str))
    reports = [_check(file, text, templates, evaluator) for file, text in texts.items()]
    match output:
        case LintFormat.JSON:
            print_json([_as_json(report.file, problem) for report in reports for problem in report.problems])
        case LintFormat.SIMPLE:
            for report in reports:
                for problem in report.problems:
                    data().print(f"{_place(report.file, problem)} {problem.severity.value.lower()}: {problem}")
        case LintFormat.PRETTY:
            for report in reports:
                _print_pretty(report)
            _print_summary(reports)
    bad = any(report.errors or (strict and report.warnings) for report in reports)
    return ExitCode.FAILED if bad else ExitCode.OK


def _text(file: Path) -> str | Problem:
    try:
        return read_text(file)
    except CliError as error:
        if str(file) == "-" or not file.exists():
            raise  # wrong usage, not a wrong file
        return Problem("", str(error))


def _check(file: Path, text: str | Problem, templates: Templates, evaluator: CelEvaluator) -> _Report:
    if isinstance(text, Problem):
        return _Report(file, [text], 0, 0)
    problems = lint_documents(text, evaluator=evaluator, templates=templates)
    try:
        documents = load_yaml(text, file)
    except CliError:  # no YAML, which is among the problems already
        return _Report(file, problems, 0, 0)
    ours = sum(is_ours(document) for document in documents)
    return _Report(file, problems, ours, len(documents) - ours)


def _place(file: Path, problem: Problem) -> str:
    return f"{file}:{problem.line}:" if problem.line else f"{file}:"


def _as_json(file: Path, problem: Problem) -> dict[str, object]:
    return {
        "file": str(file),
        "line": problem.line,
        "subject": problem.subject,
        "severity": problem.severity.value,
        "path": problem.path,
        "message": problem.message,
    }


def _print_pretty(report: _Report) -> None:
    console = data()
    for problem in report.problems:
        is_error = problem.severity is Severity.ERROR
        console.print(
            Text.assemble(
                (_place(report.file, problem), "bold"),
                " ",
                ("" if is_error else "warning: ", "yellow"),
                (f"{problem.path}: " if problem.path else "", "red" if is_error else "yellow"),
                problem.message,
            ),
            soft_wrap=True,
        )


def _print_summary(reports: list[_Report]) -> None:
    checked, skipped = sum(each.checked for each in reports), sum(each.skipped for each in reports)
    errors, warnings = sum(each.errors for each in reports), sum(each.warnings for each in reports)
    parts = [_count(checked, "document") + f" in {_count(len(reports), 'file')} checked"]
    parts += [f"{_count(skipped, 'other document')} skipped"] if skipped else []
    parts += [_count(errors, "error") if errors else "no errors"]
    parts += [_count(warnings, "warning")] if warnings else []
    say().print(Text(", ".join(parts), "red" if errors else "yellow" if warnings else "green"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
