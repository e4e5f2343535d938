"""The command line: `fairlead`, and the same as `kubectl fairlead`.

`main` puts the commands together; each has a file of its own, imports what it needs only when it runs, and leaves
looks to `render`. Data goes to standard output, everything said to a person to standard error.
"""
