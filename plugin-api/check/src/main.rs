//! `wengu plugin check`: the validator as a program.

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use wengu_plugin_check::{CASES, Options, Subject, WITHOUT_PROCESS, check, run_case_if_asked};
use wengu_plugin_package::Keys;

/// Try a plugin against every rule of the ABI, each case in a process of its own
///
/// Exit code: 0 where no rule is broken, 1 where one is or there is no package, 2 for a command line that does not parse.
#[derive(Parser)]
#[command(name = "wengu-plugin-check", bin_name = "wengu plugin check", version)]
struct Cli {
    /// Folder with manifest.toml, .tar.gz of one, or the library in one
    #[arg(required_unless_present = "list")]
    package: Option<PathBuf>,
    /// The library, where it is not in the folder
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// Run this case alone; may be given again
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Name the cases and their rules
    #[arg(long)]
    list: bool,
    /// One JSON object, at the end
    #[arg(long)]
    json: bool,
    /// Documents that the case `fuzz` makes
    #[arg(long, value_name = "ROUNDS", default_value_t = 300)]
    fuzz: u32,
    /// Seed of what is random: the same seed, the same documents
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Time for each case; then its process is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_s: u64,
    /// A text of the plugin's domain, UTF-8, to be shown to it as well; may be given again
    #[arg(long, value_name = "FILE")]
    document: Vec<PathBuf>,
    /// A minisign public key that may sign the package; may be given again
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
}

fn main() -> ExitCode {
    if let Some(code) = run_case_if_asked() {
        return code;
    }
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<bool, String> {
    if cli.list {
        CASES.iter().for_each(|case| println!("{:22}{}", case.name, case.rule));
        return Ok(true);
    }
    let known =
        |name: &&String| CASES.iter().any(|case| case.name == **name) || WITHOUT_PROCESS.contains(&name.as_str());
    if let Some(unknown) = cli.only.iter().find(|name| !known(name)) {
        return Err(format!(
            "there is no case {unknown:?}; `wengu plugin check --list` names them"
        ));
    }
    let keys = match cli.key.is_empty() {
        true => None,
        false => Some(Keys::parse(&cli.key).map_err(|wrong| {
            let wrong: Vec<String> = wrong
                .iter()
                .map(|(i, why)| format!("--key {}: {why}", cli.key[*i]))
                .collect();
            wrong.join("; ")
        })?),
    };
    let subject = Subject {
        package: cli.package.unwrap_or_default(),
        library: cli.library,
    };
    let options = Options {
        runner: std::env::current_exe().map_err(|e| format!("this program's own path: {e}"))?,
        only: cli.only,
        seed: cli.seed,
        fuzz_rounds: cli.fuzz,
        timeout: Duration::from_secs(cli.timeout_s),
        documents: cli.document,
        keys,
    };
    let report = check(&subject, &options, &mut |case| {
        if !cli.json {
            println!("{case}");
        }
    });
    let report = report.map_err(|e| e.to_string())?;
    match cli.json {
        true => println!("{}", serde_json::to_string(&report).map_err(|e| e.to_string())?),
        false => println!("\n{report}"),
    }
    Ok(report.passed)
}
