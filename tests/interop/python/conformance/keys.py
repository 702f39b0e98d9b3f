"""Whose signatures count: thresholds, doubled ids, kinds of keys, chains of roots."""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from securesystemslib.signer import Signature
from simulator import case, signer


@case
def snapshot_does_not_meet_threshold(repo, client):
    repo.root.roles["snapshot"].threshold = 3
    repo.add_key("snapshot")
    repo.add_key("snapshot")
    repo.publish("root", "targets", "snapshot", "timestamp")
    client.init(repo.served["root"][0])
    assert client.refresh()
    repo.signers["snapshot"].pop()
    repo.publish("targets", "snapshot", "timestamp")
    assert not client.refresh()
    assert client.version("snapshot") == 2


@case
def snapshot_has_too_few_keys(repo, client):
    client.init(repo.served["root"][0])
    for _ in range(4):
        repo.add_key("snapshot")
    repo.root.roles["snapshot"].threshold = 6
    repo.publish("root", "snapshot", "timestamp")
    assert not client.refresh()
    assert client.version("root") == 2
    assert client.version("snapshot") is None


@case
def keyid_without_a_key(repo, client):
    # An id that the role lists and the document has no key for adds nothing to a threshold.
    client.init(repo.served["root"][0])
    assert client.refresh()
    stranger = signer()
    repo.signers["snapshot"].append(stranger)
    repo.root.roles["snapshot"].threshold = 2

    def list_it(signed):
        listed = signed["roles"]["snapshot"]
        listed["keyids"] = [*listed["keyids"], stranger.public_key.keyid]

    repo.publish("root", bend=list_it)
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert client.version("root") == 2
    # TUF 5.3.11 asks that a document go only when its keys changed.
    repo.root.roles["snapshot"].threshold = 1
    repo.publish("root", bend=list_it)
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    assert client.version("snapshot") == 3


@case
def duplicate_keys(repo, client):
    client.init(repo.served["root"][0])
    new = repo.add_key("snapshot")
    repo.root.roles["snapshot"].threshold = 2
    repo.signers["snapshot"] = [new]

    def double(signed):
        signed["roles"]["snapshot"]["keyids"] += [new.public_key.keyid] * 8

    repo.publish("root", bend=double)
    repo.publish("snapshot", "timestamp")
    repo.alter("snapshot", lambda e: e["signatures"].extend(e["signatures"] * 8))
    assert not client.refresh()
    assert client.version("snapshot") is None


@case
def duplicate_sig_keyids(repo, client):
    client.init(repo.served["root"][0])
    repo.alter("snapshot", lambda e: e["signatures"].append(e["signatures"][0]))
    assert not client.refresh()
    assert client.version("snapshot") is None


@case
def one_key_under_two_ids(repo, client):
    client.init(repo.served["root"][0])
    keyid = repo.root.roles["snapshot"].keyids[0]
    repo.root.roles["snapshot"].threshold = 2

    def alias(signed):
        signed["keys"]["alias"] = signed["keys"][keyid]
        signed["roles"]["snapshot"]["keyids"].append("alias")

    repo.publish("root", bend=alias)
    repo.publish("snapshot", "timestamp")
    repo.alter("snapshot", lambda e: e["signatures"].append({**e["signatures"][0], "keyid": "alias"}))
    assert not client.refresh()
    assert client.version("snapshot") is None


@case(rsa="rsa", ecdsa="ecdsa", ed25519="ed25519")
def keytype_and_scheme(repo, client, kind):
    client.init(repo.served["root"][0])
    new = repo.add_key("root", signer(kind))
    repo.root.roles["root"].threshold += 1
    repo.publish("root")
    assert client.refresh()
    assert client.version("root") == 2
    repo.publish("root")
    wrong = new.sign(b"something else").signature

    def replace(envelope):
        for signature in envelope["signatures"]:
            if signature["keyid"] == new.public_key.keyid:
                signature["sig"] = wrong

    repo.alter("root", replace)
    assert not client.refresh()
    assert client.version("root") == 2


class LongestSalt:
    """Signs by RSA-PSS as go-tuf does: with the longest salt that fits."""

    def __init__(self):
        signer_of_key = signer("rsa")
        self.public_key = signer_of_key.public_key
        self.private = serialization.load_pem_private_key(signer_of_key.private_bytes, None)

    def sign(self, message):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
        signed = self.private.sign(message, pss, hashes.SHA256())
        return Signature(self.public_key.keyid, signed.hex())


@case
def rsa_with_the_longest_salt(repo, client):
    client.init(repo.served["root"][0])
    new = repo.add_key("root", LongestSalt())
    repo.root.roles["root"].threshold += 1
    repo.publish("root")
    assert client.refresh()
    assert client.version("root") == 2
    repo.publish("root")
    wrong = new.sign(b"something else").signature

    def replace(envelope):
        for signature in envelope["signatures"]:
            if signature["keyid"] == new.public_key.keyid:
                signature["sig"] = wrong

    repo.alter("root", replace)
    assert not client.refresh()
    assert client.version("root") == 2


@case
def one_key_in_two_spellings(repo, client):
    # In PEM and as a bare point: two ids, two objects, one key.
    client.init(repo.served["root"][0])
    key = repo.signers["snapshot"][0].public_key
    public = serialization.load_pem_public_key(key.keyval["public"].encode())
    encoded = public.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    repo.root.roles["snapshot"].threshold = 2

    def spell(signed):
        other = {**key.to_dict(), "keyval": {"public": encoded.hex()}}
        signed["keys"]["spelled"] = other
        signed["roles"]["snapshot"]["keyids"].append("spelled")

    repo.publish("root", bend=spell)
    repo.publish("snapshot", "timestamp")
    repo.alter("snapshot", lambda e: e["signatures"].append({**e["signatures"][0], "keyid": "spelled"}))
    assert not client.refresh()
    assert client.version("root") == 2
    assert client.version("snapshot") is None


@case
def keytype_ecdsa_sha2_nistp256(repo, client):
    client.init(repo.served["root"][0])
    new = signer("ecdsa")
    new.public_key.keytype = "ecdsa-sha2-nistp256"
    repo.add_key("root", new)
    repo.root.roles["root"].threshold += 1
    repo.publish("root")
    assert client.refresh()
    assert client.version("root") == 2


@case
def unknown_keytype(repo, client):
    # It counts for nothing and stands in nobody's way.
    client.init(repo.served["root"][0])

    def add(signed):
        signed["keys"]["00ff"] = {
            "keytype": "quantum",
            "scheme": "sphincs",
            "keyval": {"public": "abc", "more": [1]},
        }
        signed["roles"]["snapshot"]["keyids"].append("00ff")

    repo.publish("root", bend=add)
    assert client.refresh()
    assert client.version("root") == 2


@case
def unknown_top_level_role(repo, client):
    client.init(repo.served["root"][0])

    def add(signed):
        signed["roles"]["mirrors"] = {"keyids": [], "threshold": 1}

    repo.publish("root", bend=add)
    assert client.refresh()
    assert client.version("root") == 2


@case(plausible=None, empty="", no_hex="zz")
def invalid_sig_in_valid_metadata(repo, client, text):
    client.init(repo.served["root"][0])
    first = repo.signers["timestamp"][0]
    repo.add_key("timestamp")
    repo.publish("root", "timestamp")
    wrong = first.sign(b"something else").signature if text is None else text

    def replace(envelope):
        for signature in envelope["signatures"]:
            if signature["keyid"] == first.public_key.keyid:
                signature["sig"] = wrong

    repo.alter("timestamp", replace)
    assert client.refresh()
    assert client.version("timestamp") == 2


# Each step: keys of the root, its threshold, who signs; whether the last step is accepted.
ROTATIONS = {
    "one_key": ([([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2])], True),
    "one_key_others_sign_too": (
        [([1], 1, [3, 1, 4]), ([2], 1, [3, 2, 1, 4]), ([2], 1, [3, 2, 4])],
        True,
    ),
    "three_of_five_in_turn": (
        [([0, 1, 2, 3, 4], 3, s) for s in ([0, 2, 4], [0, 4, 1], [0, 1, 3], [0, 1, 3])],
        True,
    ),
    "one_of_five_replaced": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 1])], True),
    "one_of_five_replaced_in_two_steps": (
        [
            ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
            ([0, 1, 3, 4, 5], 3, [0, 2, 4, 5]),
            ([0, 1, 3, 4, 5], 3, [0, 4, 5]),
        ],
        True,
    ),
    "all_of_five_replaced": (
        [
            ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
            ([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]),
            ([5, 6, 7, 8, 9], 3, [5, 6, 7]),
        ],
        True,
    ),
    "threshold_up_of_three": ([([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [1, 2])], True),
    "threshold_down": (
        [([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1, 2]), ([1, 2, 3], 1, [1])],
        True,
    ),
    "threshold_up_of_two": ([([1], 1, [1]), ([1, 2], 2, [1, 2])], True),
    "without_the_old_key": ([([1], 1, [1]), ([2], 1, [2, 3, 4])], False),
    "without_the_new_key": ([([1], 1, [1]), ([2], 1, [1, 3, 4])], False),
    "two_of_the_new_three": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 2, 4])], False),
    "two_of_the_old_three": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 5])], False),
    "threshold_up_not_reached": ([([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [2])], False),
    "threshold_down_old_not_reached": ([([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1])], False),
}


@case(**ROTATIONS)
def root_rotation(repo, client, variant):
    steps, accepted = variant
    keys = [signer("ed25519") for _ in range(10)]
    repo.forget("root", 1)
    for version, (ids, threshold, signing) in enumerate(steps, 1):
        for keyid in list(repo.root.roles["root"].keyids):
            repo.root.revoke_key(keyid, "root")
        for i in ids:
            repo.root.add_key(keys[i].public_key, "root")
        repo.root.roles["root"].threshold = threshold
        repo.signers["root"] = [keys[i] for i in signing]
        repo.publish("root")
    client.init(repo.served["root"][0])
    assert client.refresh() == accepted
    expected = repo.served["root"][-1 if accepted else -2]
    assert (client.metadata / "root.json").read_bytes() == expected


@case(
    other_key=([2], 1, [2], True),
    others_sign_too=([1], 1, [3, 1, 4], True),
    not_by_the_new_key=([2], 1, [1, 3, 4], False),
    one_of_three_is_no_key=([0, 1, 3, 4, 5], 3, [0, 2, 4], False),
    two_of_three=([0, 1, 3, 4, 5], 3, [0, 4], False),
    first_three=([0, 1, 2, 3, 4], 3, [0, 2, 4], True),
    second_three=([0, 1, 2, 3, 4], 3, [0, 4, 1], True),
    third_three=([0, 1, 2, 3, 4], 3, [1, 2, 3], True),
    last_three=([0, 1, 2, 3, 4], 3, [2, 3, 4], True),
)
def non_root_rotations(repo, client, variant):
    ids, threshold, signing, accepted = variant
    keys = [signer("ed25519") for _ in range(10)]
    client.init(repo.served["root"][0])
    for role in ("timestamp", "snapshot", "targets"):
        for keyid in list(repo.root.roles[role].keyids):
            repo.root.revoke_key(keyid, role)
        for i in ids:
            repo.root.add_key(keys[i].public_key, role)
        repo.root.roles[role].threshold = threshold
        repo.signers[role] = [keys[i] for i in signing]
    repo.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh() == accepted
    assert client.version("root") == 2
    if accepted:
        for role in ("timestamp", "snapshot", "targets"):
            assert (client.metadata / f"{role}.json").read_bytes() == repo.served[role][-1]
    else:
        assert client.version("timestamp") is None
