//! The way back after stolen keys signed high versions (TUF 5.3.11), and what must not be taken
//! for it.

use super::{rejected, with};
use crate::tuf::metadata::Role;
use crate::tuf::trusted::Rejected;

#[test]
fn fast_forward_recovery_by_rotated_keys() {
    // Whoever held the key of the rotated role signed high versions.
    for role in [Role::Timestamp, Role::Snapshot] {
        let scene = with(|sim| {
            sim.timestamp.common.version = 1000;
            sim.snapshot.common.version = 1000;
            sim.targets.common.version = 1000;
            sim.publish();
        });
        scene.refresh().unwrap();
        assert_eq!(scene.kept(Role::Snapshot), Some(1000));
        {
            let mut sim = scene.sim();
            sim.rotate(role);
            sim.next_root();
            sim.timestamp.common.version = 5;
            sim.snapshot.common.version = 5;
            sim.targets.common.version = 5;
            sim.publish();
        }
        scene.refresh().unwrap();
        for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
            assert_eq!(scene.kept(role), Some(5), "{role}");
        }
    }
}

#[test]
fn fast_forward_recovery_by_keys_revoked_in_turn() {
    // Two of three must sign. Whoever held two keys signed a high version; they go one root
    // after the other, and the timestamp's key stays.
    let scene = with(|sim| {
        sim.add_key(Role::Snapshot);
        sim.add_key(Role::Snapshot);
        sim.root.roles.get_mut("snapshot").unwrap().threshold = 2;
        sim.signers.get_mut("snapshot").unwrap().truncate(2);
        sim.next_root();
        sim.snapshot.common.version = 1000;
        sim.timestamp.common.version += 1;
        sim.publish_snapshot();
    });
    scene.refresh().unwrap();
    assert_eq!(scene.kept(Role::Snapshot), Some(1000));
    {
        let mut sim = scene.sim();
        for _ in 0..2 {
            sim.root.roles.get_mut("snapshot").unwrap().keyids.remove(0);
            sim.signers.get_mut("snapshot").unwrap().remove(0);
            sim.add_key(Role::Snapshot);
            sim.next_root();
        }
        sim.snapshot.common.version = 5;
        sim.timestamp.common.version += 1;
        sim.publish_snapshot();
    }
    scene.refresh().unwrap();
    assert_eq!(scene.kept(Role::Snapshot), Some(5));
}

#[test]
fn rollback_though_the_root_changed() {
    // A root that revokes nothing leaves what is kept, and what is kept guards.
    let scene = with(|sim| {
        sim.timestamp.common.version = 7;
        sim.publish_timestamp();
    });
    scene.refresh().unwrap();
    scene.sim().add_key(Role::Snapshot);
    scene.sim().next_root();
    scene.sim().timestamp.common.version = 6;
    scene.sim().publish_timestamp();
    assert!(matches!(
        rejected(scene.refresh()),
        Rejected::Rollback { .. }
    ));
    assert_eq!(scene.kept(Role::Root), Some(2));
}

#[test]
fn rollback_of_root_in_snapshot_is_none() {
    // go-tuf before 0.3 listed the root there; 5.5.5 is about targets documents.
    let scene = with(|sim| {
        let entry = sim.snapshot.meta["targets.json"].clone();
        sim.snapshot.meta.insert("root.json".into(), entry);
        sim.next();
    });
    scene.refresh().unwrap();
    scene.sim().snapshot.meta.remove("root.json");
    scene.sim().next();
    scene.refresh().unwrap();
    assert_eq!(scene.kept(Role::Snapshot), Some(3));
}

#[test]
fn no_recovery_below_the_threshold() {
    let scene = with(|sim| {
        sim.add_key(Role::Timestamp);
        sim.next_root();
        sim.timestamp.common.version = 1000;
        sim.publish_timestamp();
    });
    scene.refresh().unwrap();
    scene.sim().add_key(Role::Timestamp);
    scene.sim().next_root();
    scene.sim().timestamp.common.version = 5;
    scene.sim().publish_timestamp();
    assert!(matches!(
        rejected(scene.refresh()),
        Rejected::Rollback { .. }
    ));
}
