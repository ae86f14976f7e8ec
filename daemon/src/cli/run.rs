use super::Exit;
use super::args::RunArgs;
use anyhow::Result;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use wengu_config::Config;

pub async fn run(config: Config, args: &RunArgs) -> Result<Exit> {
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
