"""Fairlead against a real Kubernetes: the dev cluster, the end-to-end tests, the demo and the benchmark."""
