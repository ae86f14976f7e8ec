//! When an update is due.
//!
//! Everything here is a function of its arguments: `now` comes in, a decision goes out.

mod decide;
mod expr;
mod field;
mod local;
mod quiet;

pub use decide::{
    Decision, DomainState, INTAKE_PATIENCE, LOOK_BACK, Mark, MarkReason, Reason, ScheduleConfig, WhyNot, backoff,
    decide,
};
pub use expr::{CronError, CronExpr};
pub use field::FieldError;
pub use quiet::{QuietError, QuietHours, quiet_all_day};
