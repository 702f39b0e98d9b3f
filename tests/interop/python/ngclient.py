"""python-tuf's client as a command.

ngclient.py URL STATE [--root FILE] [TARGET FILE]...

begins with the trusted root in --root, or goes on with STATE, refreshes, and downloads each
TARGET to FILE. It prints the version of targets.json that it then trusts.
"""

import json
import pathlib
import sys

from tuf.ngclient import Updater, UpdaterConfig


def main() -> None:
    url, state, *rest = sys.argv[1:]
    root = None
    if rest[:1] == ["--root"]:
        root = pathlib.Path(rest[1]).read_bytes()
        rest = rest[2:]
    state = pathlib.Path(state)
    state.mkdir(exist_ok=True)
    # Without a new root the one in STATE is trusted.
    updater = Updater(
        metadata_dir=str(state),
        metadata_base_url=url + "/",
        target_dir=str(state),
        target_base_url=url + "/targets/",
        bootstrap=root,
        config=UpdaterConfig(prefix_targets_with_hash=True),
    )
    updater.refresh()
    for target, file in zip(rest[::2], rest[1::2]):
        info = updater.get_targetinfo(target)
        if info is None:
            sys.exit(f"no target {target}")
        updater.download_target(info, filepath=file)
    print(json.loads((state / "targets.json").read_bytes())["signed"]["version"])


main()
