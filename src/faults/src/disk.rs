//! Disks that can be cut off and filled up: file systems on loop devices and in memory. All of it is undone when dropped.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// Why a scenario cannot run here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unable(pub String);

fn run(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let out = Command::new(program).args(args).output().with_context(|| format!("run {program}"))?;
    if !out.status.success() {
        bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// `run` for what an ordinary user may not do: the scenario is skipped then.
fn privileged(program: &str, args: &[&str]) -> anyhow::Result<String> {
    run(program, args).map_err(|e| Unable(format!("needs root and {program}: {e}")).into())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

/// A file system in memory.
pub struct Tmpfs {
    pub dir: PathBuf,
}

impl Tmpfs {
    pub fn mount(dir: &Path, megabytes: u64) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let size = format!("size={megabytes}m");
        privileged("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", text(dir)?])?;
        Ok(Self { dir: dir.to_path_buf() })
    }

    /// Bytes that are free.
    pub fn free(&self) -> anyhow::Result<u64> {
        let out = run("df", &["--output=avail", "-B1", text(&self.dir)?])?;
        Ok(out.lines().last().unwrap_or_default().trim().parse()?)
    }

    /// Fills it up to so many bytes.
    pub fn fill(&self, leave: u64) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(self.dir.join("filler"))?;
        let chunk = vec![0xA5; 256 << 10];
        let mut rest = self.free()?.saturating_sub(leave);
        while rest > 0 {
            let n = rest.min(chunk.len() as u64) as usize;
            if file.write_all(&chunk[..n]).is_err() {
                break;
            }
            rest -= n as u64;
        }
        Ok(())
    }

    pub fn empty(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.dir.join("filler"))?)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(&self.dir);
    }
}

fn unmount(dir: &Path) {
    if let Ok(dir) = text(dir)
        && run("umount", &[dir]).is_err()
    {
        let _ = run("umount", &["-l", dir]);
    }
}

/// A file system that is cut off or filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fs {
    Ext4,
    /// Without a journal, a failed write-back harms the data alone.
    #[value(skip)]
    Ext4NoJournal,
    Xfs,
}

/// A file system in a file, on a loop device.
pub struct Image {
    device: String,
    pub dir: PathBuf,
    mounted: bool,
}

impl Image {
    /// Makes it in the sparse file `image`.
    pub fn make(image: &Path, dir: &Path, megabytes: u64, fs: Fs) -> anyhow::Result<Self> {
        let _ = std::fs::remove_file(image);
        std::fs::File::create(image)?.set_len(megabytes << 20)?;
        let (program, args) = match fs {
            Fs::Ext4 => ("mkfs.ext4", "-q -F -E lazy_itable_init=1,nodiscard"),
            Fs::Ext4NoJournal => ("mkfs.ext4", "-q -F -E lazy_itable_init=1,nodiscard -O ^has_journal"),
            Fs::Xfs => ("mkfs.xfs", "-q -f -K"),
        };
        privileged(program, &args.split(' ').chain([text(image)?]).collect::<Vec<_>>())?;
        std::fs::create_dir_all(dir)?;
        let device = privileged("losetup", &["--find", "--show", text(image)?])?;
        let mut made = Self { device, dir: dir.to_path_buf(), mounted: false };
        made.one_page_a_request()?;
        made.mount()?;
        Ok(made)
    }

    /// Linux's loop driver (6.18) takes a write of which the file beneath took only a part for done: fsync says all is well, and
    /// half of it is gone. No broker can know. With a page a request each is taken or fails as a whole, as on a disk.
    fn one_page_a_request(&self) -> anyhow::Result<()> {
        let name = self.device.trim_start_matches("/dev/");
        let path = format!("/sys/block/{name}/queue/max_sectors_kb");
        std::fs::write(&path, "4").map_err(|e| Unable(format!("needs {path}: {e}")).into())
    }

    fn mount(&mut self) -> anyhow::Result<()> {
        privileged("mount", &["-o", "noatime", &self.device, text(&self.dir)?])?;
        self.mounted = true;
        Ok(())
    }

    /// Makes ready to cut the power at a moment's notice.
    pub fn cutter(&self) -> anyhow::Result<Cutter> {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH; XFS_IOC_GOINGDOWN is the same.
        let program = "import fcntl,os,struct,sys\nfd=os.open(sys.argv[1],os.O_RDONLY)\nprint('ready',flush=True)\n\
                       sys.stdin.readline()\nfcntl.ioctl(fd,0x8004587D,struct.pack('I',2))\nprint('cut',flush=True)";
        let child = Command::new("python3")
            .args(["-c", program, text(&self.dir)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Unable(format!("needs python3: {e}")))?;
        let mut cutter = Cutter { child };
        cutter.expect("ready")?;
        Ok(cutter)
    }

    /// The power is back, or the disk is: what is on it is read anew. Nobody may use it.
    pub fn again(&mut self) -> anyhow::Result<()> {
        let dir = text(&self.dir)?.to_owned();
        let mut tries = 0;
        while let Err(error) = run("umount", &[&dir]) {
            tries += 1;
            if tries > 50 {
                return Err(error);
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        self.mounted = false;
        let _ = run("blockdev", &["--flushbufs", &self.device]);
        self.mount()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted {
            unmount(&self.dir);
        }
        let _ = run("losetup", &["--detach", &self.device]);
    }
}

/// Cuts a file system's power.
pub struct Cutter {
    child: Child,
}

impl Cutter {
    fn expect(&mut self, word: &str) -> anyhow::Result<()> {
        let out = self.child.stdout.as_mut().context("no pipe")?;
        let mut said = vec![0; word.len() + 1];
        let read = out.read_exact(&mut said);
        if read.is_err() || !said.starts_with(word.as_bytes()) {
            return Err(Unable("needs EXT4_IOC_SHUTDOWN".into()).into());
        }
        Ok(())
    }

    /// The power goes: nothing reaches the disk any more, not even what is under way.
    pub fn cut(mut self) -> anyhow::Result<()> {
        self.child.stdin.as_mut().context("no pipe")?.write_all(b"\n")?;
        self.expect("cut")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
