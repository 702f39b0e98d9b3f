"""Prints the canonical form of each line of a file, in hex.

canonical.py FILE, with one JSON value a line
"""

import json
import pathlib
import sys

from securesystemslib.formats import encode_canonical

for line in pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")[:-1]:
    print(encode_canonical(json.loads(line)).encode().hex())
