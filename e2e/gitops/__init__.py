"""`make e2e-gitops`: a real Argo CD on the real API server, and what it and kstatus say of our objects."""
