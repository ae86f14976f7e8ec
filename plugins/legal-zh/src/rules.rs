//! Which branch of law a provision belongs to, by rule. The confidence of a rule is its precision on the training part of the
//! data set that the plugin's README names (with one more hit and one more miss); the test part was read only to report.

pub mod clauses;
mod courts;
mod economy;
mod people;
mod state;

use wengu_plugin::patterns::Rule;

/// The labels: the branches into which the National People's Congress sorts the laws.
pub const LABELS: &[&str] = &[
    "宪法及相关法",
    "民法商法",
    "行政法",
    "经济法",
    "社会法",
    "刑法",
    "诉讼与非诉讼程序法",
];

/// The labelling functions.
pub fn all() -> Vec<Rule> {
    [state::RULES, people::RULES, economy::RULES, courts::RULES].concat()
}
