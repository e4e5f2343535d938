"""Requests that users ask for leave here, and go only where they may: the carrier of `http` tasks.

`addresses` says which addresses may be connected to, `connections` makes no other connections, `request` is what a
task asks for, checked, `answer` what came back, and `sender` carries one attempt out, to its outcome. The operator and
local runs use it alike, so nothing here knows of a cluster: values of Secrets come from an injected function.
"""
