//! The tokenizer library panics on some damaged files, when it reads them and when it uses them. In the daemon that would end the
//! thread that plans or runs updates.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls the library; its panic is an error. What it leaves half done is dropped with the result, as nothing is changed in a tokenizer.
pub fn guarded<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the tokenizer library failed on it; get the model's tokenizer.json again".into()),
    }
}
