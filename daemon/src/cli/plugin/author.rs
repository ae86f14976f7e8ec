//! What the author of a plugin does.

use crate::cli::Exit;
use crate::cli::args::PluginLang;
use anyhow::Result;
use serde_json::json;
use std::path::Path;
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
        println!("  wengu plugin install {dir} --allow-unsigned");
        println!("  and in wengu.toml, under the domain: plugin = \"{id}\"");
    }
    Ok(Exit::Success)
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
