//! Paths as they are meant: absolute, without `.` and `..`, and none inside another where that would do harm.

use crate::section::{Located, Report};
use std::path::{Component, Path, PathBuf};

/// Longest path of a socket that Linux takes (`sun_path` with its NUL).
const SOCKET_PATH_MAX: usize = 107;

/// A path of the configuration that must not lie where case files are picked up.
pub(crate) struct Taken {
    pub what: &'static str,
    pub path: Located<PathBuf>,
}

/// The path, relative to the configuration file's folder. The symbolic links of the file system are not looked at.
pub(crate) fn resolve(report: &Report<'_>, base: &Path, text: Located<String>) -> Located<PathBuf> {
    if text.value.starts_with('~') || text.value.starts_with('$') {
        let message = format!("`{}` is taken as it is: no shell reads this file", text.value);
        report.error(&text.place, message, "write the whole path, as in \"/srv/cases\"");
    }
    Located {
        value: normal(&base.join(&text.value)),
        place: text.place,
    }
}

pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

pub(crate) fn check_socket(report: &Report<'_>, socket: &Located<PathBuf>) {
    let length = socket.value.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        let message = format!("the socket's path has {length} bytes; the system takes {SOCKET_PATH_MAX}");
        report.error(
            &socket.place,
            message,
            "set `socket` to a shorter path, as in \"/run/wengu/wengu.sock\"",
        );
    }
}

/// Watched folders may not meet: a file would be two cases, in two domains. Nor may anything of wengu's own lie in one.
pub(crate) fn check_overlaps(report: &Report<'_>, watched: &[Located<PathBuf>], taken: &[Taken]) {
    for (index, second) in watched.iter().enumerate() {
        for first in &watched[..index] {
            let (one, other) = (&first.value, &second.value);
            let how = if one == other {
                "is the same folder as"
            } else if other.starts_with(one) {
                "lies inside"
            } else if one.starts_with(other) {
                "contains"
            } else {
                continue;
            };
            let message = format!("{} {how} {} of {}", other.display(), one.display(), first.place.key);
            let remedy = "give each domain folders of its own, none inside another";
            report.error(&second.place, message, remedy);
        }
        for Taken { what, path } in taken {
            if path.value.starts_with(&second.value) {
                let message = format!(
                    "{what} {} lies inside the watched folder {}",
                    path.value.display(),
                    second.place.key
                );
                report.error(
                    &path.place,
                    message,
                    "move one of the two: what lies there would be taken for case files",
                );
            }
        }
        let state = taken
            .iter()
            .find(|taken| taken.what == STATE_DIR)
            .map(|taken| &taken.path.value);
        if state.is_some_and(|state| second.value.starts_with(state) && second.value != *state) {
            let message = format!("{} lies inside the state folder", second.value.display());
            report.error(
                &second.place,
                message,
                "watch a folder outside `state_dir`, which is wengu's own",
            );
        }
    }
}

pub(crate) const STATE_DIR: &str = "the state folder";
