//! Hyper-parameters that are fitted to a domain when somebody asks, then used by every later run: `wengu tune`. What is tried and
//! what wins is `wengu_decide::tune`'s.
//!
//! It is work of the runner, between runs: nothing else trains meanwhile, an update that is due goes first, and quiet hours, the disk's
//! levels and forgetting hold for it. One step is one training, so a run waits for one at most. Until it ends everything lies
//! under `jobs/DOMAIN/tune-…/`: the plan, a file for each trial that ended, and the job directory of the one under way, from which a killed
//! one goes on. Forgetting clears job directories; then it is planned anew, without what was forgotten.

mod asking;
mod outcomes;
mod plan;
mod record;
mod settings;
mod steps;
mod trial;

pub use asking::{ask, recover, reset};
pub use outcomes::{Counts, Report, Trial, latest_report};
pub use plan::Plan;
pub use record::{InUse, TuningRecord, TuningState};
pub use settings::{Setting, Source, learning, sources};
pub use steps::{waits_for, work};
