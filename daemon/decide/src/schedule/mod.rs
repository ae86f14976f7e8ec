//! When an update is due.

/// A five-field cron expression.
#[derive(Debug, Clone)]
pub struct CronExpr;

/// A daily span of local time, which may cross midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours;
