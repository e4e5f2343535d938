"""Deliberately broken engines and controllers, each with the tests that must find it out.

A mutant is data (`mutant.py`); those of a group of invariants are in a module of their own, and `catalogue.py` has them
all. `python -m tests.mutants` tries them: see `__main__.py`.
"""
