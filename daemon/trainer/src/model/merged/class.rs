//! Which class of transformers computes what a model computes, and its config.json.

use crate::error::TrainerError;
use crate::model::{Model, Pooling};
use serde_json::{Map, Value, json};
use wengu_protocol::job::{JobEnd, Task};
use wengu_protocol::merge::Precision;

/// A class of transformers.
pub struct Class {
    /// Its name.
    pub name: String,
    /// What the names of the encoder's tensors begin with.
    pub prefix: &'static str,
    /// The head's tensors in it, where there is one.
    pub head: Option<HeadNames>,
    /// Whether BERT's pooler belongs to it.
    pub pooler: bool,
    /// Why the head is not in it.
    pub apart: Option<String>,
}

/// Names of a head's tensors.
pub struct HeadNames {
    /// Of the weight.
    pub weight: &'static str,
    /// Of the bias, where the class has one.
    pub bias: Option<&'static str>,
}

/// What the names of transformers' classes for models of this `model_type` begin with.
pub fn family_name(model_type: &str) -> Result<&'static str, TrainerError> {
    Ok(match model_type {
        "bert" => "Bert",
        "xlm-roberta" => "XLMRoberta",
        "roberta" => "Roberta",
        "llama" => "Llama",
        "qwen2" => "Qwen2",
        "qwen3" => "Qwen3",
        "deepseek_v2" => "DeepseekV2",
        "deepseek_v3" => "DeepseekV3",
        other => {
            let message = format!("transformers' class for model_type \"{other}\" is not known here");
            return Err(TrainerError::new(JobEnd::BadModel, message));
        }
    })
}

impl Class {
    /// The class for a model of this `model_type`.
    pub fn of(model: &Model, model_type: &str) -> Result<Class, TrainerError> {
        let family = family_name(model_type)?;
        let prefix = model.encoder.prefix();
        let decoder = prefix == "model.";
        let in_model = |kind: &str, head, pooler| Class {
            name: format!("{family}For{kind}"),
            prefix,
            head,
            pooler,
            apart: None,
        };
        let (weight, bias) = if decoder {
            ("score.weight", "score.bias")
        } else {
            ("classifier.weight", "classifier.bias")
        };
        let with_bias = Some(HeadNames {
            weight,
            bias: Some(bias),
        });
        let unbiased = match model.head() {
            Some((_, bias)) => bias.f_abs()?.f_max()?.f_double_value(&[])? == 0.0,
            None => true,
        };
        Ok(match (model.task, model.pooling) {
            (Task::CausalLm, _) => in_model("CausalLM", None, false),
            (Task::TokenClassification, _) => in_model("TokenClassification", with_bias, false),
            (_, Pooling::Pooler) => in_model("SequenceClassification", with_bias, true),
            (_, Pooling::Last) if decoder && unbiased => {
                in_model("SequenceClassification", Some(HeadNames { weight, bias: None }), false)
            }
            (_, pooling) => {
                let why = match pooling {
                    Pooling::Last if decoder => {
                        format!("transformers' {family}ForSequenceClassification has no bias, and this head has one")
                    }
                    other => format!("transformers has no class that classifies {} vector", other.of_tokens()),
                };
                Class {
                    name: format!("{family}Model"),
                    prefix: "",
                    head: None,
                    pooler: true,
                    apart: Some(why),
                }
            }
        })
    }

    /// The base model's config.json for this class.
    pub fn config(&self, base: Map<String, Value>, model: &Model, vocab: i64, precision: Option<Precision>) -> Value {
        let mut config = base;
        config.insert("architectures".into(), json!([self.name]));
        config.insert("vocab_size".into(), json!(vocab));
        for left in ["num_labels", "id2label", "label2id", "problem_type"] {
            config.remove(left);
        }
        if config.contains_key("num_nextn_predict_layers") {
            config.insert("num_nextn_predict_layers".into(), json!(0));
        }
        let was_quantized = config.remove("quantization_config").is_some();
        if self.head.is_some() {
            let names = model.labels.iter().enumerate();
            let by_id: Map<String, Value> = names.clone().map(|(id, name)| (id.to_string(), json!(name))).collect();
            let by_name: Map<String, Value> = names.map(|(id, name)| (name.clone(), json!(id))).collect();
            config.insert("id2label".into(), by_id.into());
            config.insert("label2id".into(), by_name.into());
        }
        let problem = match model.task {
            Task::SequenceClassification => Some("single_label_classification"),
            Task::MultiLabelClassification => Some("multi_label_classification"),
            Task::TokenClassification | Task::CausalLm => None,
        };
        if let Some(problem) = problem.filter(|_| self.head.is_some()) {
            config.insert("problem_type".into(), json!(problem));
        }
        if let Some(precision) = precision.or(was_quantized.then_some(Precision::Bf16)) {
            let name = match precision {
                Precision::F32 => "float32",
                Precision::Bf16 => "bfloat16",
                Precision::F16 => "float16",
            };
            config.remove("dtype");
            config.insert("torch_dtype".into(), json!(name));
        }
        config.into()
    }
}

impl Pooling {
    /// For people, before "vector".
    fn of_tokens(self) -> &'static str {
        match self {
            Pooling::Mean => "the mean token",
            Pooling::Cls => "the bare first token's",
            Pooling::Last => "the last token's",
            Pooling::Pooler => "the pooler's",
        }
    }

    /// As 1_Pooling/config.json of a sentence-transformers folder.
    pub(super) fn config(self, hidden: i64) -> Value {
        json!({
            "word_embedding_dimension": hidden,
            "pooling_mode_cls_token": self == Pooling::Cls,
            "pooling_mode_mean_tokens": self == Pooling::Mean,
            "pooling_mode_lasttoken": self == Pooling::Last,
        })
    }
}
