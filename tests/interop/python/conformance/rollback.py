"""Older than what was trusted before, and the way back after stolen keys signed high versions."""

from simulator import MetaFile, case


@case
def new_timestamp_version_rollback(repo, client):
    client.init(repo.served["root"][0])
    repo.publish("timestamp")
    assert client.refresh()
    repo.forget("timestamp", 1)
    repo.publish("timestamp")
    assert not client.refresh()
    assert client.version("timestamp") == 2
    assert repo.asked[-1] == ("timestamp", None)


@case(basic=False, with_hashes=True)
def snapshot_rollback(repo, client, hashed):
    client.init(repo.served["root"][0])
    repo.hashed = hashed
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    repo.forget("snapshot", 1)
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert (client.version("timestamp"), client.version("snapshot")) == (2, 2)
    assert repo.asked[-1] == ("timestamp", None)


@case
def new_snapshot_version_mismatch(repo, client):
    client.init(repo.served["root"][0])
    repo.snapshot.version = 4
    repo.publish("snapshot")
    repo.timestamp.snapshot_meta.version = 2
    repo.publish("timestamp")
    assert not client.refresh()
    assert client.trusted() == {"root": 1, "timestamp": 2}
    assert repo.asked[-1] == ("snapshot", 2)


@case(basic=False, with_hashes=True)
def targets_rollback(repo, client, hashed):
    client.init(repo.served["root"][0])
    repo.hashed = hashed
    repo.publish("targets", "snapshot", "timestamp")
    assert client.refresh()
    repo.forget("targets", 1)
    repo.publish("targets", "snapshot", "timestamp")
    assert not client.refresh()
    assert (client.version("snapshot"), client.version("targets")) == (2, 2)


@case
def targets_role_removal(repo, client):
    client.init(repo.served["root"][0])
    repo.delegate("targets", "delegated", ["delegatedpath/*"])
    repo.publish("delegated", "targets", "snapshot", "timestamp")
    assert client.refresh()
    del repo.snapshot.meta["delegated.json"]
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert client.version("snapshot") == 2


@case
def root_removal_from_snapshot(repo, client):
    # go-tuf before 0.3 listed the root in the snapshot: 5.5.5 is about targets documents.
    client.init(repo.served["root"][0])
    repo.snapshot.meta["root.json"] = MetaFile(7)
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    repo.snapshot.meta["root.json"] = MetaFile(1)
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    del repo.snapshot.meta["root.json"]
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    assert client.version("snapshot") == 4


@case
def snapshot_rollback_with_local_snapshot_hash_mismatch(repo, client):
    # What is kept guards against rollback though it is not what the timestamp names.
    client.init(repo.served["root"][0])
    repo.hashed = True
    repo.publish("targets", "snapshot", "timestamp")
    repo.publish("targets", "snapshot", "timestamp")
    assert client.refresh()
    repo.snapshot.meta["targets.json"].version = 1
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert client.version("snapshot") == 3


@case
def targets_fast_forward_recovery(repo, client):
    client.init(repo.served["root"][0])
    repo.delegate("targets", "delegated", ["delegatedpath/*"])
    repo.publish("delegated")
    for _ in range(99):
        repo.publish("targets")
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    assert client.version("targets") == 100
    repo.replace_keys("snapshot")
    repo.forget("targets", 1)
    del repo.snapshot.meta["delegated.json"]
    repo.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh()
    assert client.version("targets") == 1


@case
def snapshot_fast_forward_recovery(repo, client):
    client.init(repo.served["root"][0])
    for _ in range(99):
        repo.publish("snapshot")
    repo.publish("timestamp")
    assert client.refresh()
    assert client.version("snapshot") == 100
    repo.replace_keys("snapshot")
    repo.replace_keys("timestamp")
    repo.forget("snapshot", 1)
    repo.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh()
    assert client.version("snapshot") == 1


@case
def timestamp_fast_forward_recovery(repo, client):
    client.init(repo.served["root"][0])
    for _ in range(99):
        repo.publish("timestamp")
    assert client.refresh()
    assert client.version("timestamp") == 100
    repo.replace_keys("timestamp")
    repo.forget("timestamp", 1)
    repo.publish("root", "timestamp")
    assert client.refresh()
    assert client.version("timestamp") == 1
