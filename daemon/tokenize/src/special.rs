//! The special tokens around a text.

use crate::TokenizeError;
use crate::guarded::guarded;
use tokenizers::{Encoding, Token};

/// Ids before and after a text, such as `[CLS]` and `[SEP]`.
pub struct Special {
    pub before: Vec<u32>,
    pub after: Vec<u32>,
}

impl Special {
    /// Asks the tokenizer's post-processor by showing it a token that no vocabulary has.
    pub fn of(tokenizer: &tokenizers::Tokenizer) -> Result<Special, TokenizeError> {
        let mark = Token {
            id: u32::MAX,
            value: String::new(),
            offsets: (0, 0),
        };
        let around = guarded(|| tokenizer.post_process(Encoding::from_tokens(vec![mark], 0), None, true))
            .map_err(TokenizeError::Encode)?;
        let ids = around.get_ids();
        match ids.iter().position(|&id| id == u32::MAX) {
            Some(at) => Ok(Special {
                before: ids[..at].to_vec(),
                after: ids[at + 1..].to_vec(),
            }),
            None => Err(TokenizeError::Encode("the post-processor drops the text".into())),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.before.len() + self.after.len()
    }
}
