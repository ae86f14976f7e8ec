//! The command line.

pub mod args;
mod audit;
mod exit;
mod export;
mod files;
mod forget;
mod gate;
mod incidents;
mod init;
mod model;
mod plugin;
mod render;
mod report;
mod run;
mod status;
pub mod store;
mod train;
mod versions;
mod webhook;

use crate::api::client::{Client, Unreachable};
use anyhow::{Context, Result};
use args::{Args, Command};
pub use exit::Exit;
use std::path::{Path, PathBuf};
use wengu_config::{Config, Problems};

/// Runs a command and says how to exit.
pub async fn run(args: Args) -> Exit {
    let json = args.json;
    match dispatch(args).await {
        Ok(exit) => exit,
        Err(e) => {
            let exit = if e.is::<Unreachable>() {
                Exit::Unavailable
            } else if e.is::<ConfigError>() {
                Exit::Config
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
    let config = args.config.as_deref();
    let json = args.json;
    match args.command {
        Command::Init(init) => init::init(&init),
        Command::Check => check(config, json),
        Command::Run(options) => run::run(load(config)?, &options).await,
        Command::Status => status::status(&connect(config)?, json).await,
        Command::Files(files) => files::files(&connect(config)?, files, json).await,
        Command::Train(train) => train::train(&connect(config)?, &train, json).await,
        Command::Versions(versions) => versions::versions(&connect(config)?, versions, json).await,
        Command::Rollback(rollback) => versions::rollback(&connect(config)?, &rollback, json).await,
        Command::Report(args) => report::report(&connect(config)?, &args, json).await,
        Command::Gate(args) => gate::gate(config, args, json).await,
        Command::Promote(args) => versions::promote(&connect(config)?, &args, json).await,
        Command::Incidents(args) => incidents::incidents(&connect(config)?, args, json).await,
        Command::Export(args) => export::export(&load(config)?, &args, json),
        Command::Plugin(plugin) => plugin::plugin(config, plugin, json).await,
        Command::Webhook(webhook) => webhook::webhook(config, webhook, json).await,
        Command::Forget(args) => forget::forget(&load(config)?, args, json).await,
        Command::Store(args) => store::store(&load(config)?, args, json).await,
        Command::Audit(args) => audit::audit(&load(config)?, &args, json),
        Command::Model(model) => model::model(config, model, json).await,
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

fn load(named: Option<&Path>) -> Result<Config> {
    let path = config_path(named)?;
    Ok(wengu_config::load(&path).map_err(ConfigError)?)
}

fn connect(named: Option<&Path>) -> Result<Client> {
    Client::new(&load(named)?.socket)
}

fn check(named: Option<&Path>, json: bool) -> Result<Exit> {
    let path = config_path(named)?;
    let problems = match wengu_config::load(&path) {
        Ok(config) => {
            let mut problems = wengu_config::check_environment(&config);
            problems.extend(plugin::check(&config));
            problems.extend(webhook::check(&config));
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
