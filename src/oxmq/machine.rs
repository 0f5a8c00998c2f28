//! What of this machine an operator should hear about at start: limits that will hurt later, each with its fix.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors below which a broker with many clients and queues runs out.
const OPEN_FILES_MIN: u64 = 65_535;
/// The kernel's own default; each file of the log is one mapping.
const MAPPINGS_MIN: u64 = 65_530;
/// Memory, page cache included, below which reads soon come from the disk.
const MEMORY_MIN: u64 = 1 << 30;

/// Raises the soft limit of open files to the hard one, then tells what is low; one sentence each.
pub fn warnings() -> Vec<String> {
    let files = raise_open_files();
    let mappings = read_number(Path::new("/proc/sys/vm/max_map_count"));
    judge(files, mappings, memory_limit(Path::new("/")))
}

/// The limit in force afterwards; `None` where it is unlimited.
fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            return limit.maximum;
        }
    }
    limit.current
}

fn judge(files: Option<u64>, mappings: Option<u64>, memory: Option<u64>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(files) = files.filter(|f| *f < OPEN_FILES_MIN) {
        warnings.push(format!(
            "this process may open only {files} files; set `ulimit -n 655350` (systemd: LimitNOFILE=655350, docker: \
             --ulimit nofile=655350)"
        ));
    }
    if let Some(mappings) = mappings.filter(|m| *m < MAPPINGS_MIN) {
        warnings
            .push(format!("vm.max_map_count is only {mappings}; set `sysctl -w vm.max_map_count=655360`"));
    }
    if let Some(memory) = memory.filter(|m| *m < MEMORY_MIN) {
        warnings.push(format!(
            "the container limits memory to {} MiB, page cache included: older messages will be read from the disk; \
             raise it (docker: -m 2g, Kubernetes: resources.limits.memory)",
            memory >> 20
        ));
    }
    warnings
}

/// The memory limit of the control group that this process is in, version 2 or 1; `None` where there is none.
fn memory_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let base = root.join("sys/fs/cgroup");
    let mut lowest = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (folder, file) = match controllers {
            "" => (base.clone(), "memory.max"),
            c if c.split(',').any(|c| c == "memory") => (base.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        // Inside of a container the path is often that of the host: then the limit lies at the mount's top.
        let own = folder.join(path);
        let mut at = Some(if own.is_dir() { own.as_path() } else { folder.as_path() });
        while let Some(group) = at.filter(|group| group.starts_with(&folder)) {
            let limit = read_number(&group.join(file)).filter(|limit| *limit < 1 << 60);
            lowest = [lowest, limit].into_iter().flatten().min();
            at = group.parent();
        }
    }
    lowest
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_only_of_what_is_low_and_how_to_mend_it() {
        assert!(judge(Some(1 << 20), Some(65_530), Some(4 << 30)).is_empty());
        assert!(judge(None, None, None).is_empty());
        let warnings = judge(Some(1024), Some(1000), Some(256 << 20));
        for (warning, words) in warnings.iter().zip([
            "only 1024 files; set `ulimit -n",
            "max_map_count is only 1000",
            "memory to 256 MiB",
        ]) {
            assert!(warning.contains(words), "{warning}");
        }
        assert_eq!(warnings.len(), 3);
    }

    /// The lowest limit on the way up counts, in both versions of control groups.
    #[test]
    fn finds_the_memory_limit_of_the_control_group() {
        for (cgroup, files, limit) in [
            ("0::/a/b\n", &[("a/b/memory.max", "max"), ("a/memory.max", "1000")][..], Some(1000)),
            ("0::/not/here\n", &[("memory.max", "77")], Some(77)),
            ("0::/\n", &[("memory.max", "max")], None),
            ("5:cpu:/x\n4:hugetlb,memory:/d\n", &[("memory/d/memory.limit_in_bytes", "2000")], Some(2000)),
            ("4:memory:/\n", &[("memory/memory.limit_in_bytes", "9223372036854771712")], None),
            ("nonsense\n", &[], None),
        ] {
            let root = tempfile::tempdir().expect("temporary folder");
            let write = |path: &str, text: &str| {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().expect("has a folder")).expect("creates");
                fs::write(path, text).expect("writes");
            };
            write("proc/self/cgroup", cgroup);
            for (file, text) in files {
                write(&format!("sys/fs/cgroup/{file}"), text);
            }
            assert_eq!(memory_limit(root.path()), limit, "{cgroup}");
        }
    }

    #[test]
    fn raises_the_limit_of_open_files() {
        raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
