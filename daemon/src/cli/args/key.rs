//! `wengu key`.

use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

/// `wengu key`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Without the key nobody reads what is sealed with it: keep a copy, not beside the backups.\n\nExample:\n  wengu key new /etc/wengu/wengu.key"
)]
pub struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub action: KeyAction,
}

/// `wengu key …`.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Make a key in a new file that only its user may read
    New {
        /// The file; nothing may be there yet
        file: PathBuf,
    },
}
