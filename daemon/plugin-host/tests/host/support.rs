use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use wengu_plugin_client::{LabelInput, Options, PluginClient, PluginEnd};
use wengu_plugin_package::{Installed, Keys, Package, PluginFolder};

pub const HOST: &str = env!("CARGO_BIN_EXE_wengu-plugin-host");

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An installed plugin, in a folder that goes with it.
pub struct Plugin {
    pub installed: Installed,
    _dir: tempfile::TempDir,
}

impl Plugin {
    /// Installs `manifest` (under the repository) with this library.
    pub fn install(manifest: &str, library: &Path) -> Plugin {
        let dir = tempfile::tempdir().unwrap();
        let package = Package::read(&repository().join(manifest), Some(library)).unwrap();
        let folder = PluginFolder::new(dir.path().to_owned(), Keys::default());
        let installed = folder.install(&package, true).unwrap().installed;
        Plugin { installed, _dir: dir }
    }

    /// A plugin that cargo has built for this test: its library lies beside the test.
    pub fn rust(manifest: &str, library: &str) -> Plugin {
        let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        Plugin::install(manifest, &deps.join(library))
    }

    /// A plugin that breaks one rule; `""` breaks none by itself.
    pub fn misbehaving(misdeed: &str) -> Plugin {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("libmisbehaves.so");
        let source = repository().join("tests/plugins/misbehaving/misbehaves.c");
        compile(&source, &library, &[&format!("-DMISDEED_{misdeed}")]);
        Plugin::install("tests/plugins/misbehaving/manifest.toml", &library)
    }

    pub async fn start(&self) -> Result<PluginClient, PluginEnd> {
        self.start_with(serde_json::json!({})).await
    }

    pub async fn start_with(&self, config: serde_json::Value) -> Result<PluginClient, PluginEnd> {
        PluginClient::start(Path::new(HOST), &self.installed, Options { config, ..options() }).await
    }

    /// The check that refuses it, and its message.
    pub async fn refusal(&self) -> (String, String) {
        match self.start().await.map(drop).unwrap_err().end {
            wengu_plugin_client::End::Refused { check, message } => (check, message),
            other => panic!("{other}"),
        }
    }
}

/// Limits long enough for a busy machine, short enough for a test.
pub fn options() -> Options {
    let (silence_timeout, call_timeout) = (Duration::from_secs(20), Duration::from_secs(40));
    Options {
        silence_timeout,
        call_timeout,
        ..Options::default()
    }
}

pub fn compile(source: &Path, library: &Path, flags: &[&str]) {
    let include = repository().join("plugin-api/include");
    let output = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused",
            "-O1",
            "-fPIC",
            "-shared",
        ])
        .arg("-fvisibility=hidden")
        .args(flags)
        .arg("-I")
        .arg(include)
        .arg("-o")
        .args([library, source])
        .output()
        .expect("the tests need a C compiler named cc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn document(text: &str) -> LabelInput {
    LabelInput {
        text: text.into(),
        metadata: r#"{"path":"a.txt"}"#.into(),
        seed: 1,
    }
}
