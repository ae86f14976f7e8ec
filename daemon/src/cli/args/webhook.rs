//! `wengu webhook`.

use chrono::{DateTime, FixedOffset};
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

/// `wengu webhook`.
#[derive(Debug, ClapArgs)]
pub struct WebhookArgs {
    /// What to do
    #[command(subcommand)]
    pub action: WebhookAction,
}

/// `wengu webhook …`.
#[derive(Debug, Subcommand)]
pub enum WebhookAction {
    /// Receive webhooks on this machine, verify their signatures and print them
    #[command(
        after_help = "Example:\n  (umask 077; wengu webhook secret > webhook.secret)\n  wengu webhook listen --port 9099 --secret-file webhook.secret"
    )]
    Listen {
        /// Port on 127.0.0.1
        #[arg(long, default_value_t = 9099)]
        port: u16,
        /// File with the secret that the sender signs with
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// Leave after so many events
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Endpoints, what waits for each, what was given up, and what came of the last attempt
    List,
    /// Send a test event to one endpoint or every one, through the daemon's outbox
    Test {
        /// The endpoint
        endpoint: Option<String>,
    },
    /// Send again, under the same ids, what was given up
    #[command(
        after_help = "Examples:\n  wengu webhook replay oncall\n  wengu webhook replay --since 2026-03-01T00:00:00Z"
    )]
    Replay {
        /// The endpoint; all without one
        endpoint: Option<String>,
        /// Only what happened since this time
        #[arg(long, value_name = "TIME")]
        since: Option<DateTime<FixedOffset>>,
        /// Only the event with this id
        #[arg(long, value_name = "ID")]
        event: Option<String>,
    },
    /// Put a new secret into an endpoint's secret file; the old one signs beside it for a while
    #[command(after_help = "Takes effect with the next delivery; the daemon need not be started anew.")]
    RotateSecret {
        /// The endpoint, of format `standard`
        endpoint: String,
        /// So long both sign, for receivers to change over
        #[arg(long, value_name = "HOURS", default_value_t = 24)]
        overlap_hours: u32,
    },
    /// Print a new signing secret
    Secret,
}
