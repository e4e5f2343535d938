"""Runs a workflow on this machine, without a cluster: the operator's engine, with processes in place of pods.

`runner` drives the same `plan()` as the operator and carries out its commands; `process` is one task's process
group, and `guard` ends them all should this program be killed; `sandbox` is what a process gets to see:
directories, environment, command line. `requests`, `questions` and `subworkflows` carry what needs no process of its
own: http tasks, what waits for somebody's answer, and runs within the run. `definitions` finds all that may come to
run, and `refusals` says before anything starts what only a cluster can do.

It isolates nothing: a task has the rights of whoever runs it, and sees the same files.
"""
