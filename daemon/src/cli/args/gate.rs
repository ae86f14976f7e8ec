//! `wengu gate`, `wengu incidents` and `wengu promote`.

use chrono::{DateTime, FixedOffset};
use clap::{Args as ClapArgs, Subcommand};

/// `wengu gate`.
#[derive(Debug, ClapArgs)]
pub struct GateArgs {
    /// What to do
    #[command(subcommand)]
    pub action: GateAction,
}

/// `wengu gate …`.
#[derive(Debug, Subcommand)]
pub enum GateAction {
    /// Why a run was promoted or not: the numbers, the levels, and the items that flipped
    Explain(ExplainGateArgs),
    /// Judge a run again from what was recorded: the same verdict, byte for byte
    Replay(ReplayArgs),
    /// Make another version the one that slow slides are measured against
    Anchor(AnchorArgs),
    /// How often the gate would promote, hold and call regressed a challenger that is so much worse
    Simulate(SimulateArgs),
}

/// `wengu gate explain`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  wengu gate explain contracts\n  wengu gate explain contracts 7 --json")]
pub struct ExplainGateArgs {
    /// The domain
    pub domain: String,
    /// The run [default: the last that was judged]
    pub run: Option<u64>,
}

/// `wengu gate replay`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exits with 1 where another verdict comes out.\n\nExample:\n  wengu gate replay contracts 7")]
pub struct ReplayArgs {
    /// The domain
    pub domain: String,
    /// The run
    pub run: u64,
}

/// `wengu gate anchor`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "What was counted against the old anchor is forgotten.\n\nExample:\n  wengu gate anchor contracts --reason \"reviewed by Dr. Wang\""
)]
pub struct AnchorArgs {
    /// The domain
    pub domain: String,
    /// The version [default: the one in service]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// `wengu incidents`.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  wengu incidents\n  wengu incidents silence --domain contracts --hours 8 --reason \"server move\""
)]
pub struct IncidentsArgs {
    /// What to do; lists without it
    #[command(subcommand)]
    pub action: Option<IncidentsAction>,
    /// Only this domain
    #[arg(long)]
    pub domain: Option<String>,
}

/// `wengu incidents …`.
#[derive(Debug, Subcommand)]
pub enum IncidentsAction {
    /// Tell nobody of what begins or goes on meanwhile
    Silence(SilenceArgs),
}

/// `wengu incidents silence`.
#[derive(Debug, ClapArgs)]
pub struct SilenceArgs {
    /// Only this domain
    #[arg(long)]
    pub domain: Option<String>,
    /// Only this slice: `all`, an era, or `kind=value`
    #[arg(long)]
    pub slice: Option<String>,
    /// Only this metric
    #[arg(long)]
    pub metric: Option<String>,
    /// For how long
    #[arg(long, value_name = "N", value_parser = hours)]
    pub hours: f64,
    /// From when on, as in 2027-03-01T22:00:00+08:00 [default: now]
    #[arg(long, value_name = "TIME")]
    pub from: Option<DateTime<FixedOffset>>,
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

fn hours(text: &str) -> Result<f64, String> {
    let hours: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if hours > 0.0 && hours <= 24.0 * 365.0 {
        Ok(hours)
    } else {
        Err("it has to be above 0 and a year at most".into())
    }
}

/// `wengu promote`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The reason goes into the audit log and is shown until the gate promotes the next version.\n\nExample:\n  wengu promote contracts 0004-4f1c09ab34de --force --reason \"the old labels were wrong\""
)]
pub struct PromoteArgs {
    /// The domain
    pub domain: String,
    /// The version
    pub version: String,
    /// Against the gate
    #[arg(long)]
    pub force: bool,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `wengu gate simulate`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  wengu gate simulate --items 500 --reserve 1000 --drop 5 --churn 10\n\nNeeds neither a daemon nor a \
                  configuration."
)]
pub struct SimulateArgs {
    /// Items of the gate set
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub items: u64,
    /// Items of the reserve; 0 for none
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub reserve: u64,
    /// How many points the challenger is worse; 0 for a harmless update
    #[arg(long, value_name = "POINTS", default_value_t = 5.0, allow_negative_numbers = true)]
    pub drop: f64,
    /// On how many items of a hundred exactly one of both versions is right
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub churn: f64,
    /// How many items of a hundred the champion has right
    #[arg(long, value_name = "PERCENT", default_value_t = 85.0)]
    pub accuracy: f64,
    /// Drop that must be ruled out
    #[arg(long, value_name = "POINTS", default_value_t = 5.0)]
    pub margin: f64,
    /// Promote whatever has not regressed
    #[arg(long)]
    pub permissive: bool,
    /// False alarms that you put up with in a year
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub false_alarms_per_year: f64,
    /// Updates a year
    #[arg(long, value_name = "N", default_value_t = 365.0)]
    pub runs_per_year: f64,
    /// Runs to simulate
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub repeats: u64,
    /// The same number gives the same runs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}
