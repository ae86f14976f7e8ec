//! What the shadow makes of a directory when the power has gone.

use std::fs::{self, File};
use std::os::unix::fs::{DirEntryExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PAGE: usize = 4096;

/// What becomes of what was not fsynced.
#[derive(Debug, Clone, Copy)]
pub enum Left {
    /// It is gone.
    Dropped,
    /// Each page, each length and each directory is the old or the new one, as this seed has it.
    Torn(u64),
}

/// A directory, and what of it is durable.
pub struct Disk {
    shadow: PathBuf,
    /// Open files, so that their inode numbers mean nothing else meanwhile.
    _pins: Vec<File>,
}

impl Disk {
    /// All that is in `dir` now is durable.
    pub fn of(dir: &Path, shadow: &Path) -> Disk {
        fs::create_dir(shadow).unwrap();
        let mut pins = Vec::new();
        let mut dirs = vec![dir.to_path_buf()];
        while let Some(dir) = dirs.pop() {
            let mut names = String::new();
            for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
                names += &format!("{} {}\n", entry.ino(), entry.file_name().to_str().unwrap());
                if entry.file_type().unwrap().is_dir() {
                    dirs.push(entry.path());
                } else {
                    // Read and written, so that the copy has a mode of its own.
                    fs::write(
                        shadow.join(format!("f-{}", entry.ino())),
                        fs::read(entry.path()).unwrap(),
                    )
                    .unwrap();
                    pins.push(File::open(entry.path()).unwrap());
                }
            }
            let ino = fs::metadata(&dir).unwrap().ino();
            fs::write(shadow.join(format!("d-{ino}")), names).unwrap();
            pins.push(File::open(&dir).unwrap());
        }
        Disk {
            shadow: shadow.to_path_buf(),
            _pins: pins,
        }
    }

    /// Has a process tell what it makes durable in `dir`.
    pub fn preload(&self, command: &mut Command, dir: &Path) {
        command
            .env("LD_PRELOAD", library())
            .env("WENGU_SHADOW", &self.shadow)
            .env("WENGU_SHADOW_OF", dir);
    }

    /// Makes `to` what would be found in `dir` after the power cut.
    pub fn after(&self, dir: &Path, to: &Path, left: Left) {
        fs::create_dir(to).unwrap();
        let mut dice = Dice(match left {
            Left::Dropped => 0,
            Left::Torn(seed) => seed | 1,
        });
        self.directory(fs::metadata(dir).unwrap().ino(), dir, to, &mut dice);
        fs::remove_dir_all(&self.shadow).unwrap();
    }

    /// `live` is where the directory was before, if it is known.
    fn directory(&self, ino: u64, live: &Path, to: &Path, dice: &mut Dice) {
        let durable = fs::read_to_string(self.shadow.join(format!("d-{ino}"))).unwrap_or_default();
        let durable = durable.lines().map(|line| line.split_once(' ').unwrap());
        let mut names: Vec<(u64, String)> = durable.map(|(ino, name)| (ino.parse().unwrap(), name.into())).collect();
        let now = fs::read_dir(live).map(|entries| {
            let named = |e: fs::DirEntry| (e.ino(), e.file_name().to_str().unwrap().to_string());
            entries.map(|e| named(e.unwrap())).collect::<Vec<_>>()
        });
        if let Ok(now) = now
            && dice.throw()
        {
            names = now;
        }
        for (ino, name) in names {
            let (live, to) = (live.join(&name), to.join(&name));
            let now = fs::metadata(&live).ok().filter(|metadata| metadata.ino() == ino);
            let is_dir = now
                .as_ref()
                .map_or(self.shadow.join(format!("d-{ino}")).exists(), |m| m.is_dir());
            if is_dir {
                fs::create_dir(&to).unwrap();
                self.directory(ino, &live, &to, dice);
                continue;
            }
            let durable = fs::read(self.shadow.join(format!("f-{ino}"))).unwrap_or_default();
            let bytes = match &now {
                Some(_) => torn(durable, &fs::read(&live).unwrap(), dice),
                None => durable,
            };
            fs::write(&to, bytes).unwrap();
            if let Some(now) = now {
                fs::set_permissions(&to, fs::Permissions::from_mode(now.mode())).unwrap();
            }
        }
    }
}

fn torn(durable: Vec<u8>, now: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = durable;
    if dice.throw() {
        bytes.resize(now.len(), 0);
    }
    for (page, new) in bytes.chunks_mut(PAGE).zip(now.chunks(PAGE)) {
        if page.len() <= new.len() && dice.throw() {
            page.copy_from_slice(&new[..page.len()]);
        }
    }
    bytes
}

/// xorshift64; 0 never throws anything.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 & 1 == 1
    }
}

/// `shadow.c`, compiled once per process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/shadow.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shadow-{}.so", std::process::id()));
        let compiled = Command::new("cc")
            .args([
                "-O1",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-Wno-format-truncation",
                "-shared",
                "-fPIC",
                "-o",
            ])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        assert!(compiled.unwrap().success(), "{} does not compile", source.display());
        library
    })
}
