//! Fittings as the daemon keeps them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wengu_store::{Hash, Record};

/// The daemon's record of a fitting, as it lies in the store.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tuning(pub Value);

impl Record for Tuning {
    const TABLE: &'static str = "tuning";
    const VERSION: u16 = 1;

    fn objects(&self) -> Vec<Hash> {
        let report = self.0["report"].as_str();
        report.map(|hash| hash.parse().unwrap()).into_iter().collect()
    }
}
