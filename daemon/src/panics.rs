//! Panics of the daemon. Where one was is logged; its words may hold text of a case, and are told to nobody.

use tokio::task::JoinError;

/// From here on every panic is a line in the log with its place.
pub fn log_places() {
    std::panic::set_hook(Box::new(|info| {
        tracing::error!(place = wengu_protocol::panic_place(info), "panicked");
    }));
}

/// Why a task has no result.
pub fn without_words(error: JoinError) -> anyhow::Error {
    match error.is_panic() {
        true => anyhow::anyhow!("it panicked; the log says where"),
        false => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_words_of_a_panic_are_not_passed_on() {
        let ended = tokio::spawn(async { panic!("text of a case") }).await;
        assert!(!without_words(ended.unwrap_err()).to_string().contains("text of a case"));
    }
}
