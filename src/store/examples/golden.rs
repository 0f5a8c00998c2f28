//! Compares folders that Apache's store classes wrote with what ours writes of the same messages. `compat-tests/store/run`
//! makes them and calls this.
//!
//! ```text
//! golden DIR          writes DIR/CASE/oxmq, oxmq-again, oxmq-went-on, oxmq-killed, oxmq-recovered beside
//!                     DIR/CASE/apache, and compares
//! golden --after DIR  compares once more, when Apache's classes have opened and stopped all of them, and what both answer
//! ```
#![allow(clippy::unwrap_used, missing_docs, reason = "a test's other half")]

#[path = "../tests/golden/replay.rs"]
mod replay;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use replay::{Case, What, answers, compare, copy_dir, forget_queues};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--fill", dir, root] => fill_and_wait(Path::new(dir), Path::new(root)),
        ["--after", dir] => run(Path::new(dir), true),
        [dir] => run(Path::new(dir), false),
        _ => {
            eprintln!("golden [--after] DIR");
            ExitCode::from(2)
        }
    }
}

/// Until somebody kills it.
fn fill_and_wait(dir: &Path, root: &Path) -> ExitCode {
    let _store = Case::load(dir).fill(root);
    println!("filled");
    let _ = std::io::stdin().read(&mut [0]);
    ExitCode::FAILURE
}

fn fill_and_kill(dir: &Path, root: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--fill".as_ref(), dir.as_os_str(), root.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "filled\n");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn run(dir: &Path, after: bool) -> ExitCode {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    cases.retain(|c| c.join("script.json").exists());
    cases.sort();
    // Side by side, since most of it is waiting for syncs; a trimmed case is made from another one.
    let (trimmed, whole): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|c| c.to_string_lossy().ends_with("-trimmed"));
    let mut failed = false;
    for cases in [whole, trimmed] {
        std::thread::scope(|scope| {
            let all: Vec<_> = cases.iter().map(|dir| scope.spawn(|| check(dir, after))).collect();
            failed |= all.into_iter().fold(false, |failed, one| one.join().unwrap() | failed);
        });
    }
    ExitCode::from(u8::from(failed))
}

/// One case. True when something differs.
fn check(dir: &Path, after: bool) -> bool {
    let case = Case::load(dir);
    let mut failed = false;
    let of = dir.file_name().unwrap().display();
    for name in ["oxmq", "oxmq-again", "oxmq-went-on", "oxmq-killed", "oxmq-recovered"] {
        let root = dir.join(name);
        if !after && !write(&case, name, &root) || after && !root.exists() {
            continue;
        }
        let what = match name {
            "oxmq-killed" if after => What::Unindexed,
            _ if after && halted(dir) => What::Unindexed,
            _ if after => What::Files,
            "oxmq-killed" => What::Killed,
            "oxmq-recovered" => What::Files,
            _ if halted(dir) => What::Files,
            _ => What::Stopped,
        };
        let differences = compare(&case.apache(), &root, what);
        failed |= !differences.is_empty();
        let verdict = if differences.is_empty() { "as Apache's" } else { "differs" };
        println!("{of}/{name}: {verdict}");
        differences.iter().for_each(|d| println!("  {of}/{name}: {d}"));
    }
    if after {
        let lines = std::fs::read_to_string(dir.join("apache.txt")).unwrap();
        let (store, _) = case.open(&dir.join("oxmq"), i64::from(u32::MAX) * 1000);
        let differences = answers(&store, &lines);
        failed |= !differences.is_empty();
        println!("{of}: {} of our store's answers differ", differences.len());
        differences.iter().take(20).for_each(|d| println!("  {of}: {d}"));
    }
    failed
}

/// Apache's process was halted; its classes have stopped the folder meanwhile, so that only the name tells.
fn halted(case: &Path) -> bool {
    case.file_name().is_some_and(|name| name.to_string_lossy().starts_with("halted"))
}

/// Writes a folder of ours. False where the case has none of that name.
fn write(case: &Case, name: &str, root: &Path) -> bool {
    let trimmed = case.dir.to_str().unwrap().strip_suffix("-trimmed").map(Path::new);
    match (name, trimmed) {
        ("oxmq", None) => case.fill(root).shutdown().unwrap(),
        ("oxmq", Some(whole)) => {
            copy_dir(&whole.join("oxmq"), root);
            forget_queues(root);
            let mut logs: Vec<_> =
                std::fs::read_dir(root.join("commitlog")).unwrap().map(|e| e.unwrap().path()).collect();
            logs.sort();
            logs.iter().take(3).for_each(|log| std::fs::remove_file(log).unwrap());
            case.pass(root);
        }
        ("oxmq-again", _) => {
            copy_dir(&case.dir.join("oxmq"), root);
            forget_queues(root);
            case.pass(root);
        }
        ("oxmq-went-on", _) => {
            copy_dir(&case.apache(), root);
            case.pass(root);
        }
        ("oxmq-killed", None) => fill_and_kill(&case.dir, root),
        ("oxmq-recovered", None) => {
            copy_dir(&case.dir.join("oxmq-killed"), root);
            case.pass(root);
        }
        _ => return false,
    }
    true
}
