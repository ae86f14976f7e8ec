//! `[domains.NAME.sources]`.

use crate::section::Section;

/// What one source of case files may do. A source is a folder right below a watched folder; what lies in the watched folder itself is
/// one source together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sources {
    /// How many of a hundred new examples of an update one source may bring, unless they are few or it has brought as many before;
    /// 100: all of them.
    pub max_share_percent: u64,
    /// The version in service must have been asked about so many examples of a new source before it is learned from; 0: none.
    pub probation_items: u64,
}

impl Default for Sources {
    fn default() -> Self {
        Sources {
            max_share_percent: 20,
            probation_items: 0,
        }
    }
}

pub(crate) fn read_sources(mut section: Section<'_>) -> Sources {
    let usual = Sources::default();
    let sources = Sources {
        max_share_percent: section.integer("max_share_percent", 1..=100, usual.max_share_percent),
        probation_items: section.integer("probation_items", 0..=1000, usual.probation_items),
    };
    section.finish();
    sources
}
