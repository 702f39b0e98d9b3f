"""python-tuf's client at times that nobody chose, until standard input ends.

follow.py URL STATE TARGET SEED

Again and again a new client with what STATE holds refreshes and downloads TARGET, and a line
says what it accepted, `VERSION SHA256` (of targets.json and of TARGET), or `-` where the look
failed; why goes to standard error.
"""

import hashlib
import json
import pathlib
import random
import sys
import tempfile
import threading

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater, UpdaterConfig


def look(url: str, state: str, target: str) -> str:
    updater = Updater(
        metadata_dir=state,
        metadata_base_url=f"{url}/",
        target_dir=state,
        target_base_url=f"{url}/targets/",
        bootstrap=None,
        config=UpdaterConfig(prefix_targets_with_hash=True),
    )
    updater.refresh()
    info = updater.get_targetinfo(target)
    version = json.loads(pathlib.Path(state, "targets.json").read_bytes())["signed"]["version"]
    if info is None:
        return f"{version} none"
    with tempfile.TemporaryDirectory() as folder:
        path = updater.download_target(info, filepath=f"{folder}/file")
        return f"{version} {hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()}"


def main() -> None:
    url, state, target, seed = sys.argv[1:]
    chance = random.Random(int(seed))
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    while True:
        try:
            print(look(url, state, target))
        except (RepositoryError, DownloadError, ValueError) as error:
            print("-")
            print(repr(error), file=sys.stderr)
        if ended.wait(chance.random() * 0.4):
            return


main()
