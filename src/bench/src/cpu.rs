//! CPU time and memory of another process, from /proc.

use std::fs;

use anyhow::Context;

/// Nanoseconds that the threads of `pid` have run; user and kernel time together.
pub fn run_ns(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    let tasks = format!("/proc/{pid}/task");
    for task in fs::read_dir(&tasks).with_context(|| format!("read {tasks}"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        sum += text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// Kilobytes of anonymous memory of `pid`: what is its own, without mapped files.
pub fn anonymous_kb(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(field_kb(&text, "RssAnon:"))
}

/// Megabytes that programs may still take without swapping; 0 where the system doesn't say.
pub fn available_mb() -> usize {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    field_kb(&text, "MemAvailable:") as usize / 1024
}

fn field_kb(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("0");
    value.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
