//! Whether what a domain trains goes with its base model, said before it is trained.

use crate::headers;
use anyhow::{Error, Result, bail};
use std::io;
use std::path::Path;
use wengu_config::{Config, Domain, Problem};
use wengu_protocol::job::{BOTTLENECK_FAMILIES, Method};

/// A setting that does not go with the model.
struct Misfit {
    /// The key that asks for it, below the domain.
    key: &'static str,
    message: String,
    remedy: String,
}

/// The models that are none, and what of all domains does not go with their models.
pub fn check(config: &Config) -> Vec<Problem> {
    let models = config.models.iter();
    let mut problems: Vec<Problem> = models
        .filter_map(|(name, model)| {
            let error = unsound(&model.path)?;
            let remedy = "download it with `wengu model pull`, or correct the path";
            Some(config.error_at(&format!("models.{name}.path"), format!("{error:#}"), remedy))
        })
        .collect();
    for domain in config.domains.values() {
        let Some(model) = config.models.get(&domain.model) else {
            continue;
        };
        let misfit = misfit(domain, &domain.learning.method, &model.path).ok().flatten();
        problems.extend(misfit.map(|misfit| {
            let key = format!("domains.{}.{}", domain.name, misfit.key);
            config.error_at(&key, misfit.message, &misfit.remedy)
        }));
    }
    problems
}

/// What is wrong with a model whose files are there. That they are missing or closed to this user is told with the environment.
fn unsound(folder: &Path) -> Option<Error> {
    let has = |name: &str| folder.join(name).exists();
    if !has("config.json") || !(has("model.safetensors") || has("model.safetensors.index.json")) {
        return None;
    }
    let read = headers::describe(folder).and_then(|_| headers::tensors(folder));
    let is_closed = |error: &Error| {
        let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
        causes.any(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
    };
    read.err().filter(|error| !is_closed(error))
}

/// Refuses to plan a run of a method that does not go with the model.
///
/// # Errors
/// What does not go with it; a config.json that cannot be read.
pub fn require(domain: &Domain, method: &Method, model_dir: &Path) -> Result<()> {
    match misfit(domain, method, model_dir)? {
        None => Ok(()),
        Some(Misfit { key, message, remedy }) => bail!("{key}: {message} ({remedy})"),
    }
}

fn misfit(domain: &Domain, method: &Method, model_dir: &Path) -> Result<Option<Misfit>> {
    let described = headers::describe(model_dir)?;
    let (limit, length) = (described.shape.max_tokens, u64::from(domain.learning.max_length));
    let virtual_tokens = u64::from(method.virtual_tokens());
    if virtual_tokens > 0 && virtual_tokens + length > limit {
        return Ok(Some(Misfit {
            key: "learning.max_length",
            message: format!(
                "{virtual_tokens} virtual tokens before texts of {length} are more than the {limit} tokens that the model takes"
            ),
            remedy: format!("set `max_length = {}`", limit.saturating_sub(virtual_tokens).max(1)),
        }));
    }
    let family = described.family.as_str();
    if matches!(method, Method::Bottleneck(_)) && !BOTTLENECK_FAMILIES.contains(&family) {
        return Ok(Some(Misfit {
            key: "learning.method",
            message: format!(
                "bottleneck adapters have a place in {} only, and the model is \"{family}\"",
                BOTTLENECK_FAMILIES.join(", ")
            ),
            remedy: "set `method = \"lora\"`, or take another model".into(),
        }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(model: &str, learning: &str) -> Config {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/trainer");
        let model = golden.join(model).join("base");
        let text = format!(
            "state_dir = \"state\"\n[models.base]\npath = \"{}\"\n[domains.contracts]\nwatch = \"inbox\"\nmodel = \"base\"\n\
             [domains.contracts.learning]\n{learning}\n",
            model.display()
        );
        wengu_config::parse(&text, Path::new("/etc/wengu.toml")).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn a_prompt_has_to_leave_room_for_the_texts() {
        // The model takes 24 tokens.
        let config = config(
            "tiny",
            "method = \"prompt_tuning\"\nvirtual_tokens = 5\nmax_length = 20",
        );
        let problems = check(&config);
        let told: Vec<_> = problems.iter().map(|p| (p.key.as_str(), p.line)).collect();
        assert_eq!(told, [("domains.contracts.learning.max_length", Some(10))]);
        assert!(problems[0].remedy.contains("max_length = 19"), "{problems:?}");
        let domain = &config.domains["contracts"];
        let model = &config.models["base"].path;
        let said = require(domain, &domain.learning.method, model).unwrap_err().to_string();
        assert!(said.contains("5 virtual tokens"), "{said}");
    }

    #[test]
    fn a_model_that_is_none_is_told_and_one_that_is_missing_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config("tiny", "");
        let golden = config.models["base"].path.clone();
        config.models.get_mut("base").unwrap().path = folder.path().to_owned();
        assert_eq!(check(&config), [], "nothing is there");
        let text = std::fs::read_to_string(golden.join("config.json")).unwrap();
        std::fs::write(folder.path().join("config.json"), &text).unwrap();
        assert_eq!(check(&config), [], "no weights are there");
        std::fs::write(folder.path().join("model.safetensors"), u64::MAX.to_le_bytes()).unwrap();
        let problems = check(&config);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(
            (problems[0].key.as_str(), problems[0].line),
            ("models.base.path", Some(3))
        );
        let said = &problems[0].message;
        assert!(said.contains("model.safetensors") && said.contains("at most"), "{said}");
        std::fs::copy(
            golden.join("model.safetensors"),
            folder.path().join("model.safetensors"),
        )
        .unwrap();
        assert_eq!(check(&config), []);
    }

    #[test]
    fn bottlenecks_need_a_family_that_has_a_place_for_them() {
        for model in ["qwen2", "qwen3", "deepseek_v2", "deepseek_v3"] {
            let config = config(model, "method = \"bottleneck\"");
            let problems = check(&config);
            let told: Vec<_> = problems.iter().map(|p| (p.key.as_str(), p.line)).collect();
            assert_eq!(told, [("domains.contracts.learning.method", Some(8))]);
            assert!(problems[0].message.contains(&format!("\"{model}\"")), "{problems:?}");
        }
    }

    #[test]
    fn what_fits_is_no_problem() {
        for (model, learning) in [
            (
                "tiny",
                "method = \"prompt_tuning\"\nvirtual_tokens = 5\nmax_length = 19",
            ),
            // Without a prompt the tokenizer says what is too long.
            ("tiny", "max_length = 25"),
            ("tiny", "method = \"bottleneck\""),
            ("xlmr", "method = \"bottleneck\""),
            ("llama", "method = \"bottleneck\""),
        ] {
            let config = config(model, learning);
            assert_eq!(check(&config), []);
            let domain = &config.domains["contracts"];
            require(domain, &domain.learning.method, &config.models["base"].path).unwrap();
        }
    }
}
