//! What goes and when, what stays, and what is refused meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, UNIX_EPOCH};

use oxmq_store::{
    AppendError, Cleaned, DiskFigures, Level, Moment, Removed, Rules, Space, Store, StoreOptions,
};

use crate::faults::{Faulty, disk};
use crate::helper::*;

const HOUR: i64 = 3_600_000;

/// A disk of 1000 bytes; the test says how many are free.
fn disk_of_1000(options: &mut StoreOptions) -> Arc<AtomicU64> {
    let free = Arc::new(AtomicU64::new(900));
    let of = Arc::clone(&free);
    options.space = Arc::new(move |_: &Path| {
        let free = of.load(SeqCst);
        Ok(Space { total: 1000, free, usable: free })
    });
    free
}

fn rules() -> Rules {
    let level = |ratio| Level { ratio, free_bytes: 0 };
    Rules {
        reserved_ms: 72 * HOUR,
        hours: vec![4],
        batch_max: 10,
        force: true,
        clean: level(0.75),
        forcibly: level(0.85),
        warning: level(0.90),
        log_pause: Duration::ZERO,
        queue_pause: Duration::ZERO,
    }
}

fn clean_at(store: &Store, hour: u8, rules: &Rules) -> Cleaned {
    store.clean(Moment { wall_ms: T0, hour, manual: false }, rules, &mut |_| true).unwrap()
}

fn log_names(root: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root.join("commitlog"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Makes the log's file look as if it was last written so many hours ago.
fn age(root: &Path, nth: u64, hours: i64) {
    let path = root.join("commitlog").join(format!("{:020}", nth * 4096));
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_millis((T0 - hours * HOUR) as u64)).unwrap();
}

/// Appends until the log has `files` files.
fn fill(store: &Store, topic: &str, files: u64) {
    let queue = store.queue(topic, 0);
    while store.written() <= (files - 1) * 4096 {
        store.append(&queue, &draft(&queue, &[7; 500])).unwrap();
    }
}

/// Up to the first that has not expired, and never the last; queues and index follow, and offsets go on where they were.
#[test]
fn files_go_when_their_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    disk_of_1000(&mut options);
    let store = start(options.clone());
    let few = store.queue("Few", 0);
    store.append(&few, &draft(&few, b"first")).unwrap();
    fill(&store, "T", 12);
    store.housekeep();
    store.flush().unwrap();
    for (nth, hours) in [(0, 90), (1, 80), (2, 72), (3, 71), (4, 100)] {
        age(dir.path(), nth, hours);
    }
    assert_eq!(clean_at(&store, 5, &rules()).removed, Removed::default(), "not the hour");
    let queue_files = || std::fs::read_dir(dir.path().join("consumequeue/T/0")).unwrap().count();
    let before = queue_files();
    let cleaned = clean_at(&store, 4, &rules());
    assert_eq!((cleaned.plan.remove, cleaned.removed.log_files), (3, 3));
    assert!(cleaned.removed.queue_files > 0);
    assert_eq!(queue_files(), before - cleaned.removed.queue_files);
    assert_eq!((store.min_phy(), &*log_names(dir.path())[0]), (3 * 4096, "00000000000000012288"));
    let queue = store.queue("T", 0);
    let min = store.min_offset(&queue);
    assert!(min > 16 && pull(&store, &queue, min).1[0].0 == min);
    assert_eq!(store.min_offset(&few), 1);
    for nth in 5..13 {
        if dir.path().join(format!("commitlog/{:020}", nth * 4096)).exists() {
            age(dir.path(), nth, 100);
        }
    }
    age(dir.path(), 3, 100);
    clean_at(&store, 4, &rules());
    assert_eq!(log_names(dir.path()).len(), 1, "the last one stays, however old");
    let (next, kept) = (queue.next_offset(), read_all(&store, &queue).len());
    drop(store);
    let store = start(options);
    let (queue, few) = (store.queue("T", 0), store.queue("Few", 0));
    assert_eq!((queue.next_offset(), read_all(&store, &queue).len()), (next, kept));
    assert_eq!(store.append(&few, &draft(&few, b"second")).unwrap().queue_offset, 1);
}

/// Nothing goes whose units a crash would still have to find: they are saved first, and a later sync finds its files.
#[test]
fn what_a_crash_needs_is_saved_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let few = store.queue("Few", 0);
    store.append(&few, &draft(&few, b"first")).unwrap();
    fill(&store, "T", 8);
    let checkpoint = || std::fs::read(dir.path().join("checkpoint")).unwrap();
    let logics = || i64::from_be_bytes(checkpoint()[40..48].try_into().unwrap());
    assert!(logics() < 4 * 4096);
    let removed = store.remove_expired(i64::MAX / 2, 4).unwrap();
    assert_eq!(removed.log_files, 4);
    assert!(removed.queue_files > 0);
    assert!(logics() >= 4 * 4096, "{}", logics());
    store.save_queues().unwrap();
    assert_eq!(store.poisoned(), None);
    drop(store);
    let store = start(small(dir.path()));
    assert_eq!((store.queue("Few", 0).next_offset(), store.recovered().clean), (1, false));
}

/// A queue's first file goes when the next one is on the disk: of one that is not, a power cut may leave nothing, and
/// offsets would begin at 0 again.
#[test]
fn a_queue_keeps_a_file_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = Faulty::new("s", i64::MIN / 2, false, 5);
    let mut options = small(dir.path());
    options.disk = disk(&faulty);
    let store = start(options);
    let queue = store.queue("T", 0);
    let append = || store.append(&queue, &draft(&queue, b"x")).unwrap();
    for _ in 0..16 {
        append();
    }
    fill(&store, "F", 3);
    store.flush().unwrap();
    store.save_queues().unwrap();
    append();
    store.housekeep();
    let path = |base: u64| dir.path().join(format!("consumequeue/T/0/{base:020}"));
    assert!(path(320).exists(), "written, and not synced");
    faulty.fail_from_now();
    assert!(store.remove_expired(i64::MAX / 2, 2).is_err());
    assert!(path(0).exists());
    drop(store);
    let store = start(small(dir.path()));
    fill(&store, "F", 6);
    let removed = store.remove_expired(i64::MAX / 2, 9).unwrap();
    assert!(removed.queue_files > 0, "{removed:?} {:?}", log_names(dir.path()));
    assert!(!path(0).exists());
    assert_eq!(store.queue("T", 0).max_offset(), 17);
}

/// As the disk fills: expired files at any hour, all files, no more messages; and back.
#[test]
fn a_filling_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    let free = disk_of_1000(&mut options);
    let store = start(options);
    fill(&store, "T", 8);
    store.flush().unwrap();
    age(dir.path(), 0, 100);
    free.store(240, SeqCst);
    assert_eq!(clean_at(&store, 5, &rules()).removed.log_files, 1, "the expired one");
    let queue = store.queue("T", 0);
    store.append(&queue, &draft(&queue, b"taken")).unwrap();
    free.store(140, SeqCst);
    let two = Rules { batch_max: 2, ..rules() };
    assert_eq!(clean_at(&store, 5, &two).removed.log_files, 2, "two of the others");
    assert!(!store.refuses_by_space());
    free.store(90, SeqCst);
    let cleaned = clean_at(&store, 5, &two);
    assert_eq!(cleaned.disks.log_ratio(), 0.91);
    let next = queue.next_offset();
    let refused = store.append(&queue, &draft(&queue, b"refused"));
    assert!(matches!(refused, Err(AppendError::SpaceLow)), "{refused:?}");
    assert!(store.refuses_by_space());
    // Readers are served.
    assert!(!pull(&store, &queue, store.min_offset(&queue)).1.is_empty());
    free.store(130, SeqCst);
    clean_at(&store, 5, &two);
    assert!(store.refuses_by_space(), "until there is more room than that");
    free.store(400, SeqCst);
    clean_at(&store, 5, &two);
    assert_eq!(store.append(&queue, &draft(&queue, b"again")).unwrap().queue_offset, next);
    assert_eq!(
        store.disk_figures(),
        DiskFigures {
            log: vec![Some(Space { total: 1000, free: 400, usable: 400 })],
            queues: Some(Space { total: 1000, free: 400, usable: 400 }),
        }
    );
}

/// The log leaves the last bytes of the disk to others; that passes, too.
#[test]
fn the_log_leaves_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    let free = disk_of_1000(&mut options);
    // Of 1000 bytes 100 are kept. Blocks of the file that there is are had already.
    options.min_free_bytes = 5000;
    options.allocate_step_bytes = 4096;
    free.store(1 << 20, SeqCst);
    let store = start(options);
    let queue = store.queue("T", 0);
    store.append(&queue, &draft(&queue, &[1; 2500])).unwrap();
    free.store(1000, SeqCst);
    let refused = store.append(&queue, &draft(&queue, &[2; 2500]));
    assert!(matches!(refused, Err(AppendError::DiskFull(_))), "{refused:?}");
    // What is not the log's goes on.
    store.save_queues().unwrap();
    free.store(1 << 20, SeqCst);
    assert_eq!(store.append(&queue, &draft(&queue, &[3; 2500])).unwrap().queue_offset, 1);
    assert_eq!(store.poisoned(), None);
}

/// Who reads a removed file keeps it, and is known.
#[test]
fn a_reader_keeps_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    fill(&store, "T", 4);
    let slice = store.read(0, 600).unwrap();
    let copy = slice.to_vec();
    assert_eq!(store.remove_expired(i64::MAX / 2, 2).unwrap().log_files, 2);
    assert_eq!(store.pinned_files(), 1);
    assert_eq!((&slice[..], store.read(0, 600)), (&copy[..], None));
    drop(slice);
    assert_eq!(store.pinned_files(), 0);
}

/// Queues follow in slices: a round that is told to end leaves the rest to the next.
#[test]
fn queues_follow_over_several_rounds() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    let free = disk_of_1000(&mut options);
    let store = start(options);
    for _ in 0..40 {
        for topic in ["A", "B", "C"] {
            let queue = store.queue(topic, 0);
            store.append(&queue, &draft(&queue, &[1; 300])).unwrap();
        }
    }
    free.store(50, SeqCst);
    let files = |topic: &str| {
        std::fs::read_dir(dir.path().join("consumequeue").join(topic).join("0")).unwrap().count()
    };
    let all = Rules { batch_max: 100, queue_pause: Duration::from_millis(1), ..rules() };
    let moment = Moment { wall_ms: T0, hour: 5, manual: false };
    let first = store.clean(moment, &all, &mut |pause| pause.is_zero()).unwrap();
    assert!(first.removed.log_files > 5);
    assert_eq!((first.removed.queue_files, files("A") + files("B") + files("C")), (2, 7));
    let second = store.clean(moment, &all, &mut |_| true).unwrap();
    assert_eq!((second.removed.log_files, second.removed.queue_files), (0, 4));
    assert_eq!(store.clean(moment, &all, &mut |_| true).unwrap().removed, Removed::default());
}
