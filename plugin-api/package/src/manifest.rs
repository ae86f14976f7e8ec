use serde::{Deserialize, Serialize};

/// The manifest's file name, beside the library.
pub const MANIFEST_FILE: &str = "manifest.toml";

/// The newest ABI that this build understands, as `major.minor`.
const ABI_MAJOR: u32 = 1;

/// `manifest.toml`: what a plugin is, read without loading any code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Reverse DNS: `org.example.contracts`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// `legal`, `medical`, ...
    pub domain: String,
    /// ABI that the library was built for: `major.minor`.
    pub abi: String,
    /// BCP 47 tags.
    pub languages: Vec<String>,
    /// Extension ids: `wengu.segmenter/1`, ...
    pub provides: Vec<String>,
    /// The library, beside the manifest.
    pub file: String,
    /// Lowercase hex SHA-256 of the library. May be absent in a source folder, never in an installed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// SPDX expression.
    pub license: String,
    /// What the plugin may use.
    #[serde(default)]
    pub limits: Limits,
}

/// What a plugin may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Address space of the plugin's process.
    pub memory_mib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { memory_mib: 1024 }
    }
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, a key missing, unknown or of the wrong type.
    #[error("the manifest cannot be read: {0}")]
    Malformed(#[from] Box<toml::de::Error>),
    /// A value that is not allowed.
    #[error("manifest key `{key}` is {value:?}; it must be {rule}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        rule: &'static str,
    },
    /// Built for another major version of the ABI.
    #[error("the plugin is built for ABI {plugin}; this host knows ABI {ABI_MAJOR}.x: build the plugin again")]
    Abi {
        /// The manifest's `abi`.
        plugin: String,
    },
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
        let manifest: Manifest = toml::from_str(text).map_err(Box::new)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let rule = |holds: bool, key, value: &str, rule| match holds {
            true => Ok(()),
            false => Err(ManifestError::Value {
                key,
                value: value.to_owned(),
                rule,
            }),
        };
        // Id and version become names of folders.
        let id_rule = "two or more parts of a-z, 0-9 and -, joined by dots, such as org.example.contracts";
        rule(is_id(&self.id), "id", &self.id, id_rule)?;
        rule(
            !self.name.trim().is_empty() && self.name.len() <= 200,
            "name",
            &self.name,
            "1 to 200 bytes of text",
        )?;
        rule(
            is_version(&self.version),
            "version",
            &self.version,
            "a semantic version such as 1.0.0",
        )?;
        rule(
            is_part(&self.domain),
            "domain",
            &self.domain,
            "a word of a-z, 0-9 and -",
        )?;
        match self
            .abi
            .split_once('.')
            .map(|(major, minor)| (major.parse::<u32>(), minor.parse::<u32>()))
        {
            Some((Ok(ABI_MAJOR), Ok(_))) => {}
            Some((Ok(_), Ok(_))) => {
                return Err(ManifestError::Abi {
                    plugin: self.abi.clone(),
                });
            }
            _ => rule(false, "abi", &self.abi, "major.minor, such as 1.0")?,
        }
        rule(!self.languages.is_empty(), "languages", "", "at least one BCP 47 tag")?;
        for tag in &self.languages {
            let ok = !tag.is_empty() && tag.split('-').all(|p| is_word(p, |c| c.is_ascii_alphanumeric()));
            rule(ok, "languages", tag, "BCP 47 tags such as en or zh-Hans")?;
        }
        rule(!self.provides.is_empty(), "provides", "", "at least one extension id")?;
        for id in &self.provides {
            let ok = id.rsplit_once('/').is_some_and(|(name, revision)| {
                is_id(name)
                    && revision
                        .parse::<u32>()
                        .is_ok_and(|r| r > 0 && r.to_string() == revision)
            });
            rule(ok, "provides", id, "extension ids such as wengu.labeler/1")?;
        }
        let mut provides = self.provides.clone();
        provides.sort();
        provides.dedup();
        rule(
            provides.len() == self.provides.len(),
            "provides",
            &self.provides.join(", "),
            "without repeats",
        )?;
        let file_ok = self.file.strip_suffix(".so").is_some_and(|stem| {
            is_word(stem, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) && !stem.starts_with('.')
        });
        rule(
            file_ok,
            "file",
            &self.file,
            "the name of a .so file beside the manifest",
        )?;
        if let Some(sha256) = &self.sha256 {
            let ok = sha256.len() == 64 && is_word(sha256, |c| matches!(c, '0'..='9' | 'a'..='f'));
            rule(ok, "sha256", sha256, "64 lowercase hex digits")?;
        }
        rule(
            !self.license.trim().is_empty(),
            "license",
            &self.license,
            "an SPDX expression",
        )?;
        let memory = self.limits.memory_mib;
        rule(
            (16..=1 << 20).contains(&memory),
            "limits.memory_mib",
            &memory.to_string(),
            "from 16 to 1048576",
        )
    }
}

fn is_word(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

fn is_part(text: &str) -> bool {
    is_word(text, |c| matches!(c, 'a'..='z' | '0'..='9' | '-')) && !text.starts_with('-')
}

fn is_id(text: &str) -> bool {
    text.len() <= 100 && text.contains('.') && text.split('.').all(is_part)
}

fn is_version(text: &str) -> bool {
    text.len() <= 60 && semver::Version::parse(text).is_ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const GOOD: &str = r#"
id = "org.example.contracts"
name = "Contracts"
version = "1.0.0"
domain = "legal"
abi = "1.0"
languages = ["en", "zh-Hans"]
provides = ["wengu.segmenter/1", "wengu.labeler/1"]
file = "libcontracts.so"
license = "MIT"
"#;

    #[test]
    fn a_good_manifest_survives_writing_and_reading() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!(manifest.limits.memory_mib, 1024);
        assert_eq!(Manifest::parse(&toml::to_string(&manifest).unwrap()).unwrap(), manifest);
    }

    #[test]
    fn each_bad_value_is_named() {
        for (from, to, key) in [
            ("org.example.contracts", "../../etc", "`id`"),
            ("org.example.contracts", "contracts", "`id`"),
            ("org.example.contracts", "org..x", "`id`"),
            ("\"1.0.0\"", "\"../1.0.0\"", "`version`"),
            ("\"1.0.0\"", "\"1.0\"", "`version`"),
            ("\"legal\"", "\"Legal Things\"", "`domain`"),
            ("abi = \"1.0\"", "abi = \"one\"", "`abi`"),
            ("zh-Hans", "zh Hans", "`languages`"),
            ("wengu.labeler/1", "wengu.labeler/01", "`provides`"),
            ("wengu.labeler/1", "wengu.segmenter/1", "`provides`"),
            ("libcontracts.so", "../libcontracts.so", "`file`"),
            ("libcontracts.so", "libcontracts.dll", "`file`"),
            ("\"MIT\"", "\"\"", "`license`"),
            ("\"MIT\"", "\"MIT\"\nsha256 = \"ABC\"", "`sha256`"),
            ("\"MIT\"", "\"MIT\"\n[limits]\nmemory_mib = 1", "`limits.memory_mib`"),
            ("\"MIT\"", "\"MIT\"\ncolour = 1", "colour"),
            ("abi = \"1.0\"", "abi = \"2.0\"", "built for ABI 2.0"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let error = Manifest::parse(&text).expect_err(&text).to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
