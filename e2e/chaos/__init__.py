"""`make chaos`: faults on the real control plane, in mid-run, judged by the API server's audit log (docs/faults.md)."""
