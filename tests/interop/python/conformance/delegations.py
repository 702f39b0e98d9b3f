"""The search for a target in delegated roles: order, end, names, verdicts."""

import hashlib

from simulator import Delegations, Targets, case, signer
from tuf.api.metadata import SuccinctRoles
import urllib.parse

# Who delegates to whom (with paths, and whether it ends the search), and who is asked.
ALL = ("*",)
GRAPHS = {
    "basic": ([("targets", "A")], "A"),
    "single_level": ([("targets", "A"), ("targets", "B")], "AB"),
    "two_level": ([("targets", "A"), ("targets", "B"), ("B", "C")], "ABC"),
    "two_level_order": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("A", "D")], "ACDB"),
    "three_level_order": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("C", "D")], "ACDB"),
    "two_level_terminating": (
        [("targets", "A"), ("targets", "B"), ("A", "C", ALL, True), ("A", "D")],
        "AC",
    ),
    "three_level_terminating": (
        [("targets", "A"), ("targets", "B"), ("A", "C", ALL, True), ("C", "D")],
        "ACD",
    ),
    "two_level_other_paths": (
        [("targets", "A", ("*.py",)), ("targets", "B"), ("A", "C")],
        "B",
    ),
    "three_level_other_paths": (
        [("targets", "A"), ("targets", "B"), ("A", "C", ("*.py",)), ("C", "D")],
        "AB",
    ),
    "cyclic": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("C", "D"), ("D", "B")], "ABCD"),
    "two_to_a_third": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C")], "ACB"),
    "two_to_a_third_other_paths": (
        [("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C", ("*.py",))],
        "ABC",
    ),
}


def publish(repo):
    delegated = [role for role in repo.docs if role not in ("root", "timestamp", "snapshot", "targets")]
    repo.publish(*delegated, "targets", "snapshot", "timestamp")


@case(**GRAPHS)
def graph_traversal(repo, client, graph):
    edges, visited = graph
    client.init(repo.served["root"][0])
    for delegator, role, *rest in edges:
        repo.delegate(delegator, role, *rest)
    publish(repo)
    assert not client.download("missingpath")
    assert repo.asked[4:] == [(role, 1) for role in visited]


@case(
    no_delegations=("targetfile", True, ""),
    wildcard=("README.md", True, "A"),
    separators_x=("releases/x/x_v1", True, "BC"),
    separators_y=("releases/y/y_v1.zip", True, "BD"),
    not_by_all_in_the_chain=("releases/z/z_v1.zip", False, "B"),
    wildcard_and_separator=("releases/README.md", False, ""),
    question_mark=("foo-1.tgz", True, "A"),
    question_mark_is_one=("foo-alpha.tgz", False, ""),
    case_matters=("README.MD", False, ""),
)
def targetfile_search(repo, client, variant):
    name, found, visited = variant
    client.init(repo.served["root"][0])
    repo.delegate("targets", "A", ["*.doc", "*.md", "foo-?.tgz"])
    repo.delegate("targets", "B", ["releases/*/*"])
    repo.delegate("B", "C", ["releases/x/*"])
    repo.delegate("B", "D", ["releases/y/*.zip"])
    for role, target in [
        ("targets", "targetfile"),
        ("A", "README.md"),
        ("A", "releases/README.md"),
        ("A", "foo-1.tgz"),
        ("A", "foo-alpha.tgz"),
        ("C", "releases/x/x_v1"),
        ("D", "releases/y/y_v1.zip"),
        ("D", "releases/z/z_v1.zip"),
    ]:
        repo.add_target(role, target, f"{target} by {role}".encode())
    publish(repo)
    assert client.download(name) == found
    assert client.downloaded() == ([repo.files[name][0]] if found else [])
    assert repo.asked[4:] == [(role, 1) for role in visited]


@case
def cached_role_is_verified_against_current_delegator(repo, client):
    client.init(repo.served["root"][0])
    repo.delegate("targets", "parent-a", ["team-a/*"])
    repo.delegate("targets", "parent-b", ["team-b/*"])
    repo.delegate("parent-a", "release", ["team-a/*"])
    repo.delegate("parent-b", "release", ["team-b/*"])
    # Signed by the key that the first parent gives it alone.
    repo.signers["release"].pop()
    repo.add_target("release", "team-a/file", b"trusted")
    repo.add_target("release", "team-b/file", b"malicious")
    publish(repo)
    assert not client.download("team-a/file", "team-b/file")
    assert client.downloaded() == [b"trusted"]
    assert not client.download("team-b/file")
    assert client.download("team-a/file")


@case
def shared_role_by_both_keys(repo, client):
    client.init(repo.served["root"][0])
    repo.delegate("targets", "parent-a", ["team-a/*"])
    repo.delegate("targets", "parent-b", ["team-b/*"])
    repo.delegate("parent-a", "release", ["team-a/*"])
    repo.delegate("parent-b", "release", ["team-b/*"])
    repo.add_target("release", "team-a/file", b"a")
    repo.add_target("release", "team-b/file", b"b")
    publish(repo)
    assert client.download("team-a/file", "team-b/file")
    assert sorted(client.downloaded()) == [b"a", b"b"]
    # Fetched once, judged twice.
    assert [role for role, _ in repo.asked].count("release") == 1


@case
def delegation_not_in_snapshot(repo, client):
    client.init(repo.served["root"][0])
    repo.delegate("targets", "delegated", ["delegatedpath/*"])
    repo.publish("delegated", "targets")
    del repo.snapshot.meta["delegated.json"]
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    repo.asked.clear()
    assert not client.download("delegatedpath/foo")
    assert client.version("delegated") is None
    assert repo.asked == [("root", 2), ("timestamp", None)]


@case(
    question="?",
    hash="#",
    absolute="/delegatedrole",
    parent="../delegatedrole",
    dot=".",
    dots="..",
    percent="100%",
    escaped="%2e%2e%2f",
    blank="a b",
    umlaut="rôle",
    backslash="a\\b",
    colon="c:role",
    upper_case="TIMESTAMP",
    number="1.snapshot",
)
def unusual_role_name(repo, client, role):
    client.init(repo.served["root"][0])
    repo.delegate("targets", role)
    publish(repo)
    assert not client.download("nonexistent target")
    assert (urllib.parse.quote(role, ""), 1) in repo.asked, repo.asked
    assert len(client.trusted()) == 5
    names = {path.name for path in client.metadata.parent.iterdir()}
    assert names == {"anchor.json", "metadata", "targets"}, names


@case(root="Root", timestamp="TimeStamp", snapshot="SNAPSHOT", targets="tARGETS")
def delegated_role_that_differs_in_case_alone(repo, client, role):
    # Where a disk ignores case it must not take the place of what guards against rollback.
    client.init(repo.served["root"][0])
    repo.delegate("targets", role)
    repo.add_target(role, "file", b"contents")
    publish(repo)
    assert client.download("file")
    kept = [path.name.lower() for path in client.metadata.iterdir()]
    assert len(set(kept)) == len(kept) == 5, kept
    repo.asked.clear()
    assert client.download("file")
    assert (role, 1) not in repo.asked


@case(top="targets", root="root")
def delegated_role_named_as_a_top_level_one(repo, client, role):
    client.init(repo.served["root"][0])

    def bend(signed):
        key = signer().public_key
        roles = [{"name": role, "keyids": [key.keyid], "threshold": 1, "terminating": False, "paths": ["*"]}]
        signed["delegations"] = {"keys": {key.keyid: key.to_dict()}, "roles": roles}

    repo.publish("targets", bend=bend)
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert client.version("targets") is None


@case(consistent=True, plain=False)
def consistent_snapshot(repo, client, consistent):
    client.init(repo.served["root"][0])
    repo.root.consistent_snapshot = consistent
    repo.publish("root")
    repo.delegate("targets", "role1")
    repo.delegate("targets", "..")
    repo.add_target("..", "file", b"contents")
    publish(repo)
    assert client.download("file")
    version = (lambda n: n) if consistent else (lambda n: None)
    expected = [("snapshot", version(2)), ("targets", version(2)), ("role1", version(1))]
    assert repo.asked[3:] == expected + [("..", version(1))], repo.asked


@case
def path_hash_prefixes(repo, client):
    client.init(repo.served["root"][0])
    prefix = hashlib.sha256(b"a/file").hexdigest()[:3]
    other = "000" if prefix != "000" else "001"
    repo.delegate("targets", "other", prefixes=[other])
    repo.delegate("targets", "mine", prefixes=[prefix])
    repo.add_target("mine", "a/file", b"contents")
    publish(repo)
    assert client.download("a/file")
    assert repo.asked[4:] == [("mine", 1)]


@case(bits1=1, bits4=4, bits5=5, bits8=8)
def succinct_hash_bins(repo, client, bits):
    client.init(repo.served["root"][0])
    key = signer()
    bins = SuccinctRoles([], 1, bits, "bin")
    repo.targets.delegations = Delegations({}, None, bins)
    repo.targets.add_key(key.public_key)
    for name in bins.get_roles():
        repo.docs[name] = Targets(expires=repo.end)
        repo.signers[name] = [key]
    files = [f"dir/file-{n}" for n in range(5)]
    for name in files:
        repo.add_target(bins.get_role_for_target(name), name, name.encode())
    publish(repo)
    assert client.download(*files)
    assert sorted(client.downloaded()) == sorted(name.encode() for name in files)
    expected = dict.fromkeys((bins.get_role_for_target(name), 1) for name in files)
    assert repo.asked[4:] == list(expected)


@case
def maximum_visited(repo, client):
    client.init(repo.served["root"][0])
    repo.delegate("targets", "r0")
    for i in range(40):
        repo.delegate(f"r{i}", f"r{i + 1}")
    repo.add_target("r40", "far", b"far")
    repo.add_target("r30", "near", b"near")
    publish(repo)
    assert client.download("near")
    assert not client.download("far")
    assert len([role for role, _ in repo.asked if role.startswith("r") and role != "root"]) <= 32


@case(first="A", second="B")
def delegated_role_is_missing(repo, client, missing):
    # The search ends at what cannot be had: another role must not take its place.
    client.init(repo.served["root"][0])
    repo.delegate("targets", "A")
    repo.delegate("targets", "B")
    repo.add_target("B", "file", b"contents")
    publish(repo)
    del repo.served[missing]
    assert not client.download("file")
    assert client.downloaded() == []


@case
def delegated_threshold(repo, client):
    client.init(repo.served["root"][0])
    repo.delegate("targets", "A")
    repo.targets.delegations.roles["A"].threshold = 2
    repo.add_target("A", "file", b"contents")
    publish(repo)
    assert not client.download("file")
    second = signer()
    repo.targets.add_key(second.public_key, "A")
    repo.signers["A"].append(second)
    publish(repo)
    assert client.download("file")
