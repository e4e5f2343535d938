"""The API: what a user may write in a Workflow, and how it becomes the engine's graph.

The pydantic models are the source of truth: the CRDs are generated from them, and the compile step and the
offline lint read the same ones. May import the engine only, so that lint works anywhere.
"""
