//! What the author of a plugin does.

use crate::cli::Exit;
use crate::cli::args::PluginLang;
use anyhow::{Context, Result};
use serde_json::json;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use wengu_plugin_package::Package;
use wengu_plugin_template::Language;

/// `wengu plugin new`.
pub fn new(name: &str, lang: PluginLang, dir: Option<&Path>, as_json: bool) -> Result<Exit> {
    let dir = dir.unwrap_or(Path::new(name));
    let language = match lang {
        PluginLang::Rust => Language::Rust,
        PluginLang::C => Language::C,
    };
    let id = wengu_plugin_template::write(name, language, dir)?;
    if as_json {
        println!("{}", json!({"id": id, "dir": dir}));
    } else {
        let dir = dir.display();
        println!("Made {dir}, the plugin {id}. Next:");
        println!("  make -C {dir}");
        println!("  wengu plugin check {dir}");
        println!("  wengu plugin install {dir} --allow-unsigned");
        println!("  and in wengu.toml, under the domain: plugin = \"{id}\"");
    }
    Ok(Exit::Success)
}

/// `wengu plugin check`: the validator's own program, since this one never loads a library.
pub fn check(arguments: Vec<OsString>, as_json: bool) -> Result<Exit> {
    let program = crate::model::sibling("wengu-plugin-check")?;
    let mut command = Command::new(&program);
    if as_json {
        command.arg("--json");
    }
    let status = command.args(arguments).status();
    let status = status.with_context(|| format!("{} could not be started", program.display()))?;
    Ok(match status.code() {
        Some(0) => Exit::Success,
        // Its own usage error: the numbers are the same for both programs.
        Some(2) => std::process::exit(2),
        _ => Exit::Failure,
    })
}

/// `wengu plugin pack`.
pub fn pack(source: &Path, library: Option<&Path>, out: &Path, as_json: bool) -> Result<Exit> {
    let package = Package::read(source, library)?;
    package.write_to(out)?;
    let m = package.manifest();
    if as_json {
        println!(
            "{}",
            json!({"id": m.id, "version": m.version, "sha256": m.sha256, "dir": out})
        );
    } else {
        println!("Packed {} {} into {}.", m.id, m.version, out.display());
        println!("Sign it with `minisign -Sm {}`;", out.join("manifest.toml").display());
        println!("then give away the folder, or a .tar.gz of it.");
    }
    Ok(Exit::Success)
}
