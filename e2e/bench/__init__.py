"""The benchmark: what Fairlead adds to the API server's own time and work, against a bare driver in the same run."""
