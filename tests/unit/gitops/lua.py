"""Scripts as Argo CD runs them: Lua 5.1 with the libraries base, table and the harmless part of os, and nothing else.

What it makes of the results (`util/lua` of Argo CD) is imitated where that is simple; `make e2e-gitops` runs the same
scripts in Argo CD itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lupa.lua51
import yaml

__all__ = ["KINDS", "LuaFailed", "load", "run"]

ROOT = Path(__file__).resolve().parents[3]
KINDS = ROOT / "gitops" / "argocd" / "resource_customizations" / "fairlead.dev"

#: Argo CD opens no more by default; not even the methods of strings are there.
_CLOSED = """
for _, name in ipairs({"string", "io", "math", "debug", "coroutine", "dofile", "loadfile"}) do _G[name] = nil end
os = { time = os.time, date = os.date }
"""
_NO_METHODS = 'getmetatable("").__index = nil'

LuaFailed = lupa.lua51.LuaError


def load(path: Path) -> Any:
    """Return what a YAML file says."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def run(script: Path, obj: Mapping[str, Any], parameters: Mapping[str, str] | None = None) -> Any:
    """Return what a script returns about an object, as plain data. Raises `LuaFailed`."""
    runtime = lupa.lua51.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    runtime.execute(_NO_METHODS)
    runtime.execute(_CLOSED)
    runtime.globals().obj = _to_lua(runtime, obj)
    runtime.globals().actionParams = _to_lua(runtime, parameters or {})
    return _from_lua(runtime.execute(script.read_text(encoding="utf-8")), obj)


def _to_lua(runtime: Any, value: Any) -> Any:
    match value:
        case Mapping():
            return runtime.table_from({key: _to_lua(runtime, each) for key, each in value.items()})
        case list():
            return runtime.table_from([_to_lua(runtime, each) for each in value])
        case _:
            return value


def _from_lua(value: Any, like: Any) -> Any:
    """An empty table is what it was in the object, if it was there: Lua does not tell lists and mappings apart."""
    if lupa.lua51.lua_type(value) != "table":
        return value
    pairs = dict(value.items())
    if not pairs:
        return {} if isinstance(like, Mapping) else []
    if set(pairs) == set(range(1, len(pairs) + 1)):
        before = like if isinstance(like, list) else []
        return [_from_lua(pairs[i], before[i - 1] if i <= len(before) else None) for i in range(1, len(pairs) + 1)]
    return {key: _from_lua(each, like.get(key) if isinstance(like, Mapping) else None) for key, each in pairs.items()}
