"""The pure engine: it decides what a run does next, and does none of it.

Nothing here reads a clock, draws a random number or performs I/O, and only the standard library is
imported (import-linter enforces both). The same engine runs in the operator and in `fairlead run --local`.
"""
