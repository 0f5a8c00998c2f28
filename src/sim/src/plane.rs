//! What is durable. The live folder holds what the program sees; beside it stands, for each file and folder, what
//! the disk would have after a power cut.
//!
//! - A file's page becomes durable when the file or that range is synced, or early, by write-back, in any order.
//! - A file's length becomes durable with a sync of the file, or early.
//! - An entry of a folder (made, renamed, removed) becomes durable with a sync of that folder, or early, in any order;
//!   but one name's changes keep their order, and a rename is one change.
//! - A page that a failed sync dropped counts as clean: it becomes durable only once it is written to again (Linux).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::rng::Rng;

/// Bytes that are written back as one.
pub const PAGE: usize = 4096;
/// Bytes that a power cut leaves whole: all of them old or all of them new.
pub const SECTOR: usize = 512;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A file, by its number.
    File(usize),
    /// A folder, by its number.
    Dir(usize),
}

type Entries = BTreeMap<String, Node>;

/// The root's number.
const ROOT: usize = 0;

struct FileNode {
    /// The live content, also when no name is left.
    live: File,
    disk: Disk,
    /// Pages that a failed sync dropped, as they were then.
    lost: BTreeMap<usize, Vec<u8>>,
}

/// A file's durable content. Bytes of `data` behind `len` are on the disk, but not in the file yet.
#[derive(Debug, Clone, Default)]
struct Disk {
    data: Vec<u8>,
    len: usize,
}

impl Disk {
    fn page(&self, page: usize) -> &[u8] {
        slice(&self.data, page)
    }

    fn write(&mut self, page: usize, bytes: &[u8]) {
        let at = page * PAGE;
        if self.data.len() < at + bytes.len() {
            self.data.resize(at + bytes.len(), 0);
        }
        self.data[at..at + bytes.len()].copy_from_slice(bytes);
        // A page is written whole: zeros behind the file's end.
        let rest = (at + PAGE).min(self.data.len());
        self.data[at + bytes.len()..rest].fill(0);
    }

    fn set_len(&mut self, len: usize) {
        if len < self.len {
            self.data.truncate(len);
        }
        self.len = len;
    }
}

fn slice(bytes: &[u8], page: usize) -> &[u8] {
    let from = (page * PAGE).min(bytes.len());
    &bytes[from..(from + PAGE).min(bytes.len())]
}

/// Equal, with zeros behind the shorter one.
fn same(a: &[u8], b: &[u8]) -> bool {
    let n = a.len().min(b.len());
    a[..n] == b[..n] && a[n..].iter().chain(&b[n..]).all(|x| *x == 0)
}

#[derive(Default)]
struct DirNode {
    live: Entries,
    disk: Entries,
}

/// Entries that change as one.
#[derive(Debug, Clone)]
struct Change(Vec<(usize, String, Option<Node>)>);

impl Change {
    fn touches(&self, other: &Change) -> bool {
        self.0.iter().any(|(dir, name, _)| other.0.iter().any(|(d, n, _)| d == dir && n == name))
    }
}

/// The durable plane of one live folder.
pub struct Plane {
    root: PathBuf,
    files: Vec<FileNode>,
    dirs: Vec<DirNode>,
    /// Entries changed and not yet durable, oldest first.
    pending: Vec<Change>,
}

/// What a power cut left: a folder that can be made anew.
#[derive(Debug, Clone, Default)]
pub struct Image {
    dirs: Vec<Entries>,
    files: BTreeMap<usize, Vec<u8>>,
}

/// How much of what was not synced a power cut leaves.
#[derive(Debug, Clone, Copy)]
pub struct Luck {
    /// Of four dirty pages so many are on the disk.
    pub pages: usize,
    /// Of four of those so many are torn.
    pub torn: usize,
    /// Of four pending changes of entries so many are on the disk.
    pub entries: usize,
    /// Entries went to the disk in their order, as with a journal.
    pub ordered: bool,
}

impl Luck {
    /// Often nothing or all of it, else some.
    pub fn draw(rng: &mut Rng) -> Self {
        let share = |rng: &mut Rng| *rng.pick(&[0, 0, 1, 2, 2, 3, 4]);
        Self {
            pages: share(rng),
            torn: *rng.pick(&[0, 0, 1, 2, 4]),
            entries: share(rng),
            ordered: rng.chance(1, 3),
        }
    }
}

impl Plane {
    /// An empty folder at `root`, which is made.
    pub fn empty(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.into(), files: Vec::new(), dirs: vec![DirNode::default()], pending: Vec::new() })
    }

    /// Makes the image's folder at `root`: all of it is durable.
    pub fn from_image(root: &Path, image: &Image) -> io::Result<Self> {
        let mut plane = Self::empty(root)?;
        let mut known = BTreeMap::new();
        plane.build(ROOT, root, ROOT, image, &mut known)?;
        Ok(plane)
    }

    fn build(
        &mut self,
        dir: usize,
        path: &Path,
        of: usize,
        image: &Image,
        known: &mut BTreeMap<usize, (usize, PathBuf)>,
    ) -> io::Result<()> {
        for (name, node) in &image.dirs[of] {
            let path = path.join(name);
            let node = match node {
                Node::Dir(of) => {
                    fs::create_dir(&path)?;
                    self.dirs.push(DirNode::default());
                    let made = self.dirs.len() - 1;
                    self.build(made, &path, *of, image, known)?;
                    Node::Dir(made)
                }
                Node::File(of) => match known.get(of) {
                    Some((made, first)) => {
                        fs::hard_link(first, &path)?;
                        Node::File(*made)
                    }
                    None => {
                        let bytes = image.files.get(of).cloned().unwrap_or_default();
                        let live = File::options().read(true).write(true).create_new(true).open(&path)?;
                        live.set_len(bytes.len() as u64)?;
                        for (page, chunk) in bytes.chunks(PAGE).enumerate() {
                            if chunk.iter().any(|b| *b != 0) {
                                live.write_all_at(chunk, (page * PAGE) as u64)?;
                            }
                        }
                        let disk = Disk { len: bytes.len(), data: bytes };
                        self.files.push(FileNode { live, disk, lost: BTreeMap::new() });
                        let made = self.files.len() - 1;
                        known.insert(*of, (made, path));
                        Node::File(made)
                    }
                },
            };
            self.dirs[dir].live.insert(name.clone(), node);
            self.dirs[dir].disk.insert(name.clone(), node);
        }
        Ok(())
    }

    /// `path` below the root, as names.
    fn names<'a>(&self, path: &'a Path) -> io::Result<Vec<&'a str>> {
        let below = path.strip_prefix(&self.root).map_err(|_| other(path, "lies outside of the disk"))?;
        below.iter().map(|n| n.to_str().ok_or_else(|| other(path, "is no text"))).collect()
    }

    /// True for what lies not in the folder: nothing there is ever lost.
    pub fn is_outside(&self, path: &Path) -> bool {
        !path.starts_with(&self.root)
    }

    fn find_names(&self, names: &[&str]) -> Option<Node> {
        let mut node = Node::Dir(ROOT);
        for name in names {
            let Node::Dir(dir) = node else { return None };
            node = *self.dirs[dir].live.get(*name)?;
        }
        Some(node)
    }

    /// What lies at `path` for the program.
    pub fn find(&self, path: &Path) -> io::Result<Node> {
        self.find_names(&self.names(path)?).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The file at `path`.
    pub fn file(&self, path: &Path) -> io::Result<usize> {
        match self.find(path)? {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// The folder of `path` and its name in it.
    fn place(&self, path: &Path) -> io::Result<(usize, String)> {
        let names = self.names(path)?;
        let (name, above) = names.split_last().ok_or_else(|| other(path, "is the root"))?;
        match self.find_names(above) {
            Some(Node::Dir(dir)) => Ok((dir, (*name).to_owned())),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change(&mut self, change: Change) {
        for (dir, name, node) in &change.0 {
            set(&mut self.dirs[*dir].live, name, *node);
        }
        self.pending.push(change);
    }

    /// Folders that miss on the way to `dir`, outermost first.
    pub fn missing(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let names = self.names(dir)?;
        let known = (0..=names.len()).rev().find(|n| self.find_names(&names[..*n]).is_some()).unwrap_or(0);
        Ok((known + 1..=names.len())
            .map(|n| names[..n].iter().fold(self.root.clone(), |p, n| p.join(n)))
            .collect())
    }

    /// A folder was made.
    pub fn made_dir(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        self.dirs.push(DirNode::default());
        self.change(Change(vec![(dir, name, Some(Node::Dir(self.dirs.len() - 1)))]));
        Ok(())
    }

    /// A file was made.
    pub fn made_file(&mut self, path: &Path) -> io::Result<usize> {
        let (dir, name) = self.place(path)?;
        let live = File::options().read(true).write(true).open(path)?;
        self.files.push(FileNode { live, disk: Disk::default(), lost: BTreeMap::new() });
        let file = self.files.len() - 1;
        self.change(Change(vec![(dir, name, Some(Node::File(file)))]));
        Ok(file)
    }

    /// A file got a second name.
    pub fn linked(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (dir, name) = self.place(to)?;
        self.change(Change(vec![(dir, name, Some(node))]));
        Ok(())
    }

    /// A name was changed.
    pub fn renamed(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let ((from_dir, from), (to_dir, to)) = (self.place(from)?, self.place(to)?);
        self.change(Change(vec![(from_dir, from, None), (to_dir, to, Some(node))]));
        Ok(())
    }

    /// A file or empty folder was removed.
    pub fn removed(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        self.change(Change(vec![(dir, name, None)]));
        Ok(())
    }

    /// Paths of what is in the folder at `path`: `true` for folders.
    pub fn entries(&self, path: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
        let Node::Dir(dir) = self.find(path)? else { return Err(io::ErrorKind::NotADirectory.into()) };
        let is_dir = |n: &Node| matches!(n, Node::Dir(_));
        Ok(self.dirs[dir].live.iter().map(|(name, n)| (path.join(name), is_dir(n))).collect())
    }

    /// Makes the changes at `chosen` durable, in their order, and all that came before them under the same names.
    fn settle(dirs: &mut [DirNode], pending: &mut Vec<Change>, chosen: &[bool]) {
        let mut due = chosen.to_vec();
        for i in (0..due.len()).rev() {
            if due[i] {
                for j in 0..i {
                    due[j] |= pending[j].touches(&pending[i]);
                }
            }
        }
        let mut i = 0;
        pending.retain(|change| {
            let now = due[i];
            i += 1;
            if now {
                change.0.iter().for_each(|(dir, name, node)| set(&mut dirs[*dir].disk, name, *node));
            }
            !now
        });
    }

    /// Makes the entries of the folder at `path` durable.
    pub fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let Node::Dir(dir) = self.find(path)? else { return Err(io::ErrorKind::NotADirectory.into()) };
        let chosen: Vec<_> = self.pending.iter().map(|c| c.0.iter().any(|(d, ..)| *d == dir)).collect();
        Self::settle(&mut self.dirs, &mut self.pending, &chosen);
        Ok(())
    }

    /// Makes everything durable.
    pub fn sync_all(&mut self) -> io::Result<()> {
        for file in 0..self.files.len() {
            self.sync_file(file)?;
        }
        let all = vec![true; self.pending.len()];
        Self::settle(&mut self.dirs, &mut self.pending, &all);
        Ok(())
    }

    fn live(&self, file: usize) -> io::Result<Vec<u8>> {
        let live = &self.files[file].live;
        let mut bytes = vec![0; live.metadata()?.len() as usize];
        live.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Pages that the disk does not have as the program sees them, and that the kernel would write.
    fn dirty(&self, file: usize, live: &[u8]) -> Vec<usize> {
        let node = &self.files[file];
        let pages = live.len().div_ceil(PAGE);
        let dirty = |page: &usize| {
            let now = slice(live, *page);
            !same(now, node.disk.page(*page)) && node.lost.get(page).is_none_or(|lost| lost != now)
        };
        (0..pages).filter(dirty).collect()
    }

    /// Makes data and length of the file durable.
    pub fn sync_file(&mut self, file: usize) -> io::Result<()> {
        let live = self.live(file)?;
        self.sync_pages(file, &live, |_| true);
        self.files[file].disk.set_len(live.len());
        Ok(())
    }

    /// Makes the pages of `from..to` durable.
    pub fn sync_range(&mut self, file: usize, from: u64, to: u64) -> io::Result<()> {
        let live = self.live(file)?;
        let (first, end) = (from as usize / PAGE, (to as usize).div_ceil(PAGE));
        self.sync_pages(file, &live, |page| (first..end).contains(&page));
        Ok(())
    }

    fn sync_pages(&mut self, file: usize, live: &[u8], which: impl Fn(usize) -> bool) {
        for page in self.dirty(file, live).into_iter().filter(|p| which(*p)) {
            let node = &mut self.files[file];
            node.disk.write(page, slice(live, page));
            node.lost.remove(&page);
        }
    }

    /// The program wrote these bytes: pages that were dropped are dirty again.
    pub fn wrote(&mut self, file: usize, from: u64, to: u64) {
        let (first, end) = (from as usize / PAGE, (to as usize).div_ceil(PAGE));
        self.files[file].lost.retain(|page, _| !(first..end).contains(page));
    }

    /// A sync of the file fails: some dirty pages get to the disk, some are dropped, some stay dirty.
    pub fn fail_sync(&mut self, file: usize, rng: &mut Rng) -> io::Result<()> {
        let live = self.live(file)?;
        let kind = rng.below(3);
        for page in self.dirty(file, &live) {
            let bytes = slice(&live, page);
            let node = &mut self.files[file];
            match if kind == 0 { 1 } else { rng.below(3) } {
                0 => node.disk.write(page, bytes),
                1 => drop(node.lost.insert(page, bytes.to_vec())),
                _ => {}
            }
        }
        Ok(())
    }

    /// The program's next look at the file is at the disk: pages that a failed sync dropped go back to what the disk has.
    pub fn drop_cache(&mut self, file: usize, from: u64) -> io::Result<()> {
        let live = self.live(file)?;
        let node = &mut self.files[file];
        for (page, lost) in node.lost.split_off(&(from as usize / PAGE)) {
            if lost != slice(&live, page) {
                continue;
            }
            let mut bytes = node.disk.page(page).to_vec();
            bytes.resize(lost.len(), 0);
            node.live.write_all_at(&bytes, (page * PAGE) as u64)?;
        }
        Ok(())
    }

    /// The kernel writes some of what is dirty, unasked.
    pub fn write_back(&mut self, rng: &mut Rng) -> io::Result<()> {
        if !self.pending.is_empty() && rng.chance(1, 3) {
            let chosen: Vec<_> = self.pending.iter().map(|_| rng.chance(1, 3)).collect();
            Self::settle(&mut self.dirs, &mut self.pending, &chosen);
        }
        if self.files.is_empty() {
            return Ok(());
        }
        // Newer files are the ones that change.
        let newest = self.files.len().min(16);
        let of = if rng.chance(1, 4) { self.files.len() } else { newest };
        let file = self.files.len() - 1 - rng.below(of);
        let live = self.live(file)?;
        for page in self.dirty(file, &live) {
            if rng.chance(1, 2) {
                let node = &mut self.files[file];
                node.disk.write(page, slice(&live, page));
                node.lost.remove(&page);
            }
        }
        if rng.chance(1, 2) {
            self.files[file].disk.set_len(live.len());
        }
        Ok(())
    }

    /// What a power cut leaves now.
    pub fn cut(&self, luck: Luck, rng: &mut Rng) -> io::Result<Image> {
        let mut dirs: Vec<_> =
            self.dirs.iter().map(|d| DirNode { live: Entries::new(), disk: d.disk.clone() }).collect();
        let mut pending = self.pending.clone();
        let mut chosen: Vec<_> = pending.iter().map(|_| rng.below(4) < luck.entries).collect();
        if luck.ordered {
            let n = rng.below(chosen.len() + 1);
            chosen.iter_mut().enumerate().for_each(|(i, c)| *c = i < n);
        }
        Self::settle(&mut dirs, &mut pending, &chosen);
        let dirs: Vec<Entries> = dirs.into_iter().map(|d| d.disk).collect();
        let mut image = Image { files: BTreeMap::new(), dirs };
        let mut open = vec![ROOT];
        let mut seen = Vec::new();
        while let Some(dir) = open.pop() {
            for node in image.dirs[dir].values() {
                match node {
                    Node::Dir(dir) => open.push(*dir),
                    Node::File(file) => seen.push(*file),
                }
            }
        }
        seen.sort_unstable();
        seen.dedup();
        for file in seen {
            image.files.insert(file, self.cut_file(file, luck, rng)?);
        }
        Ok(image)
    }

    fn cut_file(&self, file: usize, luck: Luck, rng: &mut Rng) -> io::Result<Vec<u8>> {
        let live = self.live(file)?;
        let mut disk = self.files[file].disk.clone();
        for page in self.dirty(file, &live) {
            if rng.below(4) >= luck.pages {
                continue;
            }
            let new = slice(&live, page);
            if rng.below(4) >= luck.torn {
                disk.write(page, new);
                continue;
            }
            let mut torn = new.to_vec();
            let old = disk.page(page).to_vec();
            // Often the first sectors only, as when they are written one after the other.
            let first = rng.chance(1, 2).then(|| rng.below(PAGE / SECTOR + 1));
            for (i, sector) in torn.chunks_mut(SECTOR).enumerate() {
                let written = first.map_or_else(|| rng.chance(1, 2), |n| i < n);
                if !written {
                    sector.fill(0);
                    let old = old.get(i * SECTOR..).unwrap_or_default();
                    let n = old.len().min(sector.len());
                    sector[..n].copy_from_slice(&old[..n]);
                }
            }
            disk.write(page, &torn);
        }
        if disk.len != live.len() && rng.below(4) < luck.entries {
            disk.set_len(live.len());
        }
        disk.data.resize(disk.len, 0);
        Ok(disk.data)
    }
}

fn set(entries: &mut Entries, name: &str, node: Option<Node>) {
    match node {
        Some(node) => drop(entries.insert(name.to_owned(), node)),
        None => drop(entries.remove(name)),
    }
}

fn other(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{} {what}", path.display()))
}
