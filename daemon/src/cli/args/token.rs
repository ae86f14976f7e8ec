//! `wengu token`, and how a daemon elsewhere is asked.

use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;
use wengu_store::records::Role;

/// A daemon on another machine, for the commands that ask it.
#[derive(Debug, Default, ClapArgs)]
pub struct RemoteArgs {
    /// Ask the daemon at this address instead of the one on this machine, with a token (WENGU_TOKEN, or --token-file)
    #[arg(long, global = true, value_name = "https://HOST:PORT")]
    pub url: Option<String>,
    /// File that holds the token and nothing else
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates that vouch for the daemon, as PEM [default: those that this system trusts]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// `wengu token`.
#[derive(Debug, ClapArgs)]
pub struct TokenArgs {
    /// What to do
    #[command(subcommand)]
    pub action: TokenAction,
}

/// `wengu token …`.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Make a token and print it, this once
    #[command(
        after_help = "Example:\n  (umask 077; wengu token create --name ci --role operator --domain contracts --expires 30d > ci.token)\n  wengu --url https://wengu.example.org:8443 --token-file ci.token train contracts"
    )]
    Create {
        /// Its name, which the log tells
        #[arg(long)]
        name: String,
        /// What its bearer may do: viewer, operator or admin
        #[arg(long, value_parser = role)]
        role: Role,
        /// Only in this domain; may be given several times
        #[arg(long = "domain", value_name = "DOMAIN")]
        domains: Vec<String>,
        /// How long it is good for: a number and s, m, h or d
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = seconds)]
        expires: u64,
    },
    /// Every token, what its bearer may do, and until when
    List,
    /// End a token now
    Revoke {
        /// Its name
        name: String,
    },
}

fn role(text: &str) -> Result<Role, String> {
    let roles = [Role::Viewer, Role::Operator, Role::Admin];
    let found = roles.into_iter().find(|role| role.name() == text);
    found.ok_or_else(|| "choose among viewer, operator and admin".into())
}

fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "write a number and s, m, h or d, as in 30d".to_string();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        for (text, expected) in [("90s", 90), ("5m", 300), ("12h", 43_200), ("30d", 2_592_000)] {
            assert_eq!(seconds(text), Ok(expected));
        }
        for wrong in [
            "",
            "d",
            "30",
            "0d",
            "-1d",
            "1.5d",
            "30 d",
            "1w",
            "天",
            "99999999999999999999d",
            "9999999999999999999d",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
