//! The command line.

pub mod args;
mod at;
mod audit;
mod encrypt;
mod exit;
mod export;
mod feedback;
mod files;
mod forget;
mod gate;
mod incidents;
mod init;
mod key;
mod model;
mod old_work;
mod plugin;
mod render;
mod report;
mod review;
mod run;
mod status;
pub mod store;
mod token;
mod train;
mod tune;
mod versions;
mod webhook;

use crate::api::client::{Denied, Unreachable};
use crate::checked::Damaged;
use anyhow::{Context, Result};
use args::{Args, Command};
use at::At;
pub use exit::Exit;
use std::path::{Path, PathBuf};
use wengu_config::Problems;

/// Runs a command and says how to exit.
pub async fn run(args: Args) -> Exit {
    let json = args.json;
    match dispatch(args).await {
        Ok(exit) => exit,
        Err(e) => {
            let exit = if e.is::<Unreachable>() {
                Exit::Unavailable
            } else if e.is::<Denied>() {
                Exit::Denied
            } else if e.is::<ConfigError>() || crate::sealing::is_about_key(&e) {
                Exit::Config
            } else if e.is::<Damaged>() {
                Exit::Damaged
            } else {
                e.downcast_ref().map_or(Exit::Failure, store::exit)
            };
            if json {
                println!(
                    "{}",
                    serde_json::json!({"error": format!("{e:#}"), "exit_code": exit.code()})
                );
            }
            eprintln!("wengu: {e:#}");
            exit
        }
    }
}

async fn dispatch(args: Args) -> Result<Exit> {
    let at = At {
        config: args.config.as_deref(),
        remote: &args.remote,
    };
    let json = args.json;
    match args.command {
        Command::Init(init) => init::init(&init),
        Command::Check => check(&at, json),
        Command::Run(options) => run::run(at.load()?, &options).await,
        Command::Status => status::status(&at.connect()?, json).await,
        Command::Files(files) => files::files(&at.connect()?, files, json).await,
        Command::Feedback(args) => feedback::feedback(&at.connect()?, args, json).await,
        Command::Train(train) => train::train(&at.connect()?, &train, json).await,
        Command::Tune(args) => tune::tune(&at.connect()?, args, json).await,
        Command::Versions(versions) => versions::versions(&at.connect()?, versions, json).await,
        Command::Rollback(rollback) => versions::rollback(&at.connect()?, &rollback, json).await,
        Command::Report(args) => report::report(&at.connect()?, &args, json).await,
        Command::Gate(args) => gate::gate(at, args, json).await,
        Command::Promote(args) => versions::promote(&at.connect()?, &args, json).await,
        Command::Incidents(args) => incidents::incidents(&at.connect()?, args, json).await,
        Command::Export(args) => export::export(&at.load()?, &args, json),
        Command::Plugin(plugin) => plugin::plugin(at, plugin, json).await,
        Command::Webhook(webhook) => webhook::webhook(at, webhook, json).await,
        Command::Forget(args) => forget::forget(at, args, json).await,
        Command::Store(args) => store::store(at, args, json).await,
        Command::Token(args) => token::token(&at.connect()?, args, json).await,
        Command::Audit(args) => audit::audit(&at.load()?, &args, json),
        Command::Key(args) => key::key(&args, json),
        Command::Model(model) => model::model(at, model, json).await,
    }
}

/// A configuration that has errors; they are the message.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has errors:\n{0}")]
struct ConfigError(Problems);

/// The configuration file: the one that was named, else `./wengu.toml`, else `/etc/wengu/wengu.toml`.
fn config_path(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_path_buf());
    }
    let places = [PathBuf::from("wengu.toml"), PathBuf::from("/etc/wengu/wengu.toml")];
    let found = places.iter().find(|p| p.exists()).cloned();
    found.context("no configuration: neither ./wengu.toml nor /etc/wengu/wengu.toml exists; make one with `wengu init`, or name one with --config")
}

fn check(at: &At, json: bool) -> Result<Exit> {
    let path = at.config_path()?;
    let problems = match wengu_config::load(&path) {
        Ok(config) => {
            let mut problems = wengu_config::check_environment(&config);
            problems.extend(plugin::check(&config));
            problems.extend(webhook::check(&config));
            problems.extend(crate::tls::check(&config));
            problems.extend(crate::sealing::check(&config));
            problems.extend(crate::serving::check(&config));
            problems.extend(crate::fit::check(&config));
            Problems::new(&path, problems)
        }
        Err(problems) => problems,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&problems.list())?);
    } else if problems.is_empty() {
        println!("{}: no errors", path.display());
    } else {
        eprint!("{problems}");
    }
    Ok(if problems.has_errors() {
        Exit::Config
    } else {
        Exit::Success
    })
}
