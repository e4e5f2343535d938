"""Only this package talks to the API server.

`credentials` opens HTTP sessions, `transport` sends requests and raises the typed `errors`, `informer` keeps
a projected copy of one resource in memory, `events` records Kubernetes Events, `finalizers` holds and
releases objects, `resources` knows the URL of each kind and `discovery` finds those that users name. Bodies are raw
JSON throughout: the models of client libraries drop the fields they do not know. What happens here is told to an
injected `observer`; nothing here knows about workflows, metrics or the engine.
"""
