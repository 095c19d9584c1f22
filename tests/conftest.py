"""Puts tests/ and scripts/ on the import path: `support` is shared by all tests, `stack` with the scripts."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
for folder in (TESTS.parent / "scripts", TESTS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
