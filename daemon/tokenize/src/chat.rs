//! Conversations as the model's own chat template writes them, and which of their tokens are answers.

use crate::guarded::guarded;
use crate::tokenizer::optional;
use crate::{TokenizeError, Tokenizer};
use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, context};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use wengu_protocol::model_files;

const CONFIG_FILE: &str = "tokenizer_config.json";
const TEMPLATE_FILE: &str = "chat_template.jinja";
/// For models without a template, which were taught no roles: the question, an empty line, the answer, the end.
const PLAIN: &str = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}\
                     {% else %}{{ '\\n\\n' }}{% endif %}{% endfor %}";

/// A template comes with a model, and may loop: so many of the engine's instructions are enough for any conversation.
const FUEL: u64 = 1_000_000;
const INDENT_MAX: usize = 64;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// A model's chat template, from its folder.
pub struct ChatTemplate {
    path: PathBuf,
    environment: Environment<'static>,
    special: BTreeMap<String, String>,
    /// Whether the template writes the tokens that begin a text itself.
    own: bool,
}

/// An instruction with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstructionExample {
    /// Token ids of all of it.
    pub ids: Vec<u32>,
    /// Which of them are the answer, or the token that ends it.
    pub answer: Vec<bool>,
}

#[derive(Default, Deserialize)]
struct Config {
    chat_template: Option<Templates>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<Named>),
}

#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

impl ChatTemplate {
    /// The template of chat_template.jinja or of tokenizer_config.json, where the one named "default" counts; for a model
    /// without one, a plain one: the question, an empty line, the answer.
    pub fn load(model_dir: &Path) -> Result<ChatTemplate, TokenizeError> {
        let path = model_dir.join(CONFIG_FILE);
        let config: Config = optional(&path, model_files::TOKENIZER_BYTES_MAX)?;
        let special = config.others.iter().filter_map(|(name, value)| {
            let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
            name.ends_with("_token").then(|| (name.clone(), text.to_owned()))
        });
        let special = special.collect();
        let file = model_dir.join(TEMPLATE_FILE);
        let template = model_files::read(&file, model_files::CONFIG_BYTES_MAX)
            .and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other));
        let (path, source) = match template {
            Ok(text) => (file, Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let source = match config.chat_template {
                    None => None,
                    Some(Templates::One(text)) => Some(text),
                    Some(Templates::Named(all)) => {
                        let default = all.into_iter().find(|named| named.name == "default");
                        Some(default.map(|named| named.template).ok_or_else(|| TokenizeError::Chat {
                            path: path.clone(),
                            message: "none of its templates is named \"default\"".into(),
                        })?)
                    }
                };
                (path, source)
            }
            Err(error) => {
                let message = error.to_string();
                return Err(TokenizeError::Model { path: file, message });
            }
        };
        let own = source.is_some();
        let source = source.unwrap_or_else(|| PLAIN.to_owned());
        let environment = environment(source).map_err(|error| TokenizeError::Chat {
            path: path.clone(),
            message: one_line(&error),
        })?;
        Ok(ChatTemplate {
            path,
            environment,
            special,
            own,
        })
    }

    /// The conversation as text; with `add_generation_prompt` what begins the next answer is added. As transformers'
    /// `apply_chat_template` writes it.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, TokenizeError> {
        let bad = |error: Error| self.error(one_line(&error));
        let special = Value::from_serialize(&self.special);
        let variables = context! { messages, add_generation_prompt, ..special };
        self.environment
            .get_template("chat")
            .and_then(|template| template.render(variables))
            .map_err(bad)
    }

    fn error(&self, message: String) -> TokenizeError {
        let path = self.path.clone();
        TokenizeError::Chat { path, message }
    }
}

impl Tokenizer {
    /// A question with its answer in the model's own form, tokenised once.
    ///
    /// # Errors
    /// A template whose text of question and answer does not begin with its text of the question alone, or that does not write
    /// the answer as it is.
    pub fn instruction(
        &self,
        template: &ChatTemplate,
        question: &str,
        answer: &str,
    ) -> Result<InstructionExample, TokenizeError> {
        let said = |role: &str, content: &str| Message {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        let asked = template.render(&[said("user", question)], true)?;
        let whole = template.render(&[said("user", question), said("assistant", answer)], false)?;
        let rest = whole.strip_prefix(asked.as_str()).ok_or_else(|| {
            template.error("its text of a question with an answer does not begin as that of the question does".into())
        })?;
        let at = rest
            .find(answer)
            .ok_or_else(|| template.error("it changes the answer".into()))?;
        // The model goes on where the question's text ends, with the space that some templates put before an answer.
        let (begin, end) = (asked.len(), asked.len() + at + answer.len());

        let encoding = guarded(|| self.inner.encode(whole.as_str(), false)).map_err(TokenizeError::Encode)?;
        let special = |id: u32| self.inner.get_added_vocabulary().is_special_token(&self.text_of(id));
        let mut ids = Vec::new();
        let mut answers = Vec::new();
        if !template.own {
            ids.extend_from_slice(self.before());
            answers.resize(ids.len(), false);
        }
        let mut ended = false;
        for (&id, &(from, to)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            // What comes after the token that ends the answer is of no use: nothing is asked of it, and nothing reads it.
            if ended {
                break;
            }
            // A token that reaches from the question into the answer is the answer's first: " A" after "Assistant:".
            let of_answer = to > begin;
            ended = of_answer && from >= end && special(id);
            ids.push(id);
            answers.push(of_answer);
        }
        Ok(InstructionExample { ids, answer: answers })
    }

    fn text_of(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }
}

/// As transformers sets jinja2 up.
fn environment(source: String) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| -> Result<String, Error> {
        let mut text = String::new();
        write!(text, "{}", chrono::Local::now().format(&format)).map_err(|_| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("{format:?} is no format of a time"),
            )
        })?;
        Ok(text)
    });
    environment.add_filter("tojson", to_json);
    environment.add_template_owned("chat", without_generation_marks(&source))?;
    Ok(environment)
}

/// `{% generation %}` marks answers and writes nothing; a block that is always taken writes the same.
fn without_generation_marks(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(begin) = rest.find("{%") {
        let Some(length) = rest[begin..].find("%}") else { break };
        let (before, block) = (&rest[..begin], &rest[begin..begin + length + 2]);
        let inside = block.trim_start_matches("{%").trim_end_matches("%}");
        let word = inside.trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        text.push_str(before);
        match word {
            "generation" => text.push_str(&block.replace("generation", "if true")),
            "endgeneration" => text.push_str(&block.replace("endgeneration", "endif")),
            _ => text.push_str(block),
        }
        rest = &rest[begin + length + 2..];
    }
    text + rest
}

/// Python's `json.dumps(value, ensure_ascii=False)`: a space after commas and colons, nothing escaped for HTML.
fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let bad = |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    let mut text = Vec::new();
    match indent {
        Some(width) => {
            let spaces = vec![b' '; width.min(INDENT_MAX)];
            let formatter = serde_json::ser::PrettyFormatter::with_indent(&spaces);
            value
                .serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))
                .map_err(bad)?;
        }
        None => {
            value
                .serialize(&mut serde_json::Serializer::with_formatter(&mut text, Spaced))
                .map_err(bad)?;
        }
    }
    String::from_utf8(text).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        self.begin_array_value(writer, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// What went wrong, and in which line of the template.
fn one_line(error: &Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}
