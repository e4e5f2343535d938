"""An API server in memory: requests in, answers out, and what became of the objects. No network and no clock here."""
