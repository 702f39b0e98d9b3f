"""A repository whose targets lie in the top-level document, in a role, and in hash bins.

delegated.py FOLDER [NAME FILE]...

Each NAME is listed by the role, which is trusted for it; a NAME with a `!` before it, without
that trust.
"""

import datetime
import pathlib
import sys

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Metadata,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)


def main() -> None:
    folder, *more = sys.argv[1:]
    folder, more = pathlib.Path(folder), dict(zip(more[::2], more[1::2]))
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=400)
    key = CryptoSigner.generate_ed25519()
    root = Root(expires=end, consistent_snapshot=False)
    for role in ("root", "timestamp", "snapshot", "targets"):
        root.add_key(key.public_key, role)
    bins = SuccinctRoles([], 1, 2, "bin")
    documents = {name: Targets(expires=end) for name in ["targets", "deep", *bins.get_roles()]}

    def add(role: str, name: str, data: bytes) -> None:
        documents[role].targets[name] = TargetFile.from_data(name, data, ["sha256", "sha512"])
        path = folder / "targets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    deep = DelegatedRole("deep", [], 1, False, ["deep/*", "bins/*", *(name for name in more if name[0] != "!")])
    documents["targets"].delegations = Delegations({}, {"deep": deep})
    documents["targets"].add_key(key.public_key, "deep")
    documents["deep"].delegations = Delegations({}, None, bins)
    documents["deep"].add_key(key.public_key)
    add("targets", "top", b"top")
    add("deep", "deep/file", b"deep")
    # Listed by a role that is not trusted for it: no client finds it.
    add("deep", "elsewhere/file", b"never")
    for name in ("bins/1", "bins/2", "bins/3"):
        add(bins.get_role_for_target(name), name, name.encode())
    for name, file in more.items():
        add("deep", name.lstrip("!"), pathlib.Path(file).read_bytes())
    snapshot, timestamp = Snapshot(expires=end), Timestamp(expires=end)

    def write(name: str, document: object) -> bytes:
        metadata = Metadata(document)
        metadata.sign(key)
        data = metadata.to_bytes()
        (folder / f"{name}.json").write_bytes(data)
        return data

    for name, document in documents.items():
        snapshot.meta[f"{name}.json"] = MetaFile.from_data(1, write(name, document), ["sha256"])
    timestamp.snapshot_meta = MetaFile.from_data(1, write("snapshot", snapshot), ["sha256"])
    write("timestamp", timestamp)
    (folder / "1.root.json").write_bytes(write("root", root))


main()
