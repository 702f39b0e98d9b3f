"""A repository in memory that publishes what a case tells it to, also what no honest one
would, over HTTP on loopback; and the client under test as a command.

Documents are python-tuf's objects until they are published; then their dictionaries may be
bent once more, are signed over securesystemslib's canonical form, and served from there on.
"""

import copy
import datetime
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import urllib.parse

from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

TOP = ["root", "timestamp", "snapshot", "targets"]
DAY = datetime.timedelta(days=1)


def signer(kind="ecdsa"):
    """A new key of a kind."""
    return {
        "ecdsa": CryptoSigner.generate_ecdsa,
        "ed25519": CryptoSigner.generate_ed25519,
        "rsa": lambda: CryptoSigner.generate_rsa(size=2048),
    }[kind]()


class Repository:
    """What is published, and what was asked for."""

    def __init__(self):
        self.now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        self.end = self.now + 30 * DAY
        self.docs = {
            "root": Root(expires=self.end, consistent_snapshot=True),
            "timestamp": Timestamp(expires=self.end),
            "snapshot": Snapshot(expires=self.end),
            "targets": Targets(expires=self.end),
        }
        self.signers = {}
        self.served = {}  # role → bytes by version, 1 first
        self.hashed = False  # whether metadata carry length and hashes of metadata
        self.files = {}  # target → (bytes as served, what was signed)
        self.asked = []  # (role as in the URL, version or None)
        self.fetched = []  # (target, hash prefix or None)
        for role in TOP:
            self.add_key(role)
        self.publish("targets", "snapshot", "timestamp", "root")

    root = property(lambda self: self.docs["root"])
    timestamp = property(lambda self: self.docs["timestamp"])
    snapshot = property(lambda self: self.docs["snapshot"])
    targets = property(lambda self: self.docs["targets"])

    def add_key(self, role, new=None):
        """Lets a top-level role have one more key, which signs from now on."""
        new = new or signer()
        self.root.add_key(new.public_key, role)
        self.signers.setdefault(role, []).append(new)
        return new

    def replace_keys(self, role):
        """Lets a top-level role have other keys."""
        for keyid in list(self.root.roles[role].keyids):
            self.root.revoke_key(keyid, role)
        self.signers[role] = []
        for _ in range(self.root.roles[role].threshold):
            self.add_key(role)

    def forget(self, role, version):
        """Serves nothing of a role, whose next document gets this version."""
        del self.served[role]
        self.docs[role].version = version

    def publish(self, *roles, bend=lambda signed: None):
        """Signs and serves the next version of these roles, each listed by its superior."""
        for role in roles:
            document = self.docs[role]
            if role in self.served:
                document.version += 1
            signed = document.to_dict()
            bend(signed)
            message = encode_canonical(signed).encode()
            signatures = [s.sign(message).to_dict() for s in self.signers[role]]
            envelope = {"signatures": signatures, "signed": signed}
            data = json.dumps(envelope, indent=1).encode()
            self.served.setdefault(role, []).append(data)
            self.list(role)

    def list(self, role):
        """Says in its superior what a role's newest document is."""
        data, version = self.served[role][-1], self.docs[role].version
        meta = MetaFile.from_data(version, data, ["sha256"]) if self.hashed else MetaFile(version)
        if role == "snapshot":
            self.timestamp.snapshot_meta = meta
        elif role not in TOP or role == "targets":
            self.snapshot.meta[f"{role}.json"] = meta

    def alter(self, role, change):
        """Changes the newest document of a role as it is served, its signatures left alone."""
        envelope = json.loads(self.served[role][-1])
        change(envelope)
        self.served[role][-1] = json.dumps(envelope).encode()

    def delegate(self, delegator, role, paths=("*",), terminating=False, prefixes=None, expires=None):
        """Lets a role trust another, with a key of its own."""
        document = self.docs[delegator]
        if document.delegations is None:
            document.delegations = Delegations({}, roles={})
        paths = None if prefixes else list(paths)
        document.delegations.roles[role] = DelegatedRole(role, [], 1, terminating, paths, prefixes)
        self.docs.setdefault(role, Targets(expires=expires or self.end))
        new = signer()
        document.add_key(new.public_key, role)
        self.signers.setdefault(role, []).append(new)

    def add_target(self, role, name, data, hashes=("sha256",)):
        """Lists a target in a role, and serves it."""
        info = TargetFile.from_data(name, data, list(hashes))
        self.docs[role].targets[name] = info
        self.files[name] = (data, info)

    def answer(self, path):
        """Bytes for a path of the server, or None."""
        if path.startswith("/targets/"):
            return self.answer_target(path.removeprefix("/targets/"))
        name = path.removeprefix("/metadata/").removesuffix(".json")
        version, _, role = name.partition(".")
        if name == "timestamp" or not (self.root.consistent_snapshot or role == "root"):
            version, role = None, name
        self.asked.append((role, version and int(version)))
        served = self.served.get(urllib.parse.unquote(role), [])
        if version is None:
            return served[-1] if served else None
        return served[int(version) - 1] if 0 < int(version) <= len(served) else None

    def answer_target(self, path):
        folder, slash, file = urllib.parse.unquote(path).rpartition("/")
        prefix = None
        if self.root.consistent_snapshot:
            prefix, _, file = file.partition(".")
        name = folder + slash + file
        self.fetched.append((name, prefix))
        data, info = self.files.get(name, (None, None))
        if data is None or (prefix and prefix not in info.hashes.values()):
            return None
        return data


class Server:
    """Serves the repository of the case that runs."""

    def __init__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = outer.repository.answer(self.path)
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except ConnectionError:
                    pass  # The client had read enough.

            def log_message(self, *_):
                pass

        self.repository = None
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


class Client:
    """The program under test, with its memory."""

    def __init__(self, program, server):
        self.program = program
        self.url = server.url
        self.folder = tempfile.TemporaryDirectory()
        self.metadata = pathlib.Path(self.folder.name, "metadata")
        self.targets = pathlib.Path(self.folder.name, "targets")
        self.metadata.mkdir()
        self.targets.mkdir()

    def run(self, *words, at=None):
        command = [self.program, "--metadata-dir", str(self.metadata), *words]
        if at is not None:
            command = ["faketime", str(at), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.said = done.stderr
        assert done.returncode in (0, 1), f"exit code {done.returncode}: {done.stderr}"
        return done.returncode == 0

    def init(self, root):
        anchor = pathlib.Path(self.folder.name, "anchor.json")
        anchor.write_bytes(root)
        return self.run("init", str(anchor))

    def refresh(self, at=None):
        return self.run("--metadata-url", f"{self.url}/metadata/", "refresh", at=at)

    def download(self, *names, at=None):
        words = [word for name in names for word in ("--target-name", name)]
        place = ["--target-base-url", f"{self.url}/targets/", "--target-dir", str(self.targets)]
        return self.run(
            "--metadata-url", f"{self.url}/metadata/", *words, *place, "download", at=at
        )

    def version(self, role):
        path = self.metadata / f"{role}.json"
        return json.loads(path.read_bytes())["signed"]["version"] if path.exists() else None

    def trusted(self):
        """Role → version of everything that it keeps."""
        names = sorted(path.name for path in self.metadata.iterdir())
        assert all(name.endswith(".json") for name in names), names
        return {name.removesuffix(".json"): self.version(name.removesuffix(".json")) for name in names}

    def downloaded(self):
        """Contents of what it downloaded, the oldest first."""
        files = [path for path in self.targets.rglob("*") if path.is_file()]
        return [path.read_bytes() for path in sorted(files, key=lambda p: p.stat().st_mtime_ns)]


CASES = []


def case(function=None, **variants):
    """Makes a function (repository, client[, variant]) a case, or one case for each variant."""

    def register(function):
        group = function.__module__
        for name, value in variants.items() or [("", None)]:
            title = f"{function.__name__}[{name}]" if name else function.__name__
            arguments = (copy.deepcopy(value),) if variants else ()
            CASES.append((group, title, function, arguments))
        return function

    return register(function) if function else register
