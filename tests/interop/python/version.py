"""Prints the installed version of a package: what ci/versions pins is what is asked."""

import importlib.metadata
import sys

print(importlib.metadata.version(sys.argv[1]))
