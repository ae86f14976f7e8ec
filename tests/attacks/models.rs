//! Folders of base models that were made to harm.

use crate::{configs, weights};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

/// What is said of a model.
#[derive(Debug, Clone)]
pub enum Said {
    /// It is taken.
    Sound,
    /// It is refused, in a message that holds all of these.
    Wrong(Vec<String>),
}

/// A model folder that was made to harm.
pub struct Model {
    /// What it tries.
    pub name: String,
    /// The golden model that it is made of.
    pub base: &'static str,
    /// Makes it of the sound folder.
    pub make: Box<dyn Fn(&Path)>,
    /// What `wengu model info` must say.
    pub info: Said,
    /// What `wengu check` must say of a configuration that names it.
    pub check: Said,
    /// What `wengu model add` must say, which reads the tokenizer too.
    pub add: Said,
    /// What `wengu-trainer check` must say.
    pub train: Said,
}

impl Model {
    /// A model of which everyone says the same.
    pub fn new(name: &str, base: &'static str, said: Said, make: impl Fn(&Path) + 'static) -> Model {
        Model {
            name: name.to_owned(),
            base,
            make: Box::new(make),
            info: said.clone(),
            check: said.clone(),
            add: said.clone(),
            train: said,
        }
    }

    /// One that the trainer, which compares tensors with config.json, sees something else in.
    pub fn in_training(self, words: &[&str]) -> Model {
        Model {
            train: wrong(words),
            ..self
        }
    }

    /// A BERT with this tokenizer.json, which only the daemon reads.
    pub fn tokenizer(name: &str, said: Said, make: impl Fn(&Path) + 'static) -> Model {
        let make = move |folder: &Path| make(&folder.join("tokenizer.json"));
        Model {
            add: said,
            ..Model::new(&format!("tokenizer: {name}"), "tiny", Said::Sound, make)
        }
    }
}

/// The file with the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// A model of each kind that is trained.
pub const BASES: [&str; 4] = ["tiny", "causal_llama", "qwen2", "deepseek_v3"];
/// How deep JSON is nested.
pub const DEPTH: usize = 100_000;

/// Refused, with these words.
pub fn wrong(words: &[&str]) -> Said {
    Said::Wrong(words.iter().map(|word| (*word).to_owned()).collect())
}

/// All of them, and before them sound ones.
pub fn models() -> Vec<Model> {
    let sound = BASES.into_iter().chain(["xlmr"]);
    let sound = sound.map(|base| Model::new(&format!("{base}, as it is"), base, Said::Sound, |_| ()));
    let mut all: Vec<Model> = sound.collect();
    all.extend(weights::models());
    all.extend(configs::models());
    all
}

/// A file of this length that takes no room.
pub fn hollow(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// A file that has no end.
pub fn endless(path: &Path) {
    fs::remove_file(path).unwrap();
    symlink("/dev/zero", path).unwrap();
}
