//! Text of a case, which may stand in files of wengu's own and in no log, message or metric.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

/// Text that came out of a case file. It has no `Display`, and `Debug` tells its length: what logs it, even as a field of
/// something else, does not compile or prints nothing of it.
///
/// ```compile_fail,E0277
/// let text = wengu_protocol::CaseText::from("患者男，45岁");
/// println!("{text}");
/// ```
///
/// It is a `str` wherever one is asked for, and the same bytes on the disk.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseText(String);

impl CaseText {
    /// The text, for what works on it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for CaseText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for CaseText {
    fn from(text: String) -> CaseText {
        CaseText(text)
    }
}

impl From<&str> for CaseText {
    fn from(text: &str) -> CaseText {
        CaseText(text.to_owned())
    }
}

impl PartialEq<str> for CaseText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for CaseText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<String> for CaseText {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl fmt::Debug for CaseText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes of case text>", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct With<T> {
        line: u32,
        text: T,
    }

    #[test]
    fn what_holds_it_prints_its_length_alone() {
        let with = With {
            line: 3,
            text: CaseText::from("主诉胸痛"),
        };
        assert_eq!(format!("{with:?}"), "With { line: 3, text: <12 bytes of case text> }");
        assert!(!format!("{with:#?}").contains('痛'));
    }

    #[test]
    fn it_is_written_as_a_string_is() {
        let text = "温故\u{1}\"\\\n";
        let plain = serde_json::to_vec(&With { line: 1, text }).unwrap();
        let kept = With {
            line: 1,
            text: CaseText::from(text),
        };
        assert_eq!(serde_json::to_vec(&kept).unwrap(), plain);
        assert_eq!(serde_json::from_slice::<With<CaseText>>(&plain).unwrap(), kept);
    }
}
