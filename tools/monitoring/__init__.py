"""What watches an operator: dashboards and alerts as code, from which `tools.generate` writes the files that ship."""
