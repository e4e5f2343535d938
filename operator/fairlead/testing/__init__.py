"""A cluster in memory and the operator at work in it: what Fairlead's own proofs run on, for your tests as well.

The API server, the nodes and the network between them are imitations, kept honest by conformance tests against the
real API server; the operator is the one that is shipped, down to its HTTP requests. Time is virtual, chance is seeded:
a run takes milliseconds and can be had again from its seed. Production code must not import this package.
"""
