"""Expressions in CEL: the one implementation of `fairlead.engine.expressions.Evaluator`."""
