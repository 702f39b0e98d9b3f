//! What the client must withstand, one test for each attack or event of TUF 1.0.34 §5.

use super::client::{ClientError, TIMESTAMP_LIMIT};
use super::keystore::Signer as _;
use super::metadata::Role;
use super::simulator::{Scene, Simulator, later, now};
use super::time::Expires;
use super::trusted::Rejected;

mod recovery;

#[track_caller]
fn rejected(result: Result<super::client::Client, ClientError>) -> Rejected {
    match result {
        Err(ClientError::Rejected { source, .. }) => source,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

fn with(change: impl FnOnce(&mut Simulator)) -> Scene {
    let scene = Scene::new();
    scene.refresh().unwrap();
    change(&mut scene.sim());
    scene
}

#[test]
fn first_refresh_asks_for_each_document_once() {
    let scene = Scene::new();
    scene.refresh().unwrap();
    let expected = [
        "2.root.json",
        "timestamp.json",
        "1.snapshot.json",
        "1.targets.json",
    ];
    assert_eq!(scene.sim().requests, expected);
    scene.refresh().unwrap();
    assert_eq!(scene.sim().requests[4..], ["2.root.json", "timestamp.json"]);
}

#[test]
fn without_consistent_snapshots() {
    let scene = with(|sim| {
        sim.root.consistent_snapshot = false;
        sim.next_root();
        sim.with_hashes = false;
        sim.add_target("targets", "a/b", b"content");
        sim.next();
    });
    let client = scene.refresh().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    client.download("a/b", &mut file).unwrap();
    let requests = scene.sim().requests.clone();
    let tail = &requests[requests.len() - 4..];
    assert_eq!(
        tail,
        [
            "timestamp.json",
            "snapshot.json",
            "targets.json",
            "targets/a/b"
        ]
    );
}

#[test]
fn roots_are_followed_one_by_one() {
    let scene = with(|sim| {
        for _ in 0..3 {
            // Each is signed by the keys before and its own.
            sim.add_key(Role::Root);
            sim.next_root();
        }
    });
    scene.refresh().unwrap();
    assert_eq!(scene.kept(Role::Root), Some(4));
}

#[test]
fn arbitrary_software_root_signed_by_new_keys_alone() {
    let scene = with(|sim| {
        sim.rotate(Role::Root);
        sim.next_root();
    });
    assert!(matches!(
        rejected(scene.refresh()),
        Rejected::Threshold {
            have: 0,
            need: 1,
            ..
        }
    ));
    assert_eq!(scene.kept(Role::Root), Some(1));
}

#[test]
fn arbitrary_software_root_not_signed_by_itself() {
    let scene = with(|sim| {
        let old = sim.signers["root"].clone();
        sim.rotate(Role::Root);
        sim.signers.insert("root".into(), old);
        sim.next_root();
    });
    assert!(matches!(
        rejected(scene.refresh()),
        Rejected::Threshold { have: 0, .. }
    ));
}

#[test]
fn rollback_root_version_is_not_the_next() {
    for wrong in [1, 3] {
        let scene = with(|sim| {
            sim.root.common.version = wrong;
            sim.publish_root();
            let bytes = sim.files.remove(&format!("{wrong}.root.json")).unwrap();
            sim.files.insert("2.root.json".into(), bytes);
        });
        assert!(
            matches!(rejected(scene.refresh()), Rejected::Version { found, expected: 2, .. } if found == wrong)
        );
    }
}

#[test]
fn freeze_expired_intermediate_root_is_passed() {
    let scene = with(|sim| {
        sim.root.common.expires = Expires::from(now());
        sim.next_root();
        sim.root.common.expires = Expires::from(later(1));
        sim.next_root();
    });
    scene.refresh().unwrap();
    let error = rejected(scene.refresh_at(later(2)));
    assert!(matches!(error, Rejected::Expired { document, .. } if document == "root.json"));
}

#[test]
fn freeze_each_document() {
    for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
        let scene = with(|sim| {
            let common = match role {
                Role::Timestamp => &mut sim.timestamp.common,
                Role::Snapshot => &mut sim.snapshot.common,
                _ => &mut sim.targets.common,
            };
            // The moment of expiry is expired.
            common.expires = Expires::from(now());
            sim.next();
        });
        let error = rejected(scene.refresh());
        assert!(matches!(error, Rejected::Expired { document, .. } if document == role.file()));
        // What was refused is not kept.
        assert_eq!(scene.kept(role), Some(1), "{role}");
    }
}

#[test]
fn freeze_kept_timestamp() {
    let scene = with(|_| ());
    let error = rejected(scene.refresh_at(later(31)));
    assert!(matches!(error, Rejected::Expired { .. }));
}

#[test]
fn rollback_of_timestamp() {
    let scene = with(|sim| {
        sim.next();
    });
    scene.refresh().unwrap();
    scene.sim().timestamp.common.version = 1;
    scene.sim().publish_timestamp();
    assert!(matches!(
        rejected(scene.refresh()),
        Rejected::Rollback {
            offered: 1,
            trusted: 2,
            ..
        }
    ));
    assert_eq!(scene.kept(Role::Timestamp), Some(2));
}

#[test]
fn rollback_of_snapshot_in_timestamp() {
    let scene = with(|sim| sim.next());
    scene.refresh().unwrap();
    {
        let mut sim = scene.sim();
        sim.snapshot.common.version = 1;
        sim.timestamp.common.version = 3;
        sim.publish_snapshot();
    }
    let error = rejected(scene.refresh());
    assert!(
        matches!(error, Rejected::Rollback { document, offered: 1, .. } if document == "snapshot.json")
    );
}

#[test]
fn rollback_of_targets_in_snapshot() {
    let scene = with(|sim| sim.next());
    scene.refresh().unwrap();
    {
        let mut sim = scene.sim();
        sim.next();
        sim.targets.common.version = 1;
        sim.publish();
    }
    let error = rejected(scene.refresh());
    assert!(
        matches!(error, Rejected::Rollback { document, offered: 1, .. } if document == "targets.json")
    );
    assert_eq!(scene.kept(Role::Snapshot), Some(2));
}

#[test]
fn rollback_a_role_vanishes_from_snapshot() {
    let scene = with(|sim| {
        sim.delegate("targets", "a", "*", false);
        sim.next();
    });
    scene.refresh().unwrap();
    {
        let mut sim = scene.sim();
        sim.snapshot.meta.remove("a.json");
        sim.snapshot.common.version += 1;
        sim.timestamp.common.version += 1;
        sim.publish_snapshot();
    }
    assert!(matches!(rejected(scene.refresh()), Rejected::Vanished { entry } if entry == "a.json"));
}

#[test]
fn mix_and_match_snapshot_bytes() {
    for with_hashes in [true, false] {
        let scene = with(|sim| {
            sim.with_hashes = with_hashes;
            sim.next();
            // A validly signed snapshot, but not the one that the timestamp names.
            let other = sim.files["1.snapshot.json"].clone();
            sim.files.insert("2.snapshot.json".into(), other);
        });
        let error = rejected(scene.refresh());
        let expected = match with_hashes {
            true => matches!(error, Rejected::Length { .. } | Rejected::Hash { .. }),
            false => matches!(
                error,
                Rejected::Version {
                    found: 1,
                    expected: 2,
                    ..
                }
            ),
        };
        assert!(expected, "{error:?}");
    }
}

#[test]
fn mix_and_match_targets_bytes() {
    let scene = with(|sim| {
        sim.next();
        let other = sim.files["1.targets.json"].clone();
        sim.files.insert("2.targets.json".into(), other);
    });
    assert!(matches!(
        rejected(scene.refresh()),
        Rejected::Length { .. } | Rejected::Hash { .. }
    ));
}

#[test]
fn thresholds_count_keys() {
    let scene = with(|sim| {
        sim.add_key(Role::Snapshot);
        sim.root.roles.get_mut("snapshot").unwrap().threshold = 2;
        sim.next_root();
        sim.signers.get_mut("snapshot").unwrap().pop();
        sim.next();
    });
    assert!(matches!(
        rejected(scene.refresh()),
        Rejected::Threshold {
            have: 1,
            need: 2,
            ..
        }
    ));
}

#[test]
fn thresholds_count_one_key_under_two_ids_once() {
    let scene = with(|sim| {
        let key = sim.root.keys[&sim.root.roles["snapshot"].keyids[0]].clone();
        sim.root.keys.insert("alias".into(), key);
        let role = sim.root.roles.get_mut("snapshot").unwrap();
        role.keyids.push("alias".into());
        role.threshold = 2;
        sim.next_root();
        sim.next();
        // The same signature under both ids.
        let mut value: serde_json::Value =
            serde_json::from_slice(&sim.files["2.snapshot.json"]).unwrap();
        let mut copy = value["signatures"][0].clone();
        copy["keyid"] = "alias".into();
        value["signatures"].as_array_mut().unwrap().push(copy);
        sim.with_hashes = false;
        sim.timestamp.meta.get_mut("snapshot.json").unwrap().hashes = Default::default();
        sim.timestamp.meta.get_mut("snapshot.json").unwrap().length = None;
        sim.publish_timestamp();
        sim.files.insert(
            "2.snapshot.json".into(),
            serde_json::to_vec(&value).unwrap(),
        );
    });
    let error = rejected(scene.refresh());
    assert!(
        matches!(
            error,
            Rejected::Threshold {
                have: 1,
                need: 2,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn endless_data_in_a_document() {
    let scene = with(|sim| {
        sim.files.insert(
            "timestamp.json".into(),
            vec![b' '; TIMESTAMP_LIMIT as usize + 1],
        );
    });
    let error = scene.refresh().err();
    assert!(
        matches!(
            error,
            Some(ClientError::TooLarge {
                limit: TIMESTAMP_LIMIT,
                ..
            })
        ),
        "{error:?}"
    );
}

#[test]
fn endless_and_altered_targets() {
    let scene = with(|sim| {
        sim.add_target("targets", "a/b", b"content");
        sim.next();
    });
    let client = scene.refresh().unwrap();
    let path = scene.sim().requests.is_empty();
    assert!(!path);
    for (bytes, hash) in [
        (&b"content and more"[..], false),
        (b"cont", false),
        (b"CONTENT", true),
    ] {
        for (name, content) in &mut scene.sim().files {
            if name.starts_with("targets/a/") {
                *content = bytes.to_vec();
            }
        }
        let mut file = tempfile::tempfile().unwrap();
        let error = client.download("a/b", &mut file).unwrap_err();
        match hash {
            true => assert!(matches!(error, ClientError::Target { .. }), "{error:?}"),
            false => assert!(
                matches!(error, ClientError::TargetLength { .. }),
                "{error:?}"
            ),
        }
    }
}

fn find(scene: &Scene, name: &str) -> Result<Option<u64>, ClientError> {
    let found = scene.refresh()?.find(name)?;
    Ok(found.map(|target| target.length))
}

#[test]
fn delegations_in_pre_order() {
    let scene = with(|sim| {
        sim.delegate("targets", "a", "x/*", false);
        sim.delegate("targets", "b", "x/*", false);
        sim.delegate("a", "c", "x/*", false);
        sim.add_target("b", "x/1", b"b");
        sim.add_target("c", "x/1", b"from c");
        sim.add_target("b", "x/2", b"second");
        sim.add_target("b", "y/1", b"not delegated");
        sim.next();
    });
    assert_eq!(find(&scene, "x/1").unwrap(), Some(6));
    assert_eq!(find(&scene, "x/2").unwrap(), Some(6));
    assert_eq!(find(&scene, "y/1").unwrap(), None);
    assert_eq!(find(&scene, "x/y/z").unwrap(), None);
    // Kept from the first search on.
    let asked = scene
        .sim()
        .requests
        .iter()
        .filter(|r| r.ends_with("c.json"))
        .count();
    assert_eq!(asked, 1);
}

#[test]
fn delegations_end_at_a_terminating_role() {
    let scene = with(|sim| {
        sim.delegate("targets", "a", "x/*", false);
        sim.delegate("targets", "b", "x/*", false);
        sim.delegate("a", "c", "x/*", true);
        sim.add_target("b", "x/1", b"b");
        sim.next();
    });
    assert_eq!(find(&scene, "x/1").unwrap(), None);
}

#[test]
fn delegations_in_a_circle_end() {
    let scene = with(|sim| {
        sim.delegate("targets", "a", "*", false);
        sim.delegate("a", "b", "*", false);
        sim.delegate("b", "a", "*", false);
        sim.next();
    });
    assert_eq!(find(&scene, "x").unwrap(), None);
}

#[test]
fn delegations_without_end_end() {
    let scene = with(|sim| {
        sim.delegate("targets", "r0", "*", false);
        for i in 0..40 {
            sim.delegate(&format!("r{i}"), &format!("r{}", i + 1), "*", false);
        }
        sim.add_target("r40", "x", b"x");
        sim.add_target("r20", "y", b"y");
        sim.next();
    });
    assert_eq!(find(&scene, "x").unwrap(), None);
    assert_eq!(find(&scene, "y").unwrap(), Some(1));
}

#[test]
fn delegated_role_is_verified_anew_for_each_delegator() {
    let scene = with(|sim| {
        sim.delegate("targets", "a", "x/*", false);
        sim.delegate("targets", "b", "y/*", false);
        sim.delegate("a", "shared", "*/*", false);
        let a_key = sim.signers["shared"].clone();
        sim.delegate("b", "shared", "*/*", false);
        // Signed by the key that `a` names, not by the one that `b` names.
        sim.signers.insert("shared".into(), a_key);
        sim.add_target("shared", "x/1", b"x");
        sim.add_target("shared", "y/1", b"y");
        sim.next();
    });
    let client = scene.refresh().unwrap();
    assert!(client.find("x/1").unwrap().is_some());
    let error = client.find("y/1").unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Rejected {
                source: Rejected::Threshold { .. },
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn delegated_role_is_checked_like_targets() {
    let expired = with(|sim| {
        sim.delegate("targets", "a", "*", false);
        sim.delegated.get_mut("a").unwrap().common.expires = Expires::from(now());
        sim.next();
    });
    let error = find(&expired, "x").unwrap_err();
    assert!(matches!(
        error,
        ClientError::Rejected {
            source: Rejected::Expired { .. },
            ..
        }
    ));
    let unlisted = with(|sim| {
        sim.delegate("targets", "a", "*", false);
        sim.next();
        sim.snapshot.meta.remove("a.json");
        sim.snapshot.common.version += 1;
        sim.timestamp.common.version += 1;
        sim.publish_snapshot();
    });
    let error = find(&unlisted, "x").unwrap_err();
    assert!(matches!(
        error,
        ClientError::Rejected {
            source: Rejected::NotListed { .. },
            ..
        }
    ));
}

#[test]
fn odd_role_names_are_quoted() {
    for name in ["?", "#", "/role", "../role", "a b", "ü"] {
        let scene = with(|sim| {
            sim.delegate("targets", name, "*", false);
            sim.add_target(name, "x", b"x");
            sim.next();
        });
        assert_eq!(find(&scene, "x").unwrap(), Some(1), "{name}");
        let quoted = super::state::quoted(name);
        assert!(
            scene.sim().requests.contains(&format!("1.{quoted}.json")),
            "{name}"
        );
        assert!(
            scene.folder.path().join(format!("{quoted}.json")).is_file(),
            "{name}"
        );
    }
}

#[test]
fn succinct_roles_choose_the_bin() {
    let scene = with(|sim| {
        sim.delegate("targets", "bin-0", "*", false);
        sim.delegate("targets", "bin-1", "*", false);
        let delegations = sim.targets.delegations.as_mut().unwrap();
        let roles = delegations.roles.take().unwrap();
        delegations.succinct_roles = Some(
            serde_json::from_value(
                serde_json::json!({"keyids": [roles[0].keyids[0], roles[1].keyids[0]],
                "threshold": 1, "bit_length": 1, "name_prefix": "bin"}),
            )
            .unwrap(),
        );
        for i in 0..20 {
            for bin in ["bin-0", "bin-1"] {
                sim.add_target(bin, &format!("t{i}"), bin.as_bytes());
            }
        }
        sim.next();
    });
    let client = scene.refresh().unwrap();
    for i in 0..20 {
        assert!(client.find(&format!("t{i}")).unwrap().is_some());
    }
    let asked = scene
        .sim()
        .requests
        .iter()
        .filter(|r| r.contains("bin-"))
        .count();
    assert_eq!(asked, 2);
}

#[test]
fn bins_do_not_end_the_search() {
    // TAP 15: they are not terminating; another role may follow.
    let scene = with(|sim| {
        sim.delegate("targets", "binned", "*", false);
        sim.delegate("targets", "after", "*", false);
        let key = sim.signers["binned"][0].clone();
        let id = key.public().id();
        let bins = serde_json::json!({"keys": {(id.clone()): key.public()},
            "succinct_roles": {"keyids": [id], "threshold": 1, "bit_length": 1, "name_prefix": "bin"}});
        for name in ["bin-0", "bin-1"] {
            let empty = sim.delegated["after"].clone();
            sim.delegated.insert(name.into(), empty);
            sim.signers.insert(name.into(), vec![key.clone()]);
        }
        let binned = sim.delegated.get_mut("binned").unwrap();
        binned.delegations = Some(serde_json::from_value(bins).unwrap());
        sim.add_target("after", "file", b"contents");
        sim.next();
    });
    assert_eq!(find(&scene, "file").unwrap(), Some(8));
}
