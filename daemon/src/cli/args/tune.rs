//! `wengu tune`.

use clap::{Args as ClapArgs, Subcommand};

/// `wengu tune`.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Fits learning rate, batch size, rank, ewc_lambda, distill_temperature and replay_ratio on what the domain has learned and has in its \
pool. What the configuration sets is left alone. The daemon works on it between updates, and goes on after a restart.\n\n\
Examples:\n  wengu tune contracts --dry-run\n  wengu tune contracts --trials 16 --max-minutes 240\n  wengu tune show contracts\n  wengu tune reset contracts"
)]
pub struct TuneArgs {
    /// What to do; fits without it
    #[command(subcommand)]
    pub action: Option<TuneAction>,
    /// The domain
    pub domain: Option<String>,
    // As many as crate::api::tuning allows.
    /// Settings to try, the ones in use now among them
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=256))]
    pub trials: u32,
    /// Draws what is tried [default: the domain's seed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Begin no further trial after so many minutes of training
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_minutes: Option<u32>,
    /// Say what would be tried and what it costs, and begin nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait for the result
    #[arg(long)]
    pub no_wait: bool,
}

/// `wengu tune …`.
#[derive(Debug, Subcommand)]
pub enum TuneAction {
    /// What was tried, and what the next update uses and why
    Show {
        /// The domain
        domain: String,
    },
    /// Go back to the defaults, and end a fitting that is under way
    Reset {
        /// The domain
        domain: String,
    },
}
