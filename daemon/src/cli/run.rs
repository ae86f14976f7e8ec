use super::args::RunArgs;
use super::{ConfigError, Exit};
use anyhow::Result;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use wengu_config::{Config, Problems, check_people};

pub async fn run(config: Config, args: &RunArgs) -> Result<Exit> {
    // Who may do what must be as it is written, or nobody may do anything.
    let mut problems = check_people(&config);
    problems.extend(crate::tls::check(&config));
    problems.extend(crate::sealing::check(&config));
    if !problems.is_empty() {
        return Err(ConfigError(Problems::new(&config.path, problems)).into());
    }
    let filter = EnvFilter::try_from_env("WENGU_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if args.log_json {
        builder.json().init();
    } else {
        builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init();
    }
    crate::app::run(config).await?;
    Ok(Exit::Success)
}
