//! Keys on PKCS#11 tokens: a software token (SoftHSM2) with keys that `pkcs11-tool` made, and
//! what is said when the token, its key, its PIN or its library is not there. A build that
//! cannot load a token's library names the one that can.

#[cfg(not(feature = "pkcs11"))]
pub fn trials() -> Vec<libtest_mimic::Trial> {
    vec![crate::harness::trial("tokens/not_in_this_build", || {
        let scratch = crate::harness::Scratch::new();
        scratch.write("module.so", "");
        let args = ["init", "--path", "repo", "--key", "root=pkcs11:object=root"];
        crate::updates::updates(&scratch, args)
            .env("FLEET_ROOT_PIN", "1234")
            .env("FLEETPACK_PKCS11_MODULE", scratch.join("module.so"))
            .fails(1)
            .says("error: this build of fleetpack cannot load a token's library\n  hint: cargo install --path . --features pkcs11 (linked dynamically) builds one that can\n");
        assert!(!scratch.join("repo").exists());
    })]
}

#[cfg(feature = "pkcs11")]
pub use with_a_token::trials;

#[cfg(feature = "pkcs11")]
mod with_a_token {
    use libtest_mimic::Trial;
    use serde_json::json;

    use crate::harness::scratch::Run;
    use crate::harness::server::Server;
    use crate::harness::{Scratch, trial_needing};
    use crate::tuf_peers::Peer;
    use crate::updates::{PASSPHRASES, add, elf, updates};

    const NEEDS: &[&str] = &["softhsm2-util", "pkcs11-tool"];
    const PIN: &str = "246810";
    /// Where Debian puts it on every architecture.
    const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
    const ROOT: &str = "root=pkcs11:token=signing;object=root";

    pub fn trials() -> Vec<Trial> {
        vec![
            trial_needing("tokens/refused", NEEDS, refused),
            trial_needing("tokens/pin_in_a_file", NEEDS, pin_in_a_file),
            trial_needing("tokens/no_library", NEEDS, no_library),
            trial_needing("tokens/needed_again", NEEDS, needed_again),
            trial_needing("tokens/every_role", NEEDS, every_role),
            trial_needing("tokens/attached", NEEDS, attached),
            trial_needing(
                "tokens/compromised",
                &["softhsm2-util", "pkcs11-tool", "python-tuf"],
                compromised,
            ),
            trial_needing(
                "tokens/pulled_in_the_middle",
                &["softhsm2-util", "pkcs11-tool", "python-tuf"],
                pulled_in_the_middle,
            ),
            trial_needing(
                "tokens/peers_follow",
                &[
                    "softhsm2-util",
                    "pkcs11-tool",
                    "python-tuf",
                    "go",
                    "python3",
                ],
                peers_follow,
            ),
        ]
    }

    fn with_token(scratch: &Scratch, run: Run) -> Run {
        run.env("SOFTHSM2_CONF", scratch.join("softhsm2.conf"))
    }

    /// A token with an ed25519 key, a P-256 key, and a P-384 key that agents cannot use.
    fn token() -> Scratch {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.join("tokens")).unwrap();
        let folder = scratch.join("tokens");
        scratch.write(
            "softhsm2.conf",
            format!(
                "directories.tokendir = {}\nlog.level = ERROR\n",
                folder.display()
            ),
        );
        let words = format!("--init-token --free --label signing --so-pin 13579111 --pin {PIN}");
        with_token(&scratch, scratch.tool("softhsm2-util", words.split(' '))).ok();
        for (label, kind, id) in [
            ("root", "EC:edwards25519", "01"),
            ("spare", "EC:prime256v1", "02"),
            ("large", "EC:secp384r1", "03"),
        ] {
            let words = format!(
                "--module {MODULE} --token-label signing --login --pin {PIN} --keypairgen \
                 --key-type {kind} --label {label} --id {id}"
            );
            with_token(&scratch, scratch.tool("pkcs11-tool", words.split(' '))).ok();
        }
        scratch
    }

    /// `fleetpack updates …` with the token's library and PIN.
    fn ours(scratch: &Scratch, words: &[&str]) -> Run {
        let run = updates(scratch, words.iter().copied())
            .env("FLEETPACK_PKCS11_MODULE", MODULE)
            .env("FLEET_ROOT_PIN", PIN);
        with_token(scratch, run)
    }

    /// A repository whose root key is on the token.
    fn repository() -> Scratch {
        let scratch = token();
        ours(&scratch, &["init", "--path", "repo", "--key", ROOT]).ok();
        assert!(!scratch.join("repo/keys/root.json").exists());
        scratch.write("orbit", elf(62));
        add(&scratch, "orbit", "1").ok();
        scratch
    }

    const FITS: &str = "pkcs11:token=signing;object=root";
    const NO_PIN: &str = "error: the token refused the PIN in FLEET_ROOT_PIN\n";
    /// What is wrong, the key's name, the PIN, and what is said.
    const REFUSED: [[&str; 4]; 7] = [
        [
            "no such key",
            "pkcs11:token=signing;object=other",
            PIN,
            "error: the token has no private key that fits pkcs11:token=signing;object=other\n  hint: pkcs11-tool --login --list-objects shows the keys\n",
        ],
        [
            "no such id",
            "pkcs11:token=signing;id=%09",
            PIN,
            "error: the token has no private key that fits pkcs11:token=signing;id=%09\n  hint: pkcs11-tool --login --list-objects shows the keys\n",
        ],
        [
            "no such token",
            "pkcs11:token=mine;object=root",
            PIN,
            "error: no token fits pkcs11:token=mine;object=root; plugged in: signing\n  hint: pkcs11-tool --list-token-slots\n",
        ],
        [
            "a key for nobody",
            "pkcs11:token=signing;object=large",
            PIN,
            "error: the key pkcs11:token=signing;object=large cannot sign metadata: it is neither ed25519 nor ECDSA on P-256\n  hint: pkcs11-tool --login --keypairgen --key-type EC:prime256v1 --label LABEL\n",
        ],
        ["wrong PIN", FITS, "111111", NO_PIN],
        ["short PIN", FITS, "1", NO_PIN],
        ["empty PIN", FITS, "", NO_PIN],
    ];

    fn rotate(scratch: &Scratch, uri: &str) -> Run {
        let uri = format!("root={uri}");
        let words = ["rotate", "targets", "--path", "repo", "--key", &uri];
        ours(scratch, &words)
    }

    fn refused() {
        let scratch = repository();
        let before = scratch.state("repo");
        for [name, uri, pin, expected] in REFUSED {
            let ran = rotate(&scratch, uri).env("FLEET_ROOT_PIN", pin).fails(1);
            assert_eq!(ran.stderr, expected, "{name}");
            ran.never_says("111111");
            before.unchanged(&scratch.state("repo"));
        }
    }

    /// A PIN in a file; the token is pulled, and put back.
    fn pin_in_a_file() {
        let scratch = repository();
        let before = scratch.state("repo");
        let fits = FITS;
        let rotate = |uri: &str| rotate(&scratch, uri);
        rotate(&format!("{fits}?pin-source=file:nowhere"))
            .fails(2)
            .says("error: the PIN's file nowhere does not exist\n");
        scratch.write("pin", "111111\n");
        rotate(&format!("{fits}?pin-source=file:pin"))
            .fails(1)
            .says("error: the token refused the PIN in pin\n");
        before.unchanged(&scratch.state("repo"));
        // It is pulled, and put back.
        std::fs::rename(scratch.join("tokens"), scratch.join("away")).unwrap();
        std::fs::create_dir(scratch.join("tokens")).unwrap();
        let ran = rotate(fits).fails(1);
        assert_eq!(
            ran.stderr,
            format!(
                "error: no token fits {fits}; none is plugged in\n  hint: pkcs11-tool --list-token-slots\n"
            )
        );
        before.unchanged(&scratch.state("repo"));
        std::fs::remove_dir(scratch.join("tokens")).unwrap();
        std::fs::rename(scratch.join("away"), scratch.join("tokens")).unwrap();
        scratch.write("pin", format!("{PIN}\n"));
        rotate(&format!("{fits}?pin-source=file:pin"))
            .env("FLEET_ROOT_PIN", "111111")
            .ok();
        updates(&scratch, ["verify", "--path", "repo"]).ok();
    }

    fn no_library() {
        let scratch = token();
        scratch.write("words", "no library\n");
        let init = |module: &str| {
            ours(&scratch, &["init", "--path", "repo", "--key", ROOT])
                .env("FLEETPACK_PKCS11_MODULE", module)
        };
        for (module, reason) in [
            (
                "/nowhere/lib.so",
                "cannot open shared object file: No such file or directory",
            ),
            ("./words", "file too short"),
            (
                "/lib/x86_64-linux-gnu/libc.so.6",
                "Missing PKCS#11 symbol: C_GetFunctionList",
            ),
        ] {
            // Another architecture has its C library elsewhere.
            if module.starts_with("/lib/") && !std::path::Path::new(module).exists() {
                continue;
            }
            let expected = format!(
                "error: cannot load the token's library {module}: {reason}\n  \
                 hint: pkcs11-tool --module {module} --list-token-slots tries the library alone\n"
            );
            assert_eq!(init(module).fails(1).stderr, expected);
            assert!(!scratch.join("repo").exists());
        }
        // The library is there and finds no folder of tokens.
        std::fs::rename(scratch.join("tokens"), scratch.join("away")).unwrap();
        init(MODULE).fails(1).says(&format!(
            "error: cannot load the token's library {MODULE}: C_Initialize returned CKR_GENERAL_ERROR\n"
        ));
        assert!(!scratch.join("repo").exists());
        let args = ["updates", "init", "--path", "repo", "--key", ROOT];
        scratch
            .fleetpack(args)
            .envs(PASSPHRASES)
            .env("FLEET_ROOT_PIN", PIN)
            .fails(1)
            .says("error: nothing says which library speaks to the token of pkcs11:token=signing;object=root\n  hint: export FLEETPACK_PKCS11_MODULE=");
        assert!(!scratch.join("repo").exists());
        std::fs::rename(scratch.join("away"), scratch.join("tokens")).unwrap();
        let named = format!("{ROOT}?module-path={MODULE}");
        ours(&scratch, &["init", "--path", "repo", "--key", &named])
            .env("FLEETPACK_PKCS11_MODULE", "/nowhere/lib.so")
            .ok();
    }

    /// Without the token an edit waits, and the timer goes on.
    fn needed_again() {
        let scratch = repository();
        updates(&scratch, ["rotate", "targets", "--path", "repo"])
            .fails(5)
            .says("error: nothing is published yet: root version 2 carries 0 of 1 signatures by the keys of root version 1\n");
        updates(&scratch, ["timestamp", "--path", "repo"]).ok();
        updates(&scratch, ["pending", "drop", "--path", "repo"]).ok();
        ours(
            &scratch,
            &["rotate", "targets", "--path", "repo", "--key", ROOT],
        )
        .ok();
        // From the token into a file, and onto another key of the token.
        ours(
            &scratch,
            &["rotate", "root", "--path", "repo", "--key", ROOT],
        )
        .ok();
        assert!(scratch.join("repo/keys/root.json").exists());
        let spare = SPARE;
        ours(
            &scratch,
            &["rotate", "root", "--path", "repo", "--key", spare],
        )
        .ok();
        ours(
            &scratch,
            &["rotate", "timestamp", "--path", "repo", "--key", spare],
        )
        .ok();
        let root: serde_json::Value =
            serde_json::from_slice(&scratch.read("repo/repository/root.json")).unwrap();
        let id = root["signed"]["roles"]["root"]["keyids"][0]
            .as_str()
            .unwrap();
        assert_eq!(root["signed"]["keys"][id]["keytype"], "ecdsa-sha2-nistp256");
        updates(&scratch, ["verify", "--path", "repo"]).ok();
    }

    /// Two roles' keys on one token, each of its kind.
    fn every_role() {
        let scratch = token();
        let targets = "targets=pkcs11:token=signing;id=%02";
        ours(
            &scratch,
            &["init", "--path", "repo", "--key", ROOT, "--key", targets],
        )
        .env("FLEET_TARGETS_PIN", PIN)
        .ok();
        let mut keys: Vec<_> = std::fs::read_dir(scratch.join("repo/keys"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        keys.sort();
        assert_eq!(
            keys,
            [
                "pinned-root.json",
                "snapshot.json",
                "state.json",
                "timestamp.json"
            ]
        );
        updates(&scratch, ["timestamp", "--path", "repo"]).ok();
        updates(&scratch, ["verify", "--path", "repo"]).ok();
    }

    /// The token is logged into, and gone when it is to sign.
    fn pulled_in_the_middle() {
        let scratch = repository();
        pulled(
            &scratch,
            &["rotate", "targets", "--path", "repo", "--key", ROOT],
        );
    }

    /// A command that reads the targets keys' passphrase while the token is pulled changes
    /// nothing; with the token it does.
    fn pulled(scratch: &Scratch, words: &[&str]) {
        let before = scratch.state("repo");
        let (tokens, away) = (scratch.join("tokens"), scratch.join("away"));
        let steps = json!([{
            "prompt": "Passphrase of the targets key: ",
            "run": ["mv", tokens, away],
            "type": "targets-pass-2",
        }]);
        let program = env!("CARGO_BIN_EXE_fleetpack");
        let steps = steps.to_string();
        let args = [steps.as_str(), program, "updates"].into_iter();
        let mut run = scratch.python("terminal.py", args.chain(words.iter().copied()));
        for (name, value) in PASSPHRASES {
            if name != "FLEET_TARGETS_PASSPHRASE" {
                run = run.env(name, value);
            }
        }
        let run = run
            .env("FLEETPACK_PKCS11_MODULE", MODULE)
            .env("FLEET_ROOT_PIN", PIN);
        let ran = with_token(scratch, run).fails(1);
        ran.prints("error: the token of pkcs11:token=signing;object=root did not sign: C_")
            .prints(
                "hint: pkcs11-tool --list-token-slots shows whether it is plugged in; nothing was changed",
            );
        before.unchanged(&scratch.state("repo"));
        std::fs::rename(away, tokens).unwrap();
        ours(scratch, words).ok();
    }

    const SPARE: &str = "root=pkcs11:token=signing;object=spare";

    /// A stolen root key is replaced by another one on the token.
    fn compromised() {
        let scratch = repository();
        let words = ["rotate", "--compromised", "root,targets", "--path", "repo"];
        let keys = ["--key", ROOT, "--key", SPARE];
        let words: Vec<&str> = words.into_iter().chain(keys).collect();
        let before = scratch.state("repo");
        ours(&scratch, &words)
            .env("FLEET_ROOT_PIN", "111111")
            .fails(1)
            .says(NO_PIN);
        before.unchanged(&scratch.state("repo"));
        pulled(&scratch, &words);
        updates(&scratch, ["verify", "--path", "repo"]).ok();
        // The old key signs no root any more, the new one does.
        let rotate = ["rotate", "timestamp", "--path", "repo", "--key"];
        let by = |key| -> Vec<&str> { rotate.into_iter().chain([key]).collect() };
        ours(&scratch, &by(ROOT)).fails(5);
        updates(&scratch, ["pending", "drop", "--path", "repo"]).ok();
        ours(&scratch, &by(SPARE)).ok();
        updates(&scratch, ["verify", "--path", "repo"]).ok();
    }

    const TIMESTAMP: &str = "timestamp=pkcs11:token=signing;object=spare";

    /// A root that was signed elsewhere is attached where the timestamp key is on a token.
    fn attached() {
        let scratch = token();
        let words = ["init", "--path", "repo", "--key", TIMESTAMP];
        let ours = |words: &[&str]| ours(&scratch, words).env("FLEET_TIMESTAMP_PIN", PIN);
        ours(&words).ok();
        for file in ["root.json", "pinned-root.json"] {
            let key = scratch.read(&format!("repo/keys/{file}"));
            scratch.write(&format!("vault/keys/{file}"), key);
        }
        std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
        let held = updates(&scratch, ["rotate", "targets", "--path", "repo", "--json"]).fails(5);
        let held: serde_json::Value = serde_json::from_slice(&held.stdout).unwrap();
        let id = held["generated"][0]["id"].as_str().unwrap();
        let words = ["payload", "root", "--path", "repo", "--out", "stick"];
        updates(&scratch, words).ok();
        let words = ["sign", "stick", "--path", "vault", "--allow-key", id];
        updates(&scratch, words).ok();
        let attach = ["attach", "stick", "--path", "repo", "--key", TIMESTAMP];
        let before = scratch.state("repo/repository");
        // One byte of what is carried.
        let stick = scratch.read("stick");
        let mut edited = stick.clone();
        let middle = edited.len() / 2;
        edited[middle] ^= 1;
        scratch.write("stick", edited);
        ours(&attach).fails(1).says("error: stick ");
        scratch.write("stick", stick);
        let ran = ours(&attach).env("FLEET_TIMESTAMP_PIN", "111111").fails(1);
        ran.says("error: the token refused the PIN in FLEET_TIMESTAMP_PIN\n");
        std::fs::rename(scratch.join("tokens"), scratch.join("away")).unwrap();
        std::fs::create_dir(scratch.join("tokens")).unwrap();
        ours(&attach).fails(1).says("error: no token fits ");
        std::fs::remove_dir(scratch.join("tokens")).unwrap();
        std::fs::rename(scratch.join("away"), scratch.join("tokens")).unwrap();
        before.unchanged(&scratch.state("repo/repository"));
        ours(&attach).ok().prints("published: rotate targets\n");
        let words = ["timestamp", "--path", "repo", "--key", TIMESTAMP];
        ours(&words).ok();
        // Targets are published with it, too.
        scratch.write("orbit", elf(62));
        add(&scratch, "orbit", "1").fails(1);
        let run = add(&scratch, "orbit", "1").env("FLEET_TIMESTAMP_PIN", PIN);
        let run = run.env("FLEETPACK_PKCS11_MODULE", MODULE);
        with_token(&scratch, run).arg("--key").arg(TIMESTAMP).ok();
        updates(&scratch, ["verify", "--path", "repo"]).ok();
    }

    /// Other people's clients follow what a token signed: from the first root, over a new key
    /// of another kind, and a root that was signed on another machine.
    fn peers_follow() {
        let scratch = repository();
        let server = Server::python(&scratch.join("repo/repository"));
        let anchor = scratch.join("repo/repository/1.root.json");
        let mut first = Some(anchor.as_path());
        let mut follow = || {
            for peer in [Peer::PythonTuf, Peer::GoTuf] {
                assert_eq!(peer.follow(&scratch, &server.url, first, true), elf(62));
            }
            first = None;
        };
        follow();
        ours(
            &scratch,
            &["rotate", "targets", "--path", "repo", "--key", ROOT],
        )
        .ok();
        follow();
        let spare = SPARE;
        let words = [
            "rotate", "root", "--path", "repo", "--key", ROOT, "--key", spare,
        ];
        ours(&scratch, &words).ok();
        follow();
        // The machine with the token has nothing but the root that it trusts.
        let pinned = scratch.read("repo/repository/root.json");
        scratch.write("vault/root.json", pinned);
        let held = updates(
            &scratch,
            ["rotate", "timestamp", "--path", "repo", "--json"],
        )
        .fails(5);
        let held: serde_json::Value = serde_json::from_slice(&held.stdout).unwrap();
        let id = held["generated"][0]["id"].as_str().unwrap();
        let words = ["payload", "root", "--path", "repo", "--out", "stick"];
        updates(&scratch, words).ok();
        let vault = scratch.state("vault");
        let stick = scratch.read("stick");
        let sign = |pin: &str, key: &str| {
            let words = [
                "sign",
                "stick",
                "--path",
                "vault",
                "--trust-root",
                "vault/root.json",
            ];
            let words = words.into_iter().chain(["--allow-key", id, "--key", key]);
            let words: Vec<&str> = words.collect();
            ours(&scratch, &words).env("FLEET_ROOT_PIN", pin)
        };
        sign("111111", spare)
            .fails(1)
            .says("error: the token refused the PIN in FLEET_ROOT_PIN\n");
        // It is on the token, and none of this root's keys.
        sign(PIN, ROOT)
            .fails(1)
            .says("error: no key of the root role here is one that is asked to sign\n");
        vault.unchanged(&scratch.state("vault"));
        assert_eq!(stick, scratch.read("stick"));
        sign(PIN, spare).ok().prints("signed by ");
        updates(&scratch, ["attach", "stick", "--path", "repo"]).ok();
        follow();
    }
}
