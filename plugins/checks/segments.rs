//! Segments in a form that tests can be written in.

use wengu_plugin::segments::check_tiling;
use wengu_plugin::{Host, Segment, SegmentKind, Segmenter};

/// The text with `<terms>` marked and drops left out; its segments must tile it.
pub fn marked(plugin: &mut impl Segmenter, text: &str) -> String {
    let segments = plugin.segment(&Host::silent(), text).unwrap();
    check_tiling(text, &segments).unwrap();
    let piece = |s: &Segment| match s.kind {
        SegmentKind::Text => text[s.range.clone()].to_owned(),
        SegmentKind::Term => format!("<{}>", &text[s.range.clone()]),
        SegmentKind::Drop => String::new(),
    };
    segments.iter().map(piece).collect()
}
