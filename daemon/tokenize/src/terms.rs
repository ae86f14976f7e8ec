//! Terms of a domain with a token of their own, appended to the base model's vocabulary.

use crate::guarded::guarded;
use crate::{TokenizeError, Tokenizer};
use std::collections::HashSet;
use tokenizers::{AddedToken, NormalizedString, Normalizer};
use wengu_protocol::job::TermToken;

impl Tokenizer {
    /// Appends a token for each term, in this order. A term that is one token already, or that the tokenizer cannot tell
    /// from one before it, must not be among them: [`Tokenizer::new_terms`] leaves these out.
    ///
    /// The tokens are found wherever the text has them, as any reader of the saved tokenizer.json finds them.
    ///
    /// # Errors
    /// Such a term.
    pub fn append_terms(&mut self, terms: &[String]) -> Result<Vec<TermToken>, TokenizeError> {
        if self.new_terms(terms)?.len() != terms.len() {
            let message = "a term is a token already, or stands in the list twice".to_owned();
            return Err(TokenizeError::Encode(message));
        }
        let pieces: Vec<Vec<u32>> = terms.iter().map(|term| self.pieces(term)).collect::<Result<_, _>>()?;
        let added: Vec<AddedToken> = terms.iter().map(|term| self.added(term)).collect();
        guarded(|| self.inner.add_tokens(added)).map_err(TokenizeError::Encode)?;
        let mut tokens = Vec::with_capacity(terms.len());
        for (text, pieces) in terms.iter().cloned().zip(pieces) {
            let id = self.inner.token_to_id(&text);
            let id = id.ok_or_else(|| TokenizeError::Encode(format!("no token came of the term {text:?}")))?;
            tokens.push(TermToken { text, id, pieces });
        }
        Ok(tokens)
    }

    /// Those of the terms that can have a token of their own: they are several tokens now, and none is another in other
    /// letters for this tokenizer.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn new_terms(&self, terms: &[String]) -> Result<Vec<String>, TokenizeError> {
        let mut seen = HashSet::new();
        let mut new = Vec::new();
        for term in terms {
            let whole = term.trim() == term && self.pieces(term)?.len() > 1;
            if whole && seen.insert(self.normalized(term)) {
                new.push(term.clone());
            }
        }
        Ok(new)
    }

    /// The tokenizer.json that has the terms.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn to_json(&self) -> Result<String, TokenizeError> {
        let failed = |e: tokenizers::Error| TokenizeError::Encode(e.to_string());
        self.inner.to_string(true).map_err(failed)
    }

    fn pieces(&self, term: &str) -> Result<Vec<u32>, TokenizeError> {
        self.content(term, &[], usize::MAX)
    }

    fn added(&self, term: &str) -> AddedToken {
        // "PT" is no term within "PTSD"; Chinese has no such borders.
        let spaced = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let word = spaced(term.chars().next()) || spaced(term.chars().last());
        AddedToken::from(term, false)
            .single_word(word)
            // Where words carry the space before them, so does the term.
            .lstrip(self.space_bound)
            // Looked for in the text as the model sees it, only where that is what makes capitals small.
            .normalized(self.normalized("A") == "a" && term.chars().any(char::is_alphabetic) && word)
    }

    fn normalized(&self, text: &str) -> String {
        let mut normalized = NormalizedString::from(text);
        let normalizer = self.inner.get_normalizer();
        match normalizer.map(|n| guarded(|| n.normalize(&mut normalized))) {
            Some(Ok(())) => normalized.get().to_owned(),
            _ => text.to_owned(),
        }
    }
}
