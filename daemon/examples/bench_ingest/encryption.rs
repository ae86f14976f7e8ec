//! What a key costs: the same delivery taken by a daemon without one and by a daemon with one, in turns, so that whatever else the
//! machine does meets both.

use crate::{Args, Delivery, deliver};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;

/// Deliveries to each.
const ROUNDS: usize = 3;

/// Medians.
#[derive(Serialize)]
pub struct Encryption {
    plain_s: f64,
    sealed_s: f64,
    plain_cpu_s: f64,
    sealed_cpu_s: f64,
    /// Of the bare copies and fsyncs, before each of the deliveries.
    floor_s: f64,
}

pub fn measure(args: &Args, make: &dyn Fn(&Path) -> Result<u64>) -> Result<Encryption> {
    let (mut plain, mut sealed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(deliver(args, "without a key", make, false)?);
        sealed.push(deliver(args, "with a key", make, true)?);
    }
    let both: Vec<&Delivery> = plain.iter().chain(&sealed).collect();
    let found = Encryption {
        plain_s: median(plain.iter().map(|d| d.seconds)),
        sealed_s: median(sealed.iter().map(|d| d.seconds)),
        plain_cpu_s: median(plain.iter().map(|d| d.daemon_cpu_s)),
        sealed_cpu_s: median(sealed.iter().map(|d| d.daemon_cpu_s)),
        floor_s: median(both.iter().map(|d| d.floor_seconds)),
    };
    println!(
        "with a key, medians of {ROUNDS}: {:.2} times the time ({:.1} s and {:.1} s), {:.2} times the processor time ({:.1} s and {:.1} s); \
         bare copies and fsyncs {:.1} s",
        found.sealed_s / found.plain_s,
        found.sealed_s,
        found.plain_s,
        found.sealed_cpu_s / found.plain_cpu_s,
        found.sealed_cpu_s,
        found.plain_cpu_s,
        found.floor_s
    );
    Ok(found)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
