//! One training job: read a job directory, train, write the results, exit.

pub mod adapter_hub;
pub mod checkpoint;
pub mod data;
pub mod discriminant;
pub mod error;
pub mod fisher;
pub mod job;
pub mod low_rank;
pub mod merge;
pub mod model;
pub mod objective;
pub mod optim;
pub mod peft;
pub mod train_loop;
