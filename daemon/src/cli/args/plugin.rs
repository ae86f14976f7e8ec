//! `wengu plugin`.

use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

/// `wengu plugin`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  wengu plugin install contracts-1.0.0.tar.gz\n  wengu plugin install plugins/legal-en --library target/debug/libwengu_plugin_legal_en.so --allow-unsigned\n  wengu plugin new triage --lang c"
)]
pub struct PluginArgs {
    /// What to do
    #[command(subcommand)]
    pub action: PluginAction,
}

/// `wengu plugin …`.
#[derive(Debug, Subcommand)]
pub enum PluginAction {
    /// Check a package, copy it into the state directory, and put it to use
    Install(PackageArgs),
    /// The same, over an older version alone
    Upgrade(PackageArgs),
    /// Put an earlier version to use again
    Rollback {
        /// The plugin's id
        id: String,
        /// The version to go back to [default: the one before the one in use]
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// Installed plugins
    List,
    /// Everything about one plugin
    Info {
        /// The plugin's id
        id: String,
    },
    /// Read the installed libraries again and compare them with what was installed
    Verify {
        /// The plugin's id; every plugin without it
        id: Option<String>,
    },
    /// Take a plugin out of the state directory
    Remove {
        /// The plugin's id
        id: String,
        /// Also if a domain of the configuration names it
        #[arg(long)]
        force: bool,
    },
    /// How often each labelling function of a domain speaks, agrees and is right
    #[command(
        after_help = "Counts every text of the domain once. The estimated accuracy is learned from agreement alone; \"on gold\" is counted\nwhere a text has a label of its own. The weight is less than 1 for a function that says what others say.\n\nExample:\n  wengu plugin functions contracts"
    )]
    Functions {
        /// The domain
        domain: String,
    },
    /// Give a plugin no more files; they wait
    Disable {
        /// The plugin's id
        id: String,
    },
    /// Let a plugin be started again that was disabled or failed too often
    Enable {
        /// The plugin's id
        id: String,
    },
    /// Begin a plugin of your own: a folder that builds, installs and labels
    New {
        /// Its name: a-z, 0-9 and -
        name: String,
        /// What it is written in
        #[arg(long, value_enum, default_value = "rust")]
        lang: PluginLang,
        /// The folder to make [default: the name]
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
    /// Try a plugin against every rule of the ABI, each case in a process of its own
    #[command(disable_help_flag = true)]
    Check {
        /// What `wengu-plugin-check` takes; --help tells
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "PACKAGE | OPTIONS"
        )]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Make a package of your own plugin, ready to be signed
    Pack {
        /// Folder with manifest.toml
        source: PathBuf,
        /// The library, where it is not in the folder
        #[arg(long, value_name = "FILE")]
        library: Option<PathBuf>,
        /// The package's folder, which is made
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
}

/// Languages that `wengu plugin new` knows.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum PluginLang {
    /// With the safe SDK
    Rust,
    /// With the header alone
    C,
}

/// The package of `wengu plugin install` and `upgrade`.
#[derive(Debug, ClapArgs)]
pub struct PackageArgs {
    /// A folder with manifest.toml, a .tar.gz of one, or the library in one
    pub package: PathBuf,
    /// The library, where it is not in the folder
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// Also without a signature by one of `[plugins] keys`; `wengu status` goes on telling
    #[arg(long)]
    pub allow_unsigned: bool,
}
