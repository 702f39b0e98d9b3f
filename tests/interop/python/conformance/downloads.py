"""Targets: what is fetched, what is kept, what is refused."""

from simulator import case


def publish(repo):
    repo.publish("targets", "snapshot", "timestamp")


@case(consistent=True, plain=False)
def client_downloads_expected_file(repo, client, consistent):
    client.init(repo.served["root"][0])
    repo.root.consistent_snapshot = consistent
    repo.add_target("targets", "target_file.txt", b"target file contents")
    repo.publish("root")
    publish(repo)
    assert client.refresh()
    assert client.downloaded() == []
    assert client.download("target_file.txt")
    assert client.downloaded() == [b"target file contents"]
    prefix = repo.files["target_file.txt"][1].hashes["sha256"] if consistent else None
    assert repo.fetched == [("target_file.txt", prefix)]


@case(
    folder="path/to/a/target_file.txt",
    blank="a folder/with blanks.txt",
    percent="100%/of%20it",
    question="what?/is#this",
    umlaut="größe/ü",
    dots="a/..b/c..d",
    plus="a+b=c&d;e",
)
def client_downloads_odd_names(repo, client, name):
    client.init(repo.served["root"][0])
    repo.add_target("targets", name, b"contents")
    publish(repo)
    assert client.download(name)
    assert client.downloaded() == [b"contents"]
    assert [asked for asked, _ in repo.fetched] == [name]


@case
def target_that_leads_outside(repo, client):
    client.init(repo.served["root"][0])
    for name in ("../outside", "/outside", "a/../../outside"):
        repo.add_target("targets", name, b"contents")
    publish(repo)
    for name in ("../outside", "/outside", "a/../../outside"):
        client.download(name)
    outside = [p for p in client.targets.parent.rglob("*outside*") if p.parent != client.targets]
    assert outside == []


@case
def repository_substitutes_target_file(repo, client):
    client.init(repo.served["root"][0])
    repo.add_target("targets", "first", b"target file contents")
    repo.add_target("targets", "second", b"content")
    publish(repo)
    assert client.download("first")
    for name in ("first", "second"):
        repo.files[name] = (b"malicious data - should not download", repo.files[name][1])
    client.download("first")
    assert client.downloaded() == [b"target file contents"]
    assert not client.download("second")
    assert client.downloaded() == [b"target file contents"]


@case(longer=b"contents and more", shorter=b"cont", other=b"CONTENTS", empty=b"")
def other_bytes_than_signed(repo, client, data):
    client.init(repo.served["root"][0])
    repo.add_target("targets", "file", b"contents")
    publish(repo)
    repo.files["file"] = (data, repo.files["file"][1])
    assert not client.download("file")
    assert client.downloaded() == []


@case
def multiple_changes_to_target(repo, client):
    client.init(repo.served["root"][0])
    repo.add_target("targets", "file", b"first")
    publish(repo)
    assert client.download("file")
    present, others = b"first", []
    for i in range(11):
        changed, new = f"changed {i}".encode(), f"new {i}".encode()
        repo.add_target("targets", "file", changed)
        repo.add_target("targets", f"new-{i}", new)
        publish(repo)
        if i % 5:
            continue
        assert client.download("file")
        present = changed
        assert client.downloaded() == others + [present]
        assert client.download(f"new-{i}")
        others = others + [present, new]
        assert client.downloaded() == others
        others.remove(present)
        repo.files["file"] = (b"malicious", repo.files["file"][1])
        publish(repo)
        client.download("file")
        assert sorted(client.downloaded()) == sorted(others + [present])


@case(sha256=["sha256"], sha512=["sha512"], both=["sha256", "sha512"])
def download_with_hash_algorithms(repo, client, hashes):
    client.init(repo.served["root"][0])
    repo.add_target("targets", "file", b"contents", hashes)
    publish(repo)
    assert client.download("file")
    ((name, prefix),) = repo.fetched
    assert name == "file" and prefix in repo.files["file"][1].hashes.values()
    assert client.downloaded() == [b"contents"]


@case
def download_with_unknown_hash_algorithm(repo, client):
    client.init(repo.served["root"][0])
    repo.add_target("targets", "file", b"contents", ["sha512"])
    hashes = repo.files["file"][1].hashes
    hashes["unknown-hash"] = hashes.pop("sha512")
    publish(repo)
    assert not client.download("file")
    assert client.downloaded() == []


@case
def download_with_known_and_unknown_hash(repo, client):
    client.init(repo.served["root"][0])
    repo.add_target("targets", "file", b"contents")
    repo.files["file"][1].hashes["unknown-hash"] = "00"
    publish(repo)
    assert client.download("file")


@case
def one_of_two_hashes_is_wrong(repo, client):
    client.init(repo.served["root"][0])
    repo.add_target("targets", "file", b"contents", ["sha256", "sha512"])
    repo.files["file"][1].hashes["sha512"] = "00" * 64
    publish(repo)
    assert not client.download("file")
    assert client.downloaded() == []


@case
def artifact_cache(repo, client):
    client.init(repo.served["root"][0])
    repo.add_target("targets", "file", b"contents")
    publish(repo)
    assert client.download("file")
    assert client.download("file")
    assert len(repo.fetched) == 1
