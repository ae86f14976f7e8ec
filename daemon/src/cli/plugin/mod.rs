use crate::api::client::Client;
use crate::cli::Exit;
use crate::cli::args::{PluginAction, PluginArgs};
use crate::cli::load;
use crate::cli::render::table;
use crate::layout::Layout;
use anyhow::{Result, bail};
use std::path::Path;
use wengu_config::{Config, Problem};

mod enable;
mod installed;

/// `wengu plugin …`.
pub async fn plugin(config: Option<&Path>, args: PluginArgs, json: bool) -> Result<Exit> {
    let config = load(config)?;
    let plugins = Layout::new(&config.state_dir).plugins();
    match args.action {
        PluginAction::Install { dir, library } => {
            let manifest = dir.join("manifest.toml");
            if !manifest.is_file() {
                bail!("{} has no manifest.toml; name the plugin's folder", dir.display());
            }
            std::fs::create_dir_all(&plugins)?;
            let installed = wengu_plugin_package::install(&manifest, library.as_deref(), &plugins)?;
            let m = &installed.manifest;
            println!("Installed {} {} into {}.", m.id, m.version, installed.dir.display());
            println!("A daemon that runs takes it within seconds.");
        }
        PluginAction::List => {
            let all = if plugins.exists() {
                wengu_plugin_package::list(&plugins)?
            } else {
                Vec::new()
            };
            if json {
                let rows: Vec<_> = all
                    .iter()
                    .map(|listed| match &listed.current {
                        Ok(p) => serde_json::json!({"id": listed.id, "version": p.manifest.version,
                            "domain": p.manifest.domain, "dir": p.dir}),
                        Err(e) => serde_json::json!({"id": listed.id, "error": e.to_string()}),
                    })
                    .collect();
                println!("{}", serde_json::to_string_pretty(&rows)?);
                return Ok(Exit::Success);
            }
            let mut list = table(["plugin", "version", "domain", "languages", "provides"]);
            for listed in all {
                let id = listed.id;
                match listed.current {
                    Ok(p) => {
                        let m = p.manifest;
                        list.add_row([id, m.version, m.domain, m.languages.join(", "), m.provides.join(", ")])
                    }
                    Err(e) => list.add_row([id, format!("BROKEN: {e}")]),
                };
            }
            println!("{list}");
        }
        PluginAction::Info { id } => return installed::info(&plugins, &id, json),
        PluginAction::Verify { id } => return installed::verify(&plugins, id.as_deref(), json),
        PluginAction::Remove { id, force } => return installed::remove(&config, &plugins, &id, force, json),
        PluginAction::Enable { id } => return enable::enable(&Client::new(&config.socket)?, &id, json).await,
    }
    Ok(Exit::Success)
}

/// Plugins that domains name and that are not installed, or no longer what was installed.
pub fn check(config: &Config) -> Vec<Problem> {
    let plugins = Layout::new(&config.state_dir).plugins();
    let mut problems = Vec::new();
    for domain in config.domains.values() {
        let Some(id) = &domain.plugin else { continue };
        if let Err(e) = wengu_plugin_package::find(&plugins, id) {
            problems.push(Problem::error(
                &format!("domains.{}.plugin", domain.name),
                &format!("plugin {id} cannot be used: {e}"),
                "install it with `wengu plugin install DIR`",
            ));
        }
    }
    problems
}
