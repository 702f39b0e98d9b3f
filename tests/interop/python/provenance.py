"""Reads a bill of materials and a statement with their projects' own libraries.

provenance.py BILL STATEMENT: exits with an error when either is not valid, else prints the
bill's components and the statement's inputs, a line each.
"""

import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

bill, statement = (open(path, encoding="utf-8").read() for path in sys.argv[1:3])

problem = JsonStrictValidator(SchemaVersion.V1_5).validate_str(bill)
if problem is not None:
    sys.exit(f"the bill of materials: {problem}")
parsed = json_format.Parse(statement, statement_pb2.Statement())
Statement.copy_from_pb(parsed).validate()

bill, statement = json.loads(bill), json.loads(statement)
for component in bill["components"]:
    print("component", component["name"], component["version"])
for subject in statement["subject"]:
    print("subject", subject["name"], subject["digest"]["sha256"])
for used in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
    print("input", used["name"])
