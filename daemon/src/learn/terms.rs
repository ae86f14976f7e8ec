//! Which of the plugin's terms get a token of their own, and the tokenizer that a version carries for them.

use super::examples::{Example, Examples};
use super::manifest::Item;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use wengu_store::Hash;
use wengu_tokenize::Tokenizer;

/// A term that stands in fewer training examples has too little to learn its embedding from.
const EXAMPLES_MIN: usize = 5;

/// The terms that stand in one of the texts, capitals aside.
pub fn standing_in<'a>(terms: &[String], texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let small: Vec<String> = terms.iter().map(|term| term.to_lowercase()).collect();
    let mut found = BTreeSet::new();
    for text in texts {
        let text = text.to_lowercase();
        found.extend((0..terms.len()).filter(|&i| text.contains(&small[i])));
    }
    found.into_iter().map(|i| terms[i].clone()).collect()
}

/// The parent's terms, and after them new ones up to `budget` in all: those that save the most tokens in the training
/// examples of this run, if they stand in at least five of them. The same for the same pool, whatever its order.
pub fn choose(
    pool: &[(Hash, Examples)],
    train: &[Item],
    mut terms: Vec<String>,
    budget: usize,
    model_dir: &Path,
) -> Result<Vec<String>> {
    if terms.len() >= budget {
        return Ok(terms);
    }
    let offered: BTreeSet<&String> = pool.iter().flat_map(|(_, file)| &file.terms).collect();
    if offered.is_empty() {
        return Ok(terms);
    }
    let mut tokenizer = Tokenizer::load(model_dir)?;
    tokenizer.append_terms(&terms)?;
    let offered: Vec<String> = offered.into_iter().cloned().collect();
    let examples: HashMap<(Hash, u32), &Example> = pool
        .iter()
        .flat_map(|(hash, file)| file.examples.iter().map(|e| ((*hash, e.ordinal), e)))
        .collect();
    let mut uses: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let new = tokenizer.new_terms(&offered)?;
    let small: Vec<String> = new.iter().map(|term| term.to_lowercase()).collect();
    for item in train {
        let Some(example) = examples.get(&(item.examples, item.ordinal)) else {
            continue;
        };
        let text = example.text.to_lowercase();
        for (term, small) in new.iter().zip(&small) {
            let times = text.matches(small.as_str()).count();
            let (in_examples, in_all) = uses.entry(term.clone()).or_default();
            *in_examples += usize::from(times > 0);
            *in_all += times;
        }
    }
    let mut gains = Vec::new();
    for (term, (in_examples, in_all)) in uses {
        if in_examples >= EXAMPLES_MIN {
            let saved = (tokenizer.token_count_plain(&term)? - 1) * in_all;
            gains.push((std::cmp::Reverse(saved), term));
        }
    }
    gains.sort();
    let room = budget - terms.len();
    terms.extend(gains.into_iter().take(room).map(|(_, term)| term));
    Ok(terms)
}

/// Files of a model folder that say how its tokenizer is used.
const TOKENIZER_FILES: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];

/// Writes the base model's tokenizer with the terms into a new folder, as Hugging Face's readers take it.
pub fn save_tokenizer(model_dir: &Path, terms: &[String], folder: &Path) -> Result<()> {
    let mut tokenizer = Tokenizer::load(model_dir)?;
    tokenizer.append_terms(terms)?;
    std::fs::create_dir(folder).with_context(|| folder.display().to_string())?;
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_json()?)?;
    for name in TOKENIZER_FILES {
        let from = model_dir.join(name);
        if from.exists() {
            std::fs::copy(&from, folder.join(name)).with_context(|| from.display().to_string())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_found_whatever_their_capitals() {
        let terms = ["Force Majeure", "不可抗力", "estoppel"].map(String::from);
        let texts = ["excused by FORCE MAJEURE", "因不可抗力"];
        assert_eq!(standing_in(&terms, texts.into_iter()), ["Force Majeure", "不可抗力"]);
    }
}
