"""The client workflow of TUF 1.0.34, tried on a client program.

conformance CLIENT GROUP...

CLIENT has the commands of the public suite theupdateframework/tuf-conformance (see
examples/tuf_client.rs). Each GROUP is a file of cases here; a case has a repository of its own
and a client without memory. Failures are printed, and how many cases held.
"""

import importlib
import sys
import traceback

from simulator import CASES, Client, Repository, Server


def main():
    program, *groups = sys.argv[1:]
    for group in groups:
        importlib.import_module(group)
    server, failed = Server(), 0
    for group, title, function, arguments in CASES:
        server.repository = Repository()
        client = Client(program, server)
        try:
            function(server.repository, client, *arguments)
        except Exception:
            failed += 1
            said = getattr(client, "said", "")
            print(f"FAILED {group}/{title}\n{traceback.format_exc()}{said}")
        finally:
            client.folder.cleanup()
    print(f"{len(CASES) - failed} of {len(CASES)} cases held")
    sys.exit(failed > 0)


main()
