"""One refresh after the other: what is asked for, what is kept, what is refused."""

import json

from securesystemslib.formats import encode_canonical
from simulator import DAY, MetaFile, case, signer
import hashlib

FIRST = [("root", 2), ("timestamp", None), ("snapshot", 1), ("targets", 1)]


@case
def basic_refresh_requests(repo, client):
    assert client.init(repo.served["root"][0])
    assert repo.asked == []
    assert client.refresh()
    assert repo.asked == FIRST


@case
def basic_refresh_trusted_data(repo, client):
    client.init(repo.served["root"][0])
    assert client.refresh()
    for role in ("root", "timestamp", "snapshot", "targets"):
        assert (client.metadata / f"{role}.json").read_bytes() == repo.served[role][-1]


@case
def implicit_refresh(repo, client):
    client.init(repo.served["root"][0])
    assert not client.download("nonexistent artifact")
    assert repo.asked == FIRST
    assert client.trusted() == {"root": 1, "snapshot": 1, "targets": 1, "timestamp": 1}


@case
def invalid_initial_root(repo, client):
    root = json.loads(repo.served["root"][0])
    del root["signed"]["version"]
    client.init(json.dumps(root).encode())
    assert not client.refresh()
    assert repo.asked == []


@case
def unsigned_initial_root(repo, client):
    root = json.loads(repo.served["root"][0])
    other = signer().sign(b"something else")
    root["signatures"][0]["sig"] = other.signature
    client.init(json.dumps(root).encode())
    assert not client.refresh()
    assert repo.asked == []


@case(
    root=("root", {"root": 1}),
    timestamp=("timestamp", {"root": 2}),
    snapshot=("snapshot", {"root": 2, "timestamp": 2}),
    targets=("targets", {"root": 2, "snapshot": 2, "timestamp": 2}),
)
def unsigned_metadata(repo, client, variant):
    role, trusted = variant
    anchor = repo.served["root"][0]
    repo.signers[role].pop()
    repo.publish("root", "targets", "snapshot", "timestamp")
    client.init(anchor)
    assert not client.refresh()
    assert client.trusted() == trusted


@case(
    root=("root", {"root": 1}),
    snapshot=("snapshot", {"root": 2, "timestamp": 2}),
    targets=("targets", {"root": 2, "snapshot": 2, "timestamp": 2}),
)
def url_and_metadata_version_mismatch(repo, client, variant):
    role, trusted = variant
    repo.docs[role].version = 2
    repo.publish("root", "targets", "snapshot", "timestamp")
    # The URL says 2, as its superior does; the document says 3.
    superior = {"snapshot": "timestamp", "targets": "snapshot"}.get(role)
    if superior:
        listed = repo.timestamp.snapshot_meta if role == "snapshot" else repo.snapshot.meta["targets.json"]
        listed.version = 2
        for again in ("snapshot", "timestamp") if role == "targets" else ("timestamp",):
            repo.served[again].pop()
            repo.docs[again].version -= 1
            if again == "timestamp" and role == "targets":
                repo.timestamp.snapshot_meta.version = 2
            repo.publish(again)
    client.init(repo.served["root"][0])
    assert not client.refresh()
    assert client.trusted() == trusted


@case
def timestamp_content_changes(repo, client):
    client.init(repo.served["root"][0])
    assert client.refresh()
    repo.timestamp.snapshot_meta.version = 100
    repo.forget("timestamp", 1)
    repo.publish("timestamp")
    assert client.refresh()
    assert repo.asked[-1] == ("timestamp", None)
    kept = json.loads((client.metadata / "timestamp.json").read_bytes())
    assert kept["signed"]["meta"]["snapshot.json"]["version"] == 1


@case
def basic_metadata_hash_support(repo, client):
    repo.hashed = True
    repo.publish("targets", "snapshot", "timestamp")
    client.init(repo.served["root"][0])
    assert client.refresh()
    repo.publish("targets")
    repo.snapshot.meta["targets.json"].hashes["sha256"] = "46" * 32
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert (client.version("snapshot"), client.version("targets")) == (3, 2)


@case
def new_targets_version_mismatch(repo, client):
    client.init(repo.served["root"][0])
    assert client.refresh()
    repo.publish("targets")
    assert client.refresh()
    assert client.version("targets") == 1
    assert repo.asked[-1] == ("timestamp", None)


@case
def metadata_bytes_match(repo, client):
    repo.served["timestamp"][-1] += b" "
    client.init(repo.served["root"][0])
    assert client.refresh()
    assert (client.metadata / "timestamp.json").read_bytes() == repo.served["timestamp"][-1]


def renamed(key):
    """The id of a key's object as it now is."""
    key.keyid = hashlib.sha256(encode_canonical(key.to_dict()).encode()).hexdigest()


@case
def custom_fields(repo, client):
    client.init(repo.served["root"][0])
    assert client.refresh()
    new = signer()
    new.public_key.unrecognized_fields["extra-field"] = {"a": 1, "b": 2}
    renamed(new.public_key)
    repo.root.unrecognized_fields["custom-field"] = "value"
    repo.add_key("root", new)
    repo.root.roles["root"].unrecognized_fields["another-field"] = "value"
    repo.publish("root")
    assert client.refresh()
    assert client.version("root") == 2


@case
def deprecated_keyid_hash_algorithms(repo, client):
    client.init(repo.served["root"][0])
    repo.root.revoke_key(repo.root.roles["snapshot"].keyids[0], "snapshot")
    repo.signers["snapshot"].clear()
    new = signer()
    new.public_key.unrecognized_fields = {"keyid_hash_algorithms": "md5"}
    renamed(new.public_key)
    repo.add_key("snapshot", new)
    repo.publish("root", "snapshot", "timestamp")
    assert client.refresh()
    assert (client.version("root"), client.version("snapshot")) == (2, 2)


@case
def snapshot_404(repo, client):
    client.init(repo.served["root"][0])
    assert client.refresh()
    repo.timestamp.snapshot_meta.version += 1
    repo.publish("timestamp")
    assert not client.refresh()
    assert repo.asked[-1] == ("snapshot", 2)
    assert client.trusted() == {"root": 1, "snapshot": 1, "targets": 1, "timestamp": 2}


@case
def targets_404(repo, client):
    client.init(repo.served["root"][0])
    assert client.refresh()
    repo.snapshot.meta["targets.json"].version += 1
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert repo.asked[-1] == ("targets", 2)
    assert client.trusted() == {"root": 1, "snapshot": 2, "targets": 1, "timestamp": 2}


@case
def timestamp_404(repo, client):
    client.init(repo.served["root"][0])
    assert client.refresh()
    del repo.served["timestamp"]
    assert not client.refresh()
    assert repo.asked[-1] == ("timestamp", None)
    assert client.trusted() == {"root": 1, "snapshot": 1, "targets": 1, "timestamp": 1}


@case
def incorrect_metadata_type(repo, client):
    client.init(repo.served["root"][0])
    repo.add_key("snapshot", repo.signers["timestamp"][0])
    repo.snapshot.meta = {"snapshot.json": MetaFile(1)}
    repo.publish("root", "snapshot")
    repo.served["timestamp"].append(repo.served["snapshot"].pop())
    assert not client.refresh()
    assert client.trusted() == {"root": 2}


@case
def faketime(repo, client):
    client.init(repo.served["root"][0])
    repo.root.expires = repo.now + 7 * DAY
    repo.publish("root")
    assert client.refresh()
    assert not client.refresh(at=repo.now + 8 * DAY)


@case
def max_root_rotations(repo, client):
    # A chain that is longer than one refresh follows ends there; the next one goes on.
    client.init(repo.served["root"][0])
    for _ in range(300):
        repo.publish("root")
    client.refresh()
    assert client.version("root") == 257, client.version("root")
    assert client.refresh()
    assert client.version("root") == 301


@case
def endless_metadata(repo, client):
    client.init(repo.served["root"][0])
    assert client.refresh()
    repo.publish("timestamp")
    repo.served["timestamp"][-1] += b" " * 100_000
    assert not client.refresh()
    assert client.version("timestamp") == 1
    assert "timestamp.json" in client.said and client.url in client.said
