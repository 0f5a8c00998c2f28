//! The durable plane by itself: what a power cut may leave, and what not.

use std::collections::BTreeSet;
use std::path::Path;

use oxmq_base::disk::Disk;
use oxmq_sim::disk::{Faults, SimDisk};
use oxmq_sim::rng::Rng;
use oxmq_sim::seed::scratch;

/// What is at `name` after a power cut behind `work`, over many cuts: `None` for nothing.
fn left(name: &str, work: impl Fn(&SimDisk, &Path)) -> BTreeSet<Option<Vec<u8>>> {
    let base = scratch().unwrap();
    (0..300)
        .map(|seed| {
            let root = base.path().join(format!("{seed}"));
            let disk = SimDisk::empty(&root, Rng::new(seed), None, false).unwrap();
            work(&disk, &root);
            let image = disk.cut().unwrap();
            assert!(disk.write(&root.join("late"), b"x").is_err(), "no power, no writes");
            let again = base.path().join(format!("{seed}-again"));
            SimDisk::from_image(&again, &image, Rng::new(seed), None, false).unwrap();
            std::fs::read(again.join(name)).ok()
        })
        .collect()
}

fn set(of: &[Option<&[u8]>]) -> BTreeSet<Option<Vec<u8>>> {
    of.iter().map(|o| o.map(<[u8]>::to_vec)).collect()
}

#[test]
fn what_is_synced_stays_and_what_is_not_may_go() {
    let synced = |disk: &SimDisk, root: &Path| {
        disk.write(&root.join("f"), b"old").unwrap();
        disk.open(&root.join("f"), false).unwrap().sync().unwrap();
        disk.sync_dir(root).unwrap();
    };
    assert_eq!(left("f", synced), set(&[Some(b"old")]));
    // The entry is not, so that nothing or all of it is left.
    let entry = |disk: &SimDisk, root: &Path| {
        disk.write(&root.join("f"), b"old").unwrap();
        disk.open(&root.join("f"), false).unwrap().sync().unwrap();
    };
    assert_eq!(left("f", entry), set(&[None, Some(b"old")]));
    // Data without length, length without data.
    let data = |disk: &SimDisk, root: &Path| {
        disk.write(&root.join("f"), b"old").unwrap();
        disk.sync_dir(root).unwrap();
    };
    assert_eq!(left("f", data), set(&[Some(b""), Some(b"\0\0\0"), Some(b"old")]));
}

#[test]
fn a_rename_is_one_change() {
    let rename = |disk: &SimDisk, root: &Path| {
        for (name, text) in [("f", b"old"), ("f.new", b"new")] {
            disk.write(&root.join(name), text).unwrap();
            disk.open(&root.join(name), false).unwrap().sync().unwrap();
        }
        disk.sync_dir(root).unwrap();
        disk.rename(&root.join("f.new"), &root.join("f")).unwrap();
    };
    assert_eq!(left("f", rename), set(&[Some(b"old"), Some(b"new")]));
    assert_eq!(left("f.new", rename), set(&[None, Some(b"new")]));
    let removed = |disk: &SimDisk, root: &Path| {
        rename(disk, root);
        disk.remove_file(&root.join("f")).unwrap();
        disk.sync_dir(root).unwrap();
    };
    assert_eq!(left("f", removed), set(&[None]));
}

/// Pages come in any order, and torn at sectors.
#[test]
fn pages_are_reordered_and_torn() {
    let work = |disk: &SimDisk, root: &Path| {
        let file = disk.open(&root.join("f"), true).unwrap();
        file.set_len(8192).unwrap();
        file.sync().unwrap();
        disk.sync_dir(root).unwrap();
        file.write_at(0, &[7; 8192]).unwrap();
    };
    let left = left("f", work);
    let has = |what: &dyn Fn(&[u8]) -> bool| left.iter().flatten().any(|f| what(f));
    assert!(
        left.iter().flatten().all(|f| f.len() == 8192 && f.chunks(512).all(|s| s.iter().all(|b| *b == s[0])))
    );
    assert!(has(&|f| f.iter().all(|b| *b == 0)) && has(&|f| f.iter().all(|b| *b == 7)));
    assert!(has(&|f| f[..4096] == [0; 4096] && f[4096..] == [7; 4096]), "the second page alone");
    assert!(
        has(&|f| f[..512] == [0; 512] && f[512..1024] == [7; 512]),
        "the second sector without the first"
    );
}

/// As Linux has it: a failed sync drops pages, which then count as clean.
#[test]
fn a_page_that_a_failed_sync_dropped_is_lost_until_it_is_written_again() {
    let fails = |again: bool| {
        move |disk: &SimDisk, root: &Path| {
            let file = disk.open(&root.join("f"), true).unwrap();
            file.set_len(2).unwrap();
            file.sync().unwrap();
            disk.sync_dir(root).unwrap();
            file.write_at(0, b"ab").unwrap();
            disk.set_faults(Faults { sync: 10_000, full: 0 });
            assert!(file.sync().is_err());
            disk.set_faults(Faults::default());
            if again {
                file.write_at(0, b"ab").unwrap();
            }
            file.sync().unwrap();
        }
    };
    assert_eq!(left("f", fails(false)), set(&[Some(b"\0\0"), Some(b"ab")]));
    assert_eq!(left("f", fails(true)), set(&[Some(b"ab")]));
    // Until the cache is dropped, the program sees what it wrote; then what the disk has.
    let base = scratch().unwrap();
    let seen: BTreeSet<_> = (0..50)
        .map(|seed| {
            let root = base.path().join(format!("{seed}"));
            let disk = SimDisk::empty(&root, Rng::new(seed), None, false).unwrap();
            let path = root.join("f");
            fails(false)(&disk, &root);
            assert_eq!(std::fs::read(&path).unwrap(), b"ab");
            disk.drop_cache(&path, 0).unwrap();
            std::fs::read(&path).unwrap()
        })
        .collect();
    assert_eq!(seen, [b"\0\0".to_vec(), b"ab".to_vec()].into());
}
