//! Whether the servers that domains name can load what would be trained.

use anyhow::{Result, bail};
use wengu_config::{Config, Domain, Problem};
use wengu_decide::serving::{Adapter, AdapterKind, Refusal, refusals};
use wengu_protocol::job::Method;

/// What the servers of all domains could not load.
pub fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for domain in config.domains.values() {
        let model = config.models.get(&domain.model);
        // A model that cannot be read is told elsewhere; what does not hang on it is told all the same.
        let own = model.and_then(|model| crate::model::target_modules(&model.path).ok());
        let refused = refused(domain, &domain.learning.method, &own.unwrap_or_default());
        problems.extend(refused.into_iter().map(|refusal| {
            let key = format!("domains.{}.{}", domain.name, refusal.key);
            config.error_at(&key, refusal.message, &refusal.remedy)
        }));
    }
    problems
}

/// Refuses to plan a run whose result the domain's server could not load.
///
/// # Errors
/// Everything that it could not load, with what to do.
pub fn require(domain: &Domain, method: &Method) -> Result<()> {
    let refused = refused(domain, method, &[]);
    if refused.is_empty() {
        return Ok(());
    }
    let told = refused
        .into_iter()
        .map(|r| format!("{}: {} ({})", r.key, r.message, r.remedy));
    bail!(
        "the server of `serve` could not load what would be trained: {}",
        told.collect::<Vec<_>>().join("; ")
    )
}

/// `own` are the layers that are adapted where the method names none.
fn refused(domain: &Domain, method: &Method, own: &[String]) -> Vec<Refusal> {
    let Some(server) = domain.serve else {
        return Vec::new();
    };
    let kind = match method {
        Method::Lora(lora) => AdapterKind::Lora {
            rank: lora.largest_rank(),
            target_modules: match lora.target_modules.is_empty() {
                true => own,
                false => &lora.target_modules,
            },
            modules_to_save: &lora.modules_to_save,
            dora: lora.use_dora,
        },
        Method::PromptTuning(_) => AdapterKind::PromptTuning,
        Method::Bottleneck(_) => AdapterKind::Bottleneck,
        // Measured beside an update, never served.
        Method::HeadOnly => return Vec::new(),
    };
    let adapter = Adapter {
        task: domain.task,
        kind,
        term_tokens: domain.learning.term_tokens > 0,
    };
    refusals(server, &adapter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(domain: &str, learning: &str) -> Config {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/trainer/llama/base");
        let text = format!(
            "state_dir = \"state\"\n[models.base]\npath = \"{}\"\n[domains.contracts]\nwatch = \"inbox\"\nmodel = \"base\"\n\
             {domain}\n[domains.contracts.learning]\ndistill_alpha = 0.0\n{learning}\n",
            model.display()
        );
        wengu_config::parse(&text, Path::new("/etc/wengu.toml")).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn every_problem_has_the_line_that_asks_for_it() {
        let config = config("serve = { kind = \"vllm\" }", "rank = 32\ntarget_modules = [\"query\"]");
        let problems = check(&config);
        let told: Vec<_> = problems.iter().map(|p| (p.key.as_str(), p.line)).collect();
        // The task is not written: its domain stands for it.
        let expected = [
            ("domains.contracts.task", Some(4)),
            ("domains.contracts.learning.rank", Some(10)),
            ("domains.contracts.learning.target_modules", Some(11)),
        ];
        assert_eq!(told, expected);
        let domain = &config.domains["contracts"];
        let said = require(domain, &domain.learning.method).unwrap_err().to_string();
        assert!(said.contains("rank 32") && said.contains("query"), "{said}");
    }

    #[test]
    fn prompts_and_bottlenecks_are_loaded_by_no_server() {
        let writes = "task = \"causal_lm\"\nserve = { kind = \"vllm\" }";
        for (method, said) in [
            ("prompt_tuning", "vLLM loads no trained prompt"),
            ("bottleneck", "vLLM loads no bottleneck adapter"),
        ] {
            let config = config(writes, &format!("method = \"{method}\""));
            let problems = check(&config);
            let told: Vec<_> = problems.iter().map(|p| (p.key.as_str(), p.line)).collect();
            assert_eq!(told, [("domains.contracts.learning.method", Some(11))]);
            assert!(problems[0].message.contains(said), "{problems:?}");
        }
    }

    #[test]
    fn what_a_server_loads_and_a_domain_without_one_have_no_problem() {
        let writes = "task = \"causal_lm\"";
        for serve in [
            "",
            "serve = { kind = \"mistral.rs\" }",
            "serve = { kind = \"vllm\", max_lora_rank = 8 }",
        ] {
            let config = config(&format!("{writes}\n{serve}"), "");
            assert_eq!(check(&config), []);
            let domain = &config.domains["contracts"];
            require(domain, &domain.learning.method).unwrap();
        }
    }
}
