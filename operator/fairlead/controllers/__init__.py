"""The operator: gather facts, let the engine plan, apply its commands, record the status."""
