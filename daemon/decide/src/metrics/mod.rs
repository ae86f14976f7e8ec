//! What an answer is worth, as the field counts it. Each metric equals its reference implementation to 1e-6 on real
//! predictions (`tests/oracle/metrics.py`, `tests/golden/metrics/`).

mod bleu;
mod calibration;
mod classes;
mod exact;
mod label_sets;
mod rouge;
mod spans;
mod stability;
mod stream;

pub use bleu::{Bleu, BleuTokenizer};
pub use calibration::expected_calibration_error;
pub use classes::{Confusion, MetricsError, argmax_rows};
pub use exact::exact_match;
pub use label_sets::{LabelCounts, LabelSetScores, labels_above};
pub use rouge::{RougeL, rouge_l};
pub use spans::{SpanScores, Tag, TagError, spans};
pub use stability::{stability, worst_case_accuracy};
pub use stream::{StreamScores, chance_score, negative_flip_rate};
