"""What is over: on the server, and in the client's memory."""

from simulator import DAY, case


@case
def root_expired(repo, client):
    # The root itself is taken (5.3.8 comes before 5.3.10), and nothing after it.
    client.init(repo.served["root"][0])
    assert client.refresh()
    repo.root.expires = repo.now - DAY
    repo.publish("root", "targets", "snapshot", "timestamp")
    assert not client.refresh()
    assert client.trusted() == {"root": 2, "snapshot": 1, "targets": 1, "timestamp": 1}


@case
def intermediate_root_expired(repo, client):
    client.init(repo.served["root"][0])
    repo.root.expires = repo.now - DAY
    repo.publish("root")
    repo.root.expires = repo.end
    repo.publish("root")
    assert client.refresh()
    assert client.version("root") == 3


@case
def expired_initial_root(repo, client):
    repo.forget("root", 1)
    repo.root.expires = repo.now - DAY
    repo.publish("root")
    repo.root.expires = repo.end
    repo.publish("root")
    assert client.init(repo.served["root"][0])
    assert client.refresh()


@case(timestamp="timestamp", snapshot="snapshot", targets="targets")
def expired(repo, client, role):
    client.init(repo.served["root"][0])
    assert client.refresh()
    repo.docs[role].expires = repo.now - 5 * DAY
    repo.publish("targets", "snapshot", "timestamp")
    assert not client.refresh()
    assert client.version(role) == 1
    later = {"timestamp": ["snapshot", "targets"], "snapshot": ["targets"], "targets": []}
    assert all(client.version(other) == 1 for other in later[role])


@case
def expired_metadata(repo, client):
    client.init(repo.served["root"][0])
    repo.timestamp.expires = repo.now + 7 * DAY
    repo.publish("timestamp")
    assert client.refresh()
    repo.timestamp.expires = repo.now + 21 * DAY
    repo.publish("targets", "snapshot", "timestamp")
    assert client.refresh(at=repo.now + 18 * DAY)
    assert client.trusted() == {"root": 1, "snapshot": 2, "targets": 2, "timestamp": 3}


@case(timestamp="timestamp", snapshot="snapshot", targets="targets")
def expired_in_memory(repo, client, role):
    # Kept, still the newest, and over.
    client.init(repo.served["root"][0])
    repo.docs[role].expires = repo.now + 7 * DAY
    repo.publish("targets", "snapshot", "timestamp")
    assert client.refresh()
    assert client.refresh(at=repo.now + 6 * DAY)
    assert not client.refresh(at=repo.now + 8 * DAY)


@case
def delegated_targets_expired(repo, client):
    client.init(repo.served["root"][0])
    repo.delegate("targets", "delegated", ["delegatedpath/*"], expires=repo.now - DAY)
    repo.add_target("delegated", "delegatedpath/target", b"delegated content")
    repo.publish("delegated", "targets", "snapshot", "timestamp")
    assert client.refresh()
    assert not client.download("delegatedpath/target")
    assert client.downloaded() == []
    assert client.trusted() == {"root": 1, "snapshot": 2, "targets": 2, "timestamp": 2}


@case(no_update=False, update=True)
def expired_local_delegated_targets(repo, client, update):
    client.init(repo.served["root"][0])
    repo.delegate("targets", "delegated", ["delegatedpath/*"], expires=repo.now + 7 * DAY)
    repo.add_target("delegated", "delegatedpath/first", b"first")
    repo.add_target("delegated", "delegatedpath/second", b"second")
    repo.publish("delegated", "targets", "snapshot", "timestamp")
    assert client.download("delegatedpath/first")
    if update:
        repo.docs["delegated"].expires = repo.now + 21 * DAY
        repo.publish("delegated", "snapshot", "timestamp")
    assert client.download("delegatedpath/second", at=repo.now + 18 * DAY) == update
    assert client.downloaded() == ([b"first", b"second"] if update else [b"first"])
