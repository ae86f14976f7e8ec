//! When a new source has shown that what it brings is of this domain.

use serde::{Deserialize, Serialize};

/// Disagreement beyond so many standard deviations is no accident: one honest source in 30,000 would be called suspicious.
pub const SUSPICIOUS_Z: f64 = 4.0;
/// A label to which the version in service gives less than this, though it is near certain of another one, stands out.
pub const NEAR_CERTAIN: f64 = 0.01;

/// Of the labels that a source brought, how many the version in service would have given as well, before it learned any of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Labels that it was asked about and knows.
    pub asked: u64,
    /// Those it would have given.
    pub agreed: u64,
}

/// What follows from an agreement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Standing {
    /// Too few were asked about.
    Open,
    /// It agrees about as often as on the domain's own held-out items, or more often.
    Agrees,
    /// It agrees far less often.
    Suspicious {
        /// Standard deviations between what was expected and what was seen.
        z: f64,
    },
}

/// Judges a source by what `of_source` says beside `usual`, the same of the domain's held-out items. `enough`: so many must have been asked
/// about. The two rates are compared by the pooled z-test of two proportions; where all agree there is no deviation.
pub fn judge(of_source: Agreement, usual: Agreement, enough: u64) -> Standing {
    if of_source.asked < enough.max(1) || usual.asked == 0 {
        return Standing::Open;
    }
    let rate = |of: Agreement| of.agreed.min(of.asked) as f64 / of.asked as f64;
    let (n, m) = (of_source.asked as f64, usual.asked as f64);
    let pooled = (rate(of_source) * n + rate(usual) * m) / (n + m);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let z = match deviation > 0.0 {
        true => (rate(usual) - rate(of_source)) / deviation,
        false => 0.0,
    };
    match z > SUSPICIOUS_Z {
        true => Standing::Suspicious { z },
        false => Standing::Agrees,
    }
}

/// Whether an example stands out, by the probability that the version in service gives to its label and to the likeliest one: the
/// loss of such an example is above 4.6 nats, and the version is not merely undecided.
pub fn stands_out(of_its_label: f64, of_the_likeliest: f64) -> bool {
    of_its_label < NEAR_CERTAIN && of_the_likeliest > 1.0 - 10.0 * NEAR_CERTAIN
}
