"""`python -m fairlead.controllers`: the operator, with the options of `fairlead operator`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # The command line lives in `cli`, a layer above: it is started as a program here, not imported as a library.
    import runpy

    sys.argv = ["fairlead", "operator", *sys.argv[1:]]
    runpy.run_module("fairlead.cli.main", run_name="__main__")
