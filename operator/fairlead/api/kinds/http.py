"""`http`: a request, sent by the operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fairlead.api.kinds.asking import NamedTree, about, bound, compile_outputs
from fairlead.api.kinds.kind import NO_POD, CompiledKind, Context, Kind
from fairlead.api.task import Task
from fairlead.api.task_kinds import Header, Http, HttpMethod
from fairlead.api.work import RenderedHeader, RenderedHttp
from fairlead.engine.model import Scope, ValueType, WorkKind
from fairlead.engine.templates import CompiledTree, FieldReference

__all__ = ["CONNECTION_HEADERS", "HTTP", "HttpWork"]

#: Headers that are about the connection, which is not the task's.
CONNECTION_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_RESPONSE = {"status": ValueType.INTEGER, "headers": ValueType.OBJECT, "body": None, "text": ValueType.STRING}
_TIMEOUT_SECONDS = 30
_MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _CompiledHeader:
    given: Header
    value: CompiledTree | None

    def evaluate(self, scope: Scope) -> RenderedHeader:
        source = self.given.value_from
        return RenderedHeader(
            name=self.given.name,
            value=self.value.evaluate(scope) if self.value is not None else None,
            secretName=source.secret_key_ref.name if source else None,
            secretKey=source.secret_key_ref.key if source else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpWork:
    """A request; implements `fairlead.engine.model.Work`."""

    given: Http
    url: CompiledTree
    headers: tuple[_CompiledHeader, ...]
    body: CompiledTree | None
    success_when: CompiledTree | None
    outputs: tuple[NamedTree, ...]
    kind: WorkKind = WorkKind.HTTP

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that its expressions name."""
        return tuple(reference for tree in self._trees() for reference in tree.references)

    def _trees(self) -> Iterator[CompiledTree]:
        yield self.url
        yield from (header.value for header in self.headers if header.value is not None)
        yield from (tree for tree in (self.body, self.success_when) if tree is not None)
        yield from (tree for _, tree in self.outputs)

    def evaluate(self, scope: Scope) -> RenderedHttp:
        """Return the request with values in place of expressions. Raises `ExpressionError`."""
        given = self.given
        return RenderedHttp(
            method=(given.method or HttpMethod.GET).value,
            url=self.url.evaluate(scope),
            headers=[header.evaluate(scope) for header in self.headers],
            body=self.body.evaluate(scope) if self.body is not None else None,
            timeoutSeconds=given.timeout_seconds or _TIMEOUT_SECONDS,
            idempotent=bool(given.idempotent),
            allowPrivate=bool(given.allow_private),
            successWhen=bound(self.success_when, scope) if self.success_when is not None else None,
            outputs=[(name, bound(tree, scope)) for name, tree in self.outputs],
        )


def _compile(context: Context, task: Task, path: str) -> CompiledKind:
    assert task.http is not None
    given, at, trees = task.http, f"{path}.http", context.trees
    answered = about(trees, "response", _RESPONSE)
    _check_url(context, given.url, f"{at}.url")
    work = HttpWork(
        given=given,
        url=trees.tree(given.url, f"{at}.url"),
        headers=tuple(
            _header(context, header, f"{at}.headers[{index}]") for index, header in enumerate(given.headers or ())
        ),
        body=trees.tree(given.body, f"{at}.body", max_bytes=_MAX_BODY_BYTES) if given.body is not None else None,
        success_when=answered.condition(given.success_when, f"{at}.successWhen") if given.success_when else None,
        outputs=tuple(compile_outputs(context, task, path, answered, "response")),
    )
    return CompiledKind(work=work)


def _check_url(context: Context, url: str, path: str) -> None:
    # An expression at the beginning may give the scheme.
    if not url.startswith(("http://", "https://", "${")):
        context.report(path, f"must begin with http:// or https://, unlike {url[:60]!r}")


def _header(context: Context, header: Header, path: str) -> _CompiledHeader:
    name = header.name.lower()
    if name in CONNECTION_HEADERS or name.startswith("proxy-"):
        context.report(f"{path}.name", f"{header.name} belongs to the connection, and cannot be set")
    if (header.value is None) == (header.value_from is None):
        context.report(path, "must have exactly one of `value` and `valueFrom`")
    value = context.trees.tree(header.value, f"{path}.value") if header.value is not None else None
    return _CompiledHeader(header, value)


HTTP = Kind(
    name="http",
    compile=_compile,
    default_timeout=False,
    output_source="response",
    unfit=NO_POD
    | {
        "timeoutSeconds": "use `http.timeoutSeconds`",
        "startTimeoutSeconds": "it starts at once",
    },
)
