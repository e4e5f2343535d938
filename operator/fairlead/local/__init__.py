"""Runs a workflow on this machine, without a cluster: the operator's engine, with processes in place of pods.

`runner` drives the same `plan()` as the operator and carries out its commands; `process` is one task's process
group, and `guard` ends them all should this program be killed; `sandbox` is what a process gets to see:
directories, environment, command line. `refusals` says before anything starts what only a cluster can do.

It isolates nothing: a task has the rights of whoever runs it, and sees the same files.
"""
