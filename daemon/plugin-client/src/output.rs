//! A plugin's standard output and error, line by line, into the log: never more than the log can bear.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};

const LINE_BYTES_MAX: usize = 4096;
const LINES_PER_SECOND_MAX: u32 = 100;
/// Lines that are kept for the report of a process's end.
const KEPT_LINES: usize = 20;

/// The last lines of a process.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    pub fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Reads until the stream ends. Lines over the length are cut, lines over the rate are counted and not logged.
pub(crate) async fn capture(mut from: impl AsyncRead + Unpin, plugin: String, tail: Tail) {
    let mut log = Log {
        plugin,
        tail,
        window: Instant::now(),
        lines: 0,
        dropped: 0,
    };
    let mut line = Vec::new();
    let mut cut = false;
    let mut chunk = [0; 4096];
    loop {
        let read = match from.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(n) => n,
        };
        for byte in &chunk[..read] {
            match byte {
                b'\n' => {
                    log.write(&line, cut);
                    line.clear();
                    cut = false;
                }
                _ if line.len() == LINE_BYTES_MAX => cut = true,
                _ => line.push(*byte),
            }
        }
    }
    if !line.is_empty() {
        log.write(&line, cut);
    }
    log.report_dropped();
}

struct Log {
    plugin: String,
    tail: Tail,
    window: Instant,
    lines: u32,
    dropped: u64,
}

impl Log {
    fn write(&mut self, line: &[u8], cut: bool) {
        if self.window.elapsed() >= Duration::from_secs(1) {
            self.report_dropped();
            (self.window, self.lines) = (Instant::now(), 0);
        }
        let (level, line) = priority(line);
        // A line break or an escape sequence in a plugin's line must not forge a line of the log.
        let text: String = String::from_utf8_lossy(line)
            .chars()
            .filter(|c| !c.is_control() || *c == '\t')
            .collect();
        let text = if cut { format!("{text} [cut]") } else { text };
        self.lines += 1;
        if self.lines > LINES_PER_SECOND_MAX {
            self.dropped += 1;
        } else {
            let plugin = self.plugin.as_str();
            match level {
                ..=3 => tracing::error!(plugin, "{text}"),
                4 => tracing::warn!(plugin, "{text}"),
                5 | 6 => tracing::info!(plugin, "{text}"),
                _ => tracing::debug!(plugin, "{text}"),
            }
        }
        self.tail.push(text);
    }

    fn report_dropped(&mut self) {
        if self.dropped > 0 {
            let plugin = self.plugin.as_str();
            tracing::warn!(
                plugin,
                lines = self.dropped,
                "more than {LINES_PER_SECOND_MAX} lines a second; the rest is not logged"
            );
            self.dropped = 0;
        }
    }
}

/// The level that sd-daemon(3) writes before a line; warning where there is none.
fn priority(line: &[u8]) -> (u8, &[u8]) {
    match line {
        [b'<', level @ b'0'..=b'7', b'>', rest @ ..] => (level - b'0', rest),
        _ => (4, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_lines_are_cut_and_controls_removed() {
        let tail = Tail::default();
        let text = format!("<6>hello \x1b[31mred\n{}\nlast", "x".repeat(5000));
        capture(text.as_bytes(), "p".into(), tail.clone()).await;
        let lines = tail.lines();
        assert_eq!(lines[0], "hello [31mred");
        assert_eq!(lines[1].len(), LINE_BYTES_MAX + " [cut]".len());
        assert_eq!(lines[2], "last");
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept() {
        let tail = Tail::default();
        let text: String = (0..500).map(|i| format!("{i}\n")).collect();
        capture(text.as_bytes(), "p".into(), tail.clone()).await;
        assert_eq!(tail.lines().len(), KEPT_LINES);
        assert_eq!(tail.lines().last().unwrap(), "499");
    }
}
