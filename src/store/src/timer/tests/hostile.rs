//! The timer's files under damage of every kind: a start refuses, or goes on. Nothing comes early; what a whole file took with
//! it is found again in the log and the topic; a flipped bit takes no more than the messages of its slot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::*;

const MESSAGES: u64 = 40;

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Harm {
    Remove,
    Empty,
    Half,
    OneByteLess,
    OnePageMore,
    Zeros,
    /// The second half of what is not 0.
    ZerosBehind,
    /// Bytes of something else.
    Foreign,
    /// Another file of the timer's.
    Swap,
    /// A folder of that name.
    Folder,
    /// A bit of the byte at so many sixteenths of those that are not 0.
    Flip(usize),
}

fn harms() -> Vec<Harm> {
    use Harm::*;
    let whole = [Remove, Empty, Half, OneByteLess, OnePageMore, Zeros, ZerosBehind, Foreign, Swap, Folder];
    whole.into_iter().chain((0..16).map(Flip)).collect()
}

/// Messages due over 40 s, some of which go around, 12 s of which are over; stopped cleanly.
fn make(root: &Path) -> World {
    let mut world = World { now_ms: START_MS, ..World::default() };
    let mut timer = open(root, &mut world);
    for id in 0..MESSAGES {
        let slot_ms = START_MS + 5_000 + (id * 7 % MESSAGES) as i64 * 1_000;
        world.append(Entry::Timer { id, slot_ms, cancels: None, rolls: 0 });
    }
    for _ in 0..12 {
        settle(&mut timer, &mut world);
        world.now_ms += 1_000;
    }
    world.flushed = world.log.len();
    timer.close(world.now_ms, &mut world).unwrap();
    world
}

/// Copies what is not 0: the wheel is 37 MiB of zeros nearly all over.
fn write(path: &Path, bytes: &[u8]) {
    let file = fs::File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (i, page) in bytes.chunks(4096).enumerate().filter(|(_, page)| page.iter().any(|b| *b != 0)) {
        file.write_all_at(page, i as u64 * 4096).unwrap();
    }
}

fn apply(path: &Path, bytes: &[u8], other: &[u8], harm: Harm) {
    let used: Vec<usize> = bytes.iter().enumerate().filter(|(_, b)| **b != 0).map(|(i, _)| i).collect();
    let mut bytes = bytes.to_vec();
    match harm {
        Harm::Remove => return,
        Harm::Folder => return fs::create_dir(path).unwrap(),
        Harm::Empty => bytes.clear(),
        Harm::Half => bytes.truncate(bytes.len() / 2),
        Harm::OneByteLess => bytes.truncate(bytes.len() - 1),
        Harm::OnePageMore => bytes.resize(bytes.len() + 4096, 0),
        Harm::Zeros => bytes.fill(0),
        Harm::ZerosBehind => bytes[used[used.len() / 2]..].fill(0),
        Harm::Foreign => bytes.iter_mut().enumerate().for_each(|(i, b)| *b = (i * 7 + i / 256) as u8 | 1),
        Harm::Swap => bytes = other.to_vec(),
        Harm::Flip(at) => bytes[used[used.len() * at / 16]] ^= 0x10,
    }
    write(path, &bytes);
}

/// What is against the rule.
fn judge(root: &Path, mut world: World, harm: Harm) -> Option<String> {
    world.flushed = world.log.len();
    let mut timer = Timer::open(options(root), world.now_ms, &mut world).ok()?;
    world.learn(timer.delivered_from());
    for _ in 0..90 {
        settle(&mut timer, &mut world);
        world.now_ms += 1_000;
    }
    // Each has a slot of its own.
    let lost: Vec<_> = (0..MESSAGES).filter(|id| !world.delivered.contains_key(id)).collect();
    let allowed = if matches!(harm, Harm::Flip(_)) { 1 } else { 0 };
    (lost.len() > allowed).then(|| format!("lost {lost:?}"))
}

#[test]
fn damaged_files_make_nothing_early_and_lose_nothing() {
    let origin = tempfile::tempdir().unwrap();
    let world = make(origin.path());
    let mut files: Vec<PathBuf> = vec!["timerwheel".into(), "config/timercheck".into()];
    let logs = fs::read_dir(origin.path().join("timerlog")).unwrap();
    let mut logs: Vec<_> = logs.map(|e| Path::new("timerlog").join(e.unwrap().file_name())).collect();
    logs.sort();
    files.extend(logs);
    let all: Vec<Vec<u8>> = files.iter().map(|f| fs::read(origin.path().join(f)).unwrap()).collect();
    assert!(files.len() >= 5, "{files:?}");
    let mut wrong = Vec::new();
    for (i, name) in files.iter().enumerate() {
        for harm in harms() {
            let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            for folder in ["config", "timerlog"] {
                fs::create_dir(dir.path().join(folder)).unwrap();
            }
            for (file, bytes) in files.iter().zip(&all).filter(|(file, _)| *file != name) {
                write(&dir.path().join(file), bytes);
            }
            // The first and the last of the log; the wheel and the checkpoint.
            let other = &all[[1, 0, files.len() - 1, 2][i.min(3)]];
            apply(&dir.path().join(name), &all[i], other, harm);
            let said = catch_unwind(AssertUnwindSafe(|| judge(dir.path(), world.clone(), harm)));
            let said = said.unwrap_or_else(|p| {
                Some(format!("panics: {:?}", p.downcast_ref::<String>().cloned().unwrap_or_default()))
            });
            wrong.extend(said.map(|what| format!("{} {harm:?}: {what}", name.display())));
        }
    }
    assert!(wrong.is_empty(), "{} break the rule:\n{}", wrong.len(), wrong.join("\n"));
}
