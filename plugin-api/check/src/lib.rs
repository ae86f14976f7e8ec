//! The validator: named cases that a plugin must pass, each in a process of its own.
//!
//! The cases speak the raw ABI and share no check with the host's loader: what one of the two overlooks, the other may
//! see. [`parent`](check) starts the processes and judges how they end; the case itself runs in the child.

mod bench;
mod cases;
mod child;
mod corpus;
mod harness;
mod parent;
mod raw;
mod report;

pub use cases::{CASES, Case};
pub use child::run_case_if_asked;
pub use harness::test_package;
pub use parent::{Options, Subject, WITHOUT_PROCESS, check};
pub use report::{CaseReport, Outcome, Report};
