"""python-tuf's client between the steps of a publication.

between.py STEPS STATE TARGET

STEPS holds one folder for each step, 000 being the repository before and the last one after.
For each step: a client with STATE refreshes and downloads TARGET; then the same client does so
after the last step. One line for each: STEP, then for both looks `VERSION SHA256` as they were
accepted, or `-` where the look failed. A last line `chain` ends with what a client got that
looked after every single step.
"""

import functools
import hashlib
import http.server
import json
import pathlib
import shutil
import sys
import tempfile
import threading

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater, UpdaterConfig


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


def look(url: str, step: str, state: str, target: str) -> str:
    updater = Updater(
        metadata_dir=state,
        metadata_base_url=f"{url}/{step}/",
        target_dir=state,
        target_base_url=f"{url}/{step}/targets/",
        bootstrap=None,
        config=UpdaterConfig(prefix_targets_with_hash=True),
    )
    try:
        updater.refresh()
        info = updater.get_targetinfo(target)
        version = json.loads(pathlib.Path(state, "targets.json").read_bytes())["signed"]["version"]
        if info is None:
            return f"{version} none"
        with tempfile.TemporaryDirectory() as folder:
            path = updater.download_target(info, filepath=f"{folder}/file")
            return f"{version} {hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()}"
    except (RepositoryError, DownloadError, ValueError):
        return "-"


def main() -> None:
    steps, state, target = sys.argv[1:]
    handler = functools.partial(Quiet, directory=steps)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    names = sorted(path.name for path in pathlib.Path(steps).iterdir())
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            mine = shutil.copytree(state, f"{folder}/state")
            print(name, look(url, name, mine, target), look(url, names[-1], mine, target))
    with tempfile.TemporaryDirectory() as folder:
        mine = shutil.copytree(state, f"{folder}/state")
        last = [look(url, name, mine, target) for name in names][-1]
        print("chain", last)


main()
