//! One training job: read a job directory, train, write the results, exit.

pub mod error;
pub mod job {
    //! Files of a job.
    pub mod files;
}
pub mod model;
pub mod peft;
