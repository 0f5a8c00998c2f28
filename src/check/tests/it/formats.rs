//! Any bytes as what lies on a disk: units of batch queues, index files, timers, a log, `holes.json`, a RocksDB folder. The
//! fuzz targets `disk_formats`, `check_log`, `check_holes` and `preflight` run the same functions.

use std::ops::ControlFlow;
use std::path::Path;

use oxmq_check::{IndexLayout, Options, Progress, Report, check, dump};
use oxmq_store::format::batch_unit::{COUNT_MAX, SPAN, Span};
use oxmq_store::format::index::{self, HEADER, Header, Layout};
use oxmq_store::format::timer::{
    CHECK, MAGIC_BLANK, SLOT, SLOTS, Slot, TIMER_UNIT, TimerCheckpoint, TimerEntry, TimerUnit, filler,
};
use oxmq_store::preflight::Preflight;

/// What is read from any bytes is written as the same; chains end.
pub fn disk_formats(bytes: &[u8]) {
    for chunk in bytes.chunks_exact(SPAN) {
        let read = Span::decode(chunk.first_chunk().expect("a whole chunk"));
        assert_eq!(Span::decode(&read.encode()), read);
        assert_eq!(read.encode()[..18], chunk[..18]);
        assert!(!read.is_set() || (read.base >= 0 && read.end() >= read.base && read.count <= COUNT_MAX));
    }
    timers(bytes);
    index_file(bytes);
}

fn timers(bytes: &[u8]) {
    for chunk in bytes.chunks(TIMER_UNIT) {
        match TimerUnit::decode(chunk) {
            TimerEntry::Unit(unit) => {
                assert_eq!(unit.encode(), chunk, "all bytes of a unit mean something");
                unit.due_ms();
            }
            TimerEntry::Filler { remaining } => {
                assert_eq!(TimerUnit::decode(&filler(remaining)), TimerEntry::Filler { remaining });
                assert_eq!(chunk[12..16], MAGIC_BLANK.to_be_bytes());
            }
            TimerEntry::Other => {}
        }
    }
    for chunk in bytes.chunks_exact(SLOT) {
        let slot = Slot::decode(chunk.first_chunk().expect("a whole chunk"));
        assert_eq!(slot.encode(), chunk);
        for precision in [1000, 1, 0, -5] {
            assert!(Slot::index_of(slot.due_ms(precision), precision, SLOTS) < SLOTS);
        }
        Slot::index_of(slot.time, slot.first, slot.last as u64 >> 1);
    }
    if let Some(head) = bytes.first_chunk::<CHECK>() {
        assert_eq!(TimerCheckpoint::decode(head).encode(), *head);
    }
}

/// An index file of three slots and seven entries.
fn index_file(bytes: &[u8]) {
    let layout = Layout { slots: 3, entries: 7 };
    let mut file = vec![0; layout.len()];
    let n = bytes.len().min(file.len());
    file[..n].copy_from_slice(&bytes[..n]);
    let mut header = Header::decode(&file);
    let mut again = [0; HEADER];
    header.write(&mut again);
    assert_eq!(Header::decode(&again), header);
    for hash in [0, 1, 2, i32::MAX, i32::MIN] {
        let mut found = 0;
        index::select(&file, &layout, &header, hash, (i64::MIN, i64::MAX), &mut |_| {
            found += 1;
            ControlFlow::Continue(())
        });
        assert!(found < layout.entries, "a chain ends");
    }
    index::trailing(&file, &layout, &header, header.end_phy);
    if header.is_sane(&layout) {
        let count = header.count;
        let put = index::put(&mut file, &layout, &mut header, 4, 9, 1_000);
        assert_eq!(put, count < layout.entries as i32);
        assert_eq!(header.count, count + i32::from(put));
    }
}

/// A folder whose only log file begins with these bytes.
pub fn check_log(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut log = bytes.to_vec();
    log.resize(log.len().max(1).next_multiple_of(4096), 0);
    std::fs::create_dir(folder.path().join("commitlog")).expect("makes");
    std::fs::write(folder.path().join("commitlog/00000000000000000000"), &log).expect("writes");
    for fast in [false, true] {
        let report = run(folder.path(), fast);
        assert!(report.log.end <= log.len() as u64 && report.exit <= 2);
        assert!(report.log.behind_bytes <= log.len() as u64);
    }
    for phy in [0, 1, log.len() as u64 / 2, log.len() as u64] {
        let _ = dump::record(folder.path(), &[], phy);
    }
}

/// The same bytes as `quarantine/holes.json`, as files of `config/`, as checkpoint, index and queue of a small folder.
pub fn check_holes(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in [
        "commitlog/00000000000000000000",
        "quarantine/holes.json",
        "config/topics.json",
        "config/consumerOffset.json",
        "config/timercheck",
        "timerlog/00000000000000000000",
        "checkpoint",
        "index/20231114221320001",
        "consumequeue/A/0/00000000000000000000",
        "batchconsumequeue/B/0/00000000000000000000",
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("makes");
        let mut content = bytes.to_vec();
        if name.starts_with("commitlog") {
            content.resize(8192, 0);
        }
        std::fs::write(path, content).expect("writes");
    }
    for fast in [false, true] {
        run(folder.path(), fast);
    }
    let layout = IndexLayout::default();
    let _ = dump::queue(folder.path(), &[], "A", 0, 0, 9);
    let _ = dump::queue(folder.path(), &[], "B", 0, 0, 9);
    let _ = dump::index_key(folder.path(), &[], "A#k", layout);
    let _ = dump::checkpoint(folder.path());
}

/// MANIFEST, write-ahead log and CURRENT of RocksDB folders: the first two bytes say where one ends and the next begins.
/// Whether such a folder holds anything is answered, and the same each time.
pub fn preflight(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(([manifest_len, current_len], rest)) = bytes.split_first_chunk::<2>() else { return };
    let (manifest, rest) = rest.split_at((usize::from(*manifest_len) * 4).min(rest.len()));
    // Mostly it names the MANIFEST, so that this is read.
    let (current, log) = match current_len {
        0..240 => (&b"MANIFEST-000005\n"[..], rest),
        n => rest.split_at(usize::from(n - 240).min(rest.len())),
    };
    for name in ["rocksdbstore", "consumequeue_rocksdb", "config/metadata"] {
        let dir = folder.path().join(name);
        std::fs::create_dir_all(&dir).expect("makes");
        for (name, content) in [("MANIFEST-000005", manifest), ("000004.log", log), ("CURRENT", current)] {
            std::fs::write(dir.join(name), content).expect("writes");
        }
    }
    let preflight = Preflight {
        root: folder.path().to_owned(),
        commitlog: vec![folder.path().join("commitlog")],
        dledger: None,
        timer_wheel: true,
        timer_precision_ms: 1000,
        accept_pending: true,
    };
    let look = || preflight.check(1_700_000_000_000).map_err(|e| e.to_string());
    assert_eq!(look(), look());
}

fn run(root: &Path, fast: bool) -> Report {
    let options = Options { root: root.to_owned(), fast, ..Options::default() };
    check(&options, Progress::none()).expect("it is a store folder")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn hold_for_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            disk_formats(&bytes);
            check_log(&bytes);
            check_holes(&bytes);
            preflight(&bytes);
        }

        /// Records of RocksDB's files with likely fields in them.
        #[test]
        fn hold_for_records_of_rocksdb(cut in 0usize..64, kind in 0u8..14, body in prop::collection::vec(
            prop::sample::select(vec![0u8, 1, 2, 4, 5, 6, 7, 13, 14, 100, 102, 103, 200, 201, 202, 0x7f, 0x80, 0xff]), 0..64,
        )) {
            let mut record = vec![0, 0, 0, 0, body.len() as u8, 0, kind];
            record.extend(&body);
            let len = (record.len() - cut.min(record.len())).div_ceil(4);
            let mut bytes = vec![len as u8, 0];
            bytes.extend(&record);
            bytes.resize(2 + 4 * len, 0);
            bytes.extend(&record);
            preflight(&bytes);
        }

        /// Small numbers and magics, where random bytes never get to.
        #[test]
        fn hold_for_likely_words(words in prop::collection::vec(
            prop::sample::select(vec![0u32, 1, 2, 7, 52, 91, 108, 4096, 0xDAA3_20A7, 0xDAA3_20AB, 0xCBD4_3194, u32::MAX]), 0..100,
        )) {
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
            disk_formats(&bytes);
            check_log(&bytes);
            check_holes(&bytes);
        }

        #[test]
        fn hold_for_holes(from in any::<i64>(), to in any::<i64>()) {
            check_holes(format!("{{\"holes\":[{{\"from\":{from},\"to\":{to}}},{{\"from\":0,\"to\":{}}}]}}", from % 9000).as_bytes());
        }
    }

    /// A damaged log whose records are good.
    #[test]
    fn hold_for_damaged_records() {
        let dir = tempfile::tempdir().unwrap();
        crate::folder::make(dir.path(), crate::folder::Stop::Killed);
        let good = std::fs::read(dir.path().join("commitlog/00000000000000000000")).unwrap();
        check_log(&good);
        for i in 0..40 {
            let mut bad = good.clone();
            bad[i * 97] ^= 0x41;
            check_log(&bad);
        }
    }

    /// Every function here is a target.
    #[test]
    fn are_fuzzed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
        for name in ["disk_formats", "check_log", "check_holes", "preflight"] {
            assert!(root.join(format!("fuzz_targets/{name}.rs")).exists(), "{name} has no target");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml lacks {name}");
        }
    }
}
