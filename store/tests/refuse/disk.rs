//! A disk that refuses one operation of a process and its children (`refuse.c`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What the operation finds.
pub const HOWS: [&str; 3] = ["enospc", "eio", "short"];

/// The fault, and what came of it.
#[derive(Debug, Clone)]
pub struct Refusal {
    how: &'static str,
    at: u64,
    count: PathBuf,
}

impl Refusal {
    /// The `at`th operation fails; 0: none does. `count` is a file of its own, outside of the directory.
    pub fn new(how: &'static str, at: u64, count: PathBuf) -> Refusal {
        fs::write(&count, [0; 4096]).unwrap();
        Refusal { how, at, count }
    }

    /// Has it come over what a process does in `dir`.
    pub fn preload(&self, command: &mut Command, dir: &Path) {
        command
            .env("LD_PRELOAD", library())
            .env("WENGU_REFUSE_OF", dir)
            .env("WENGU_REFUSE_HOW", self.how)
            .env("WENGU_REFUSE_AT", self.at.to_string())
            .env("WENGU_REFUSE_COUNT", &self.count);
    }

    /// Operations so far.
    #[allow(dead_code, reason = "each test binary uses a part")]
    pub fn operations(&self) -> u64 {
        let bytes = fs::read(&self.count).unwrap();
        u64::from_ne_bytes(bytes[..8].try_into().unwrap())
    }

    /// The operation and the file that were refused, if it came to that.
    pub fn refused(&self) -> Option<String> {
        let bytes = fs::read(&self.count).unwrap();
        let what = bytes[8..].split(|b| *b == 0).next().unwrap();
        (!what.is_empty()).then(|| String::from_utf8_lossy(what).into_owned())
    }
}

/// `refuse.c`, compiled once per process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let [source, library] = ["c", "so"].map(|kind| folder.join(format!("refuse-{}.{kind}", std::process::id())));
        fs::write(&source, include_str!("refuse.c")).unwrap();
        let compiled = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        assert!(compiled.unwrap().success(), "{} does not compile", source.display());
        library
    })
}
