//! One training job.

use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::PathBuf;
use std::process::ExitCode;
use wengu_protocol::job::JobEnd;
use wengu_trainer::error::TrainerError;
use wengu_trainer::train_loop::Cancel;
use wengu_trainer::{job, merge};

const EXAMPLES: &str = "\
Examples:
  wengu-trainer check /var/lib/wengu/jobs/17     is everything there, and does it fit together?
  wengu-trainer run /var/lib/wengu/jobs/17       train, and write out/ and result.json

A run that was stopped or killed goes on from its last checkpoint when it is started again, and ends with the
same bytes. A directory that has a result.json is left as it is: remove the file to run the job again.

Exit codes:
  0 completed     10 cancelled    11 bad job      12 bad model   13 bad data     14 unknown label
  15 NaN loss     16 out of memory                17 write failed                18 internal

Environment, to be set before the start:
  OMP_NUM_THREADS=N                   the job's `threads`; libtorch makes a team of this size when it is loaded
  GOMP_SPINCOUNT=10000                idle threads sleep after some microseconds
  ONEDNN_PRIMITIVE_CACHE_CAPACITY=64, LRU_CACHE_CAPACITY=64
                                      keep memory flat over many sequence lengths
  MALLOC_ARENA_MAX=2                  fewer arenas, less memory
  WENGU_MEMORY_LIMIT_BYTES=N          beyond N bytes of data the job ends with 16; on the processor only";

/// Trains one job of wengu: reads a job directory, writes the results, exits.
#[derive(Parser)]
#[command(name = "wengu-trainer", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the job to its end. SIGTERM or SIGINT stops it at the next step, with a checkpoint.
    Run {
        /// The job directory, with job.json in it.
        jobdir: PathBuf,
    },
    /// Read and check the job, its model and its data, and change nothing.
    Check {
        /// The job directory, with job.json in it.
        jobdir: PathBuf,
    },
    /// Write a version as a model folder of its own, without an adapter; `wengu export` starts it.
    Merge {
        /// What to merge, and into which empty folder.
        spec: PathBuf,
    },
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(wengu_protocol::note_panic));
    match Arguments::parse().command {
        Command::Run { jobdir } => {
            let cancel = Cancel::default();
            for signal in [SIGTERM, SIGINT] {
                if let Err(error) = signal_hook::flag::register(signal, cancel.0.clone()) {
                    eprintln!("wengu-trainer: cannot handle signal {signal}: {error}");
                }
            }
            ExitCode::from(job::run(&jobdir, &cancel).exit_code())
        }
        Command::Check { jobdir } => told(job::check(&jobdir)),
        Command::Merge { spec } => told(merge::merge(&spec).and_then(|merged| {
            serde_json::to_string(&merged).map_err(|e| TrainerError::new(JobEnd::Internal, e.to_string()))
        })),
    }
}

fn told(answer: Result<impl std::fmt::Display, TrainerError>) -> ExitCode {
    match answer {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("wengu-trainer: {}", error.message);
            ExitCode::from(error.end.exit_code())
        }
    }
}
