//! Pure decisions: schedule, split, gate, memory, tuning. No I/O, no clock: `now` is an argument.

pub mod drift;
pub mod failures;
pub mod footprint;
pub mod gate;
pub mod incident;
pub mod label_model;
pub mod label_set;
pub mod marked;
pub mod memory;
pub mod memory_plan;
pub mod metrics;
pub mod mixing;
pub mod near;
mod random;
pub mod schedule;
pub mod serving;
pub mod sources;
pub mod split;
pub mod tune;
pub mod weak;
