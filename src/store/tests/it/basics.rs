//! Append, pull, roll over, restart.

use std::sync::Arc;
use std::sync::Mutex;

use oxmq_protocol::message::{RecordView, sysflag};
use oxmq_store::{
    AppendError, Boundary, PullLimits, PullStatus, Queue, StoreListener, StoreOptions, TagsCode, open,
};

use crate::helper::*;

#[test]
fn a_message_comes_back_after_append_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("TA", 0);
    let first = store.append(&queue, &draft(&queue, b"hello")).unwrap();
    assert_eq!((first.phy, first.queue_offset, first.store_ts), (0, 0, T0));
    let second = store.append(&queue, &draft(&queue, b"world")).unwrap();
    assert_eq!((second.phy, second.queue_offset), (first.end(), 1));
    let expect = vec![(0, b"hello".to_vec()), (1, b"world".to_vec())];
    assert_eq!(pull(&store, &queue, 0).1, expect);
    let record = store.read_record(second.phy).unwrap();
    assert_eq!(RecordView::parse(&record).unwrap().body(), b"world");
    assert!(store.read_record(3).is_none() && store.read_record(1 << 40).is_none());
    store.shutdown().unwrap();
    assert!(matches!(store.append(&queue, &draft(&queue, b"x")), Err(AppendError::ShutDown)));
    assert_eq!(pull(&store, &queue, 0).1, expect, "reads go on");
    drop(store);

    let store = start(small(dir.path()));
    assert!(store.recovered().clean);
    assert_eq!(
        (store.recovered().scanned, store.recovered().dispatched),
        (1, 0),
        "only the last record is read"
    );
    let queue = store.find_queue("TA", 0).unwrap();
    assert_eq!(pull(&store, &queue, 0).1, expect);
    assert_eq!(store.append(&queue, &draft(&queue, b"!")).unwrap().queue_offset, 2);
}

/// Statuses and next offsets of Java's DefaultMessageStore.getMessage.
#[test]
fn pull_answers_javas_statuses() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("T", 0);
    let status = |offset| {
        let o = pull(&store, &queue, offset).0;
        (o.status, o.next_begin_offset, o.min_offset, o.max_offset)
    };
    assert_eq!(status(0), (PullStatus::NoMessageInQueue, 0, 0, 0));
    assert_eq!(status(5), (PullStatus::NoMessageInQueue, 0, 0, 0));
    for _ in 0..3 {
        store.append(&queue, &draft(&queue, b"b")).unwrap();
    }
    assert_eq!(status(-1), (PullStatus::OffsetTooSmall, 0, 0, 3));
    assert_eq!(status(0), (PullStatus::Found, 3, 0, 3));
    assert_eq!(status(2), (PullStatus::Found, 3, 0, 3));
    assert_eq!(status(3), (PullStatus::OffsetOverflowOne, 3, 0, 3));
    assert_eq!(status(4), (PullStatus::OffsetOverflowBadly, 3, 0, 3));
}

#[test]
fn limits_and_filters_of_a_pull() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    options.commitlog_file_bytes = 1 << 20;
    options.queue_file_bytes = 20 * 1000;
    let store = start(options);
    let queue = store.queue("T", 0);
    for i in 0..900i64 {
        let mut d = draft(&queue, b"0123456789");
        d.tags_code = TagsCode::Value(i);
        store.append(&queue, &d).unwrap();
    }
    let size = 91 + 10 + 1 + 10;
    let run = |offset, max_messages, max_bytes, tag: Option<i64>| {
        let mut slices = 0;
        let keep = &mut |code| tag.is_none_or(|t| t == code);
        let limits = PullLimits { max_messages, max_bytes };
        let o = store.pull(&queue, offset, &limits, keep, &mut |_| slices += 1);
        (o.status, o.next_begin_offset, o.count, slices)
    };
    assert_eq!(run(0, 10, 1 << 20, None), (PullStatus::Found, 10, 10, 1), "adjacent records are one slice");
    assert_eq!(run(0, 100, 1 << 20, None), (PullStatus::Found, 32, 32, 1), "hot limit");
    assert_eq!(run(0, 32, size * 5 + 1, None), (PullStatus::Found, 5, 5, 1), "bytes");
    assert_eq!(run(0, 32, 1, None), (PullStatus::Found, 1, 1, 1), "the first is always answered");
    assert_eq!(run(0, 32, 1 << 20, Some(7)), (PullStatus::Found, 800, 1, 1));
    assert_eq!(
        run(0, 32, 1 << 20, Some(850)),
        (PullStatus::NoMatchedMessage, 800, 0, 0),
        "16000 bytes of units"
    );
    assert_eq!(run(800, 32, 1 << 20, Some(850)), (PullStatus::Found, 900, 1, 1));
}

#[test]
fn records_roll_over_and_batches_stay_together() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("T", 3);
    let bodies: Vec<Vec<u8>> = (0..100u8).map(|i| vec![i; 300 + usize::from(i)]).collect();
    let mut out = Vec::new();
    for chunk in bodies.chunks(5) {
        let drafts: Vec<_> = chunk.iter().map(|b| draft(&queue, b)).collect();
        store.append_batch(&queue, &drafts, &mut out).unwrap();
        let offsets: Vec<_> = out.iter().map(|a| a.queue_offset - out[0].queue_offset).collect();
        assert_eq!(offsets, [0, 1, 2, 3, 4]);
        assert_eq!(out[0].phy / 4096, out[4].phy / 4096, "one file");
    }
    assert_eq!(read_all(&store, &queue), bodies);
    let big = vec![0; 2000];
    let three = [draft(&queue, &big), draft(&queue, &big), draft(&queue, &big)];
    assert!(matches!(store.append_batch(&queue, &three, &mut out), Err(AppendError::RecordTooLarge { .. })));
    assert_eq!((out.len(), queue.max_offset()), (0, 100));
    store.housekeep();
    assert_eq!(read_all(&store, &queue), bodies);
    store.shutdown().unwrap();
    drop(store);
    let store = start(small(dir.path()));
    assert_eq!(read_all(&store, &store.queue("T", 3)), bodies);
}

#[test]
fn what_cannot_be_stored_is_refused_and_uses_no_offset() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    options.commitlog_file_bytes = 1 << 20;
    options.max_message_bytes = 1000;
    let store = start(options);
    let queue = store.queue("T", 0);
    let (body, props) = (vec![0; 1001], vec![b'x'; 32768]);
    let mut d = draft(&queue, &body);
    assert!(matches!(store.append(&queue, &d), Err(AppendError::BodyTooLarge { len: 1001, max: 1000 })));
    d.body = b"";
    d.properties = &props;
    assert!(matches!(store.append(&queue, &d), Err(AppendError::PropertiesTooLong { .. })));
    let evil = store.queue("../evil", 0);
    assert!(matches!(store.append(&evil, &draft(&evil, b"")), Err(AppendError::Topic)));
    assert!(!dir.path().join("evil").exists());
    assert_eq!(store.append(&queue, &draft(&queue, b"ok")).unwrap().queue_offset, 0);
}

/// Gotcha 87: records without a unit take no offset and get none from recovery. Gotcha 88: a delayed record's unit
/// holds its delivery time, also when made again.
#[test]
fn prepared_and_delayed_records_keep_their_units_when_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("T", 0);
    let mut half = draft(&queue, b"half");
    half.sys_flag = sysflag::TRANSACTION_PREPARED;
    half.no_queue = true;
    assert_eq!(store.append(&queue, &half).unwrap().queue_offset, 0);
    assert_eq!(store.append(&queue, &draft(&queue, b"whole")).unwrap().queue_offset, 0);
    let delay = store.queue("SCHEDULE_TOPIC_XXXX", 2);
    let mut d = draft(&delay, b"later");
    d.properties = b"TAGS\x01tagA\x02DELAY\x013\x02";
    d.tags_code = TagsCode::DeliverAt { delay_ms: 10_000 };
    store.append(&delay, &d).unwrap();
    assert_eq!(store.locate(&delay, 0).unwrap().2, T0 + 10_000);
    store.flush().unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("consumequeue")).ok();

    let store = start(small(dir.path()));
    assert_eq!(store.recovered().dispatched, 2);
    assert_eq!(read_all(&store, &store.queue("T", 0)), [b"whole"]);
    assert_eq!(store.locate(&store.queue("SCHEDULE_TOPIC_XXXX", 2), 0).unwrap().2, T0 + 10_000);
    assert_eq!(store.locate(&store.queue("T", 0), 0).unwrap().2, 3_552_231);
}

#[test]
fn searches_by_time_as_java_does() {
    let dir = tempfile::tempdir().unwrap();
    let (store, clock) = start_at(small(dir.path()), T0);
    let queue = store.queue("T", 0);
    assert_eq!(store.search_offset_by_time(&queue, T0, Boundary::Lower), 0);
    for ts in [10, 10, 10, 30, 30] {
        clock.set_wall_ms(T0 + ts);
        store.append(&queue, &draft(&queue, b"b")).unwrap();
    }
    // (time, lower, upper); the comment in Java's ConsumeQueue explains the line of 20.
    for (ts, lower, upper) in [(5, 0, 0), (10, 0, 2), (20, 3, 2), (30, 3, 4), (40, 5, 4)] {
        assert_eq!(store.search_offset_by_time(&queue, T0 + ts, Boundary::Lower), lower, "lower {ts}");
        assert_eq!(store.search_offset_by_time(&queue, T0 + ts, Boundary::Upper), upper, "upper {ts}");
    }
    assert_eq!(store.earliest_store_time(&queue), T0 + 10);
    assert_eq!((store.store_time_at(&queue, 4), store.store_time_at(&queue, 5)), (T0 + 30, -1));
    clock.set_wall_ms(T0);
    let late = store.append(&queue, &draft(&queue, b"b")).unwrap();
    assert_eq!(late.store_ts, T0 + 30, "a clock that steps back does not reorder");
}

#[derive(Default)]
struct Told(Mutex<Vec<(String, i64)>>);

impl StoreListener for Told {
    fn visible(&self, queue: &Arc<Queue>, end: i64) {
        self.0.lock().unwrap().push((queue.topic().to_owned(), end));
    }
}

#[test]
fn the_listener_hears_of_visible_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let told = Arc::new(Told::default());
    store.set_listener(told.clone());
    let queue = store.queue("T", 0);
    store.append(&queue, &draft(&queue, b"1")).unwrap();
    let two = [draft(&queue, b"2"), draft(&queue, b"3")];
    store.append_batch(&queue, &two, &mut Vec::new()).unwrap();
    assert_eq!(*told.0.lock().unwrap(), [("T".to_owned(), 1), ("T".to_owned(), 3)]);
}

#[test]
fn a_deleted_topic_begins_anew_and_stays_so_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let (old, other) = (store.queue("T", 0), store.queue("U", 0));
    for i in 0..40u8 {
        store.append(&old, &draft(&old, &[i])).unwrap();
        store.append(&other, &draft(&other, &[i])).unwrap();
    }
    store.delete_topic("T").unwrap();
    assert!(matches!(store.append(&old, &draft(&old, b"x")), Err(AppendError::QueueDeleted)));
    assert!(store.find_queue("T", 0).is_none());
    let new = store.queue("T", 0);
    assert_eq!(new.max_offset(), 0);
    assert_eq!(store.append(&new, &draft(&new, b"new")).unwrap().queue_offset, 0);
    drop(store);
    let store = start(small(dir.path()));
    assert_eq!(read_all(&store, &store.queue("T", 0)), [b"new"]);
    assert_eq!(store.queue("U", 0).max_offset(), 40);
    // From the log alone: the later of two messages with one offset counts.
    store.shutdown().unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let store = start(small(dir.path()));
    assert_eq!(read_all(&store, &store.queue("T", 0)), [b"new"]);
    assert_eq!(store.queue("U", 0).max_offset(), 40);
}

/// The only topic, too: a store whose queues were all deleted is not one whose queues were lost.
#[test]
fn the_last_topic_stays_deleted() {
    for clean in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let store = start(small(dir.path()));
        let queue = store.queue("T", 0);
        for i in 0..40u8 {
            store.append(&queue, &draft(&queue, &[i])).unwrap();
        }
        store.delete_topic("T").unwrap();
        if clean {
            store.shutdown().unwrap();
        }
        drop(store);
        let store = start(small(dir.path()));
        assert_eq!(store.queue("T", 0).max_offset(), 0, "clean {clean}");
        let queue = store.queue("T", 0);
        store.append(&queue, &draft(&queue, b"new")).unwrap();
        drop(store);
        let store = start(small(dir.path()));
        assert_eq!(read_all(&store, &store.queue("T", 0)), [b"new"], "clean {clean}");
        // Lost queues are made again.
        store.shutdown().unwrap();
        drop(store);
        std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
        let store = start(small(dir.path()));
        assert_eq!(read_all(&store, &store.queue("T", 0)), [b"new"], "clean {clean}");
    }
}

#[test]
fn a_folder_has_one_store_and_apaches_small_files() {
    let dir = tempfile::tempdir().unwrap();
    let options: StoreOptions = small(dir.path());
    let store = start(options.clone());
    assert!(open(options.clone(), Arc::new(oxmq_base::clock::SystemClock::new())).is_err(), "locked");
    assert_eq!(std::fs::read(dir.path().join("lock")).unwrap(), b"lock");
    assert_eq!(std::fs::metadata(dir.path().join("checkpoint")).unwrap().len(), 4096);
    assert!(dir.path().join("abort").exists());
    let queue = store.queue("T", 7);
    store.append(&queue, &draft(&queue, b"x")).unwrap();
    store.shutdown().unwrap();
    assert!(!dir.path().join("abort").exists());
    let file = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let unit = file("consumequeue/T/7/00000000000000000000");
    let size = 91 + 1 + 1 + 10;
    assert_eq!(unit.len(), 320);
    assert_eq!(
        unit[..20],
        [&0u64.to_be_bytes()[..], &(size as u32).to_be_bytes(), &3_552_231i64.to_be_bytes()].concat()
    );
    assert!(unit[20..].iter().all(|b| *b == 0));
    assert_eq!(file("commitlog/00000000000000000000").len(), 4096);
    let checkpoint = file("checkpoint");
    assert_eq!(checkpoint[..8], T0.to_be_bytes());
    assert_eq!(checkpoint[8..16], T0.to_be_bytes());
    assert_eq!(checkpoint[40..48], (size as u64).to_be_bytes());
}

#[test]
fn expired_files_go_and_their_readers_keep_their_slices() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("T", 0);
    for i in 0..200u8 {
        store.append(&queue, &draft(&queue, &[i])).unwrap();
    }
    store.flush().unwrap();
    store.save_queues().unwrap();
    let slice = store.read_record(0).unwrap();
    assert_eq!(store.remove_expired(0, 10).unwrap().log_files, 0, "too young");
    let removed = store.remove_expired(i64::MAX / 2, 3).unwrap();
    assert_eq!((removed.log_files, store.min_phy()), (3, 3 * 4096));
    assert_eq!(RecordView::parse(&slice).unwrap().body(), [0]);
    assert!(store.read_record(0).is_none());
    let min = store.min_offset(&queue);
    assert_eq!(removed.queue_files as i64, min / 16);
    assert!(min > 100 && !dir.path().join("consumequeue/T/0/00000000000000000000").exists());
    assert_eq!(read_all(&store, &queue), (min as u8..200).map(|i| vec![i]).collect::<Vec<_>>());
    assert_eq!(pull(&store, &queue, 3).0.status, PullStatus::OffsetTooSmall);
    store.remove_expired(i64::MAX / 2, 100).unwrap();
    assert!(store.min_phy() <= store.written(), "the last file stays");
    store.append(&queue, &draft(&queue, b"x")).unwrap();
    drop(store);
    let store = start(small(dir.path()));
    assert_eq!(store.queue("T", 0).max_offset(), 201);
}

/// More queues than descriptors, and enough of them that the file system is synced as a whole.
#[test]
fn many_queues_share_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    options.open_queue_files_max = 10;
    options.commitlog_file_bytes = 1 << 20;
    options.queue_tail_bytes_max = 4096;
    let store = start(options.clone());
    let queues: Vec<_> = (0..300).map(|i| store.queue("T", i)).collect();
    let round = |n: u8| {
        for queue in &queues {
            store.append(queue, &draft(queue, &[n])).unwrap();
        }
        store.flush().unwrap();
        store.save_queues().unwrap();
        store.housekeep();
        store.housekeep();
        store.housekeep();
    };
    (0..3).for_each(round);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter(|fd| {
        let target = std::fs::read_link(fd.as_ref().unwrap().path()).unwrap_or_default();
        target.starts_with(dir.path().join("consumequeue"))
    });
    assert!(open.count() <= 10);
    for queue in &queues {
        assert_eq!(read_all(&store, queue), [[0], [1], [2]]);
    }
    drop(store);
    let store = start(options);
    assert_eq!(store.recovered().dispatched, 0);
    assert_eq!(read_all(&store, &store.queue("T", 299)), [[0], [1], [2]]);
}
