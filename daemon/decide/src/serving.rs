//! What an inference server cannot load of an adapter, said before it is trained.
//!
//! Sources: vLLM `lora/peft_helper.py` and `check_unexpected_modules`; SGLang `docs/advanced_features/lora`; mistral.rs
//! `guides/customize/lora-adapters`; TensorRT-LLM `features/lora`. What a server's pages do not say that it loads counts as
//! not loaded.

use wengu_protocol::job::Task;

/// Servers that take PEFT directories at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// mistral.rs.
    MistralRs,
    /// TensorRT-LLM with its PyTorch backend.
    TensorrtLlm,
}

impl ServerKind {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            ServerKind::Vllm => "vLLM",
            ServerKind::Sglang => "SGLang",
            ServerKind::MistralRs => "mistral.rs",
            ServerKind::TensorrtLlm => "TensorRT-LLM",
        }
    }

    /// The largest rank that it takes where it is started without an option for it; None: it is not documented.
    pub fn default_max_rank(self) -> Option<u32> {
        (self == ServerKind::Vllm).then_some(16)
    }

    /// The option that raises the rank.
    fn rank_option(self) -> &'static str {
        match self {
            ServerKind::Vllm | ServerKind::Sglang => "start the server with a larger --max-lora-rank",
            ServerKind::TensorrtLlm => "give its LoraConfig a larger max_lora_rank",
            ServerKind::MistralRs => "raise its limit",
        }
    }
}

/// A server that a domain's versions are served by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Which one.
    pub kind: ServerKind,
    /// The largest rank that it was started for; None: its default.
    pub max_lora_rank: Option<u32>,
}

/// What is trained beside the frozen model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdapterKind<'a> {
    /// Low-rank factors of these layers, as PEFT's `target_modules` names them.
    Lora {
        /// Rank.
        rank: u32,
        /// Ends of the names of the adapted layers.
        target_modules: &'a [String],
        /// Modules that are trained whole, without a head.
        modules_to_save: &'a [String],
        /// Whether magnitudes are trained too (DoRA).
        dora: bool,
    },
    /// Embeddings before the text.
    PromptTuning,
    /// Small layers behind the model's own.
    Bottleneck,
}

/// An adapter that is to be trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter<'a> {
    /// What the model answers.
    pub task: Task,
    /// What is trained.
    pub kind: AdapterKind<'a>,
    /// Whether terms have tokens of their own.
    pub term_tokens: bool,
}

/// Something that the server cannot load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The key that asks for it, below the domain.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Linear layers of decoders that all of the servers adapt, each by the end of its name.
const KNOWN_MODULES: [&str; 7] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
];
const MERGE: &str = "serve what `wengu export DOMAIN --merged FOLDER` writes, without `serve`";

/// Everything of the adapter that the server cannot load; empty where it can.
pub fn refusals(server: Server, adapter: &Adapter) -> Vec<Refusal> {
    let name = server.kind.name();
    let mut found = Vec::new();
    let mut refuse = |key, message: String, remedy: String| found.push(Refusal { key, message, remedy });
    if adapter.task != Task::CausalLm {
        let message = format!("{name} takes no head with an adapter (modules_to_save), and a classifier has one");
        refuse("task", message, MERGE.into());
    }
    if adapter.term_tokens {
        let message = format!("{name} takes no rows of the table of embeddings with an adapter");
        refuse(
            "learning.term_tokens",
            message,
            format!("set `term_tokens = 0`, or {MERGE}"),
        );
    }
    match &adapter.kind {
        AdapterKind::PromptTuning => {
            refuse(
                "learning.method",
                format!("{name} loads no trained prompt"),
                "train a LoRA adapter instead".into(),
            );
        }
        AdapterKind::Bottleneck => {
            refuse(
                "learning.method",
                format!("{name} loads no bottleneck adapter"),
                "train a LoRA adapter instead".into(),
            );
        }
        AdapterKind::Lora {
            rank,
            target_modules,
            modules_to_save,
            dora,
        } => {
            let most = server.max_lora_rank.or(server.kind.default_max_rank());
            if let Some(most) = most.filter(|most| rank > most) {
                let option = server.kind.rank_option();
                let remedy = format!("set `rank = {most}`, or {option} and write it into `serve`");
                refuse(
                    "learning.rank",
                    format!("rank {rank} is above the {most} that {name} takes"),
                    remedy,
                );
            }
            if let Some(module) = modules_to_save.first() {
                let message =
                    format!("{name} takes no whole module such as {module} with an adapter (modules_to_save)");
                refuse(
                    "learning.modules_to_save",
                    message,
                    format!("leave `modules_to_save` out, or {MERGE}"),
                );
            }
            if *dora {
                let message = format!("{name} loads no DoRA adapter");
                refuse("learning.method", message, format!("train plain LoRA, or {MERGE}"));
            }
            let unknown: Vec<&str> = target_modules
                .iter()
                .map(String::as_str)
                .filter(|m| !is_known(m))
                .collect();
            if !unknown.is_empty() {
                let message = format!("{name} does not adapt the layers {}", unknown.join(", "));
                let remedy = format!("choose among {}, or {MERGE}", KNOWN_MODULES.join(", "));
                refuse("learning.target_modules", message, remedy);
            }
        }
    }
    found
}

/// Servers look at the last part of a layer's name.
fn is_known(module: &str) -> bool {
    KNOWN_MODULES.contains(&module.rsplit('.').next().unwrap_or(module))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ServerKind; 4] = [
        ServerKind::Vllm,
        ServerKind::Sglang,
        ServerKind::MistralRs,
        ServerKind::TensorrtLlm,
    ];

    fn names(modules: &[&str]) -> Vec<String> {
        modules.iter().map(|&module| module.to_owned()).collect()
    }

    fn keys(server: Server, adapter: &Adapter) -> Vec<&'static str> {
        let found = refusals(server, adapter);
        assert!(
            found
                .iter()
                .all(|r| r.message.contains(server.kind.name()) && !r.remedy.is_empty())
        );
        found.into_iter().map(|refusal| refusal.key).collect()
    }

    #[test]
    fn a_plain_adapter_of_a_decoder_is_loaded_by_all() {
        let target_modules = &names(&["q_proj", "self_attn.v_proj", "mlp.down_proj"]);
        let kind = AdapterKind::Lora {
            rank: 16,
            target_modules,
            modules_to_save: &[],
            dora: false,
        };
        let adapter = Adapter {
            task: Task::CausalLm,
            kind,
            term_tokens: false,
        };
        for kind in ALL {
            assert!(
                keys(
                    Server {
                        kind,
                        max_lora_rank: None
                    },
                    &adapter
                )
                .is_empty()
            );
        }
    }

    #[test]
    fn the_rank_is_held_to_what_the_server_was_started_for() {
        let target_modules = &names(&["q_proj"]);
        let of = |rank, kind, max_lora_rank| {
            let kind_of = AdapterKind::Lora {
                rank,
                target_modules,
                modules_to_save: &[],
                dora: false,
            };
            let adapter = Adapter {
                task: Task::CausalLm,
                kind: kind_of,
                term_tokens: false,
            };
            keys(Server { kind, max_lora_rank }, &adapter).len()
        };
        assert_eq!([of(16, ServerKind::Vllm, None), of(17, ServerKind::Vllm, None)], [0, 1]);
        assert_eq!(
            [of(64, ServerKind::Vllm, Some(64)), of(9, ServerKind::Sglang, Some(8))],
            [0, 1]
        );
        // What SGLang was started for is not known here unless the configuration says it.
        assert_eq!(of(512, ServerKind::Sglang, None), 0);
    }

    #[test]
    fn everything_that_cannot_be_loaded_is_told_at_once() {
        let target_modules = &names(&["query", "q_proj", "lm_head"]);
        let kind = AdapterKind::Lora {
            rank: 32,
            target_modules,
            modules_to_save: &[],
            dora: true,
        };
        let adapter = Adapter {
            task: Task::SequenceClassification,
            kind,
            term_tokens: true,
        };
        for kind in ALL {
            let server = Server {
                kind,
                max_lora_rank: Some(16),
            };
            let expected = [
                "task",
                "learning.term_tokens",
                "learning.rank",
                "learning.method",
                "learning.target_modules",
            ];
            assert_eq!(keys(server, &adapter), expected);
            let told = refusals(server, &adapter);
            assert!(told[4].message.ends_with("query, lm_head"), "{told:?}");
        }
    }

    #[test]
    fn other_adapters_than_lora_and_the_head_of_labelled_tokens_are_refused() {
        for kind in [AdapterKind::PromptTuning, AdapterKind::Bottleneck] {
            let adapter = Adapter {
                task: Task::TokenClassification,
                kind,
                term_tokens: false,
            };
            let server = Server {
                kind: ServerKind::Vllm,
                max_lora_rank: None,
            };
            assert_eq!(keys(server, &adapter), ["task", "learning.method"]);
        }
    }
}
