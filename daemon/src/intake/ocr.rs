//! The operator's program for pages that are pictures. It gets the document as standard input and writes its text, in
//! UTF-8, pages set apart by form feeds, as pdftotext and tesseract do. It is trusted as the trainer is; that it may need
//! programs and files of its own is why it does not run where documents are read.

use crate::children;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;
use wengu_config::Ocr;
use wengu_intake::{Format, Part, Place, trim};

/// Has a program read a document. An error says why it did not, for people.
pub async fn read(program: &Ocr, document: &[u8], text_bytes_max: u64) -> Result<Part, String> {
    let [name, arguments @ ..] = program.command.as_slice() else {
        return Err("ocr_command names no program".to_owned());
    };
    let daemon = std::process::id();
    let mut command = Command::new(name);
    // SAFETY: what is called between fork and exec is made for that. The runtime's own threads, which this runs on, end with the daemon.
    unsafe { command.pre_exec(move || children::follow(daemon)) };
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("ocr_command could not be started: {name}: {e}"))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
        return Err("ocr_command has no standard input or output".to_owned());
    };
    let work = async {
        let mut text = Vec::new();
        let mut limited = stdout.take(text_bytes_max + 1);
        let give = async move {
            // A program that has seen enough may close its end.
            let _ = stdin.write_all(document).await;
            drop(stdin);
        };
        let taken = {
            let take = limited.read_to_end(&mut text);
            tokio::pin!(give, take);
            // One that writes too much and reads nothing is not waited for.
            tokio::select! {
                taken = &mut take => taken,
                () = &mut give => take.await,
            }
        };
        taken.map_err(|e| format!("ocr_command's text could not be read: {e}"))?;
        if text.len() as u64 > text_bytes_max {
            return Err(format!("ocr_command wrote more than {} MiB", text_bytes_max >> 20));
        }
        let status = child.wait().await.map_err(|e| e.to_string())?;
        if !status.success() {
            return Err(format!("ocr_command left with {status}"));
        }
        String::from_utf8(text).map_err(|_| "ocr_command wrote something else than UTF-8".to_owned())
    };
    let done = timeout(program.time, work).await;
    if let (true, Some(group)) = (!matches!(done, Ok(Ok(_))), group) {
        // What it started goes with it.
        let _ = killpg(group, Signal::SIGKILL);
    }
    let text = done.unwrap_or_else(|_| Err(format!("ocr_command took more than {} s", program.time.as_secs())))?;
    Ok(in_pages(&text))
}

fn in_pages(written: &str) -> Part {
    let (mut text, mut pages, mut chars) = (String::new(), Vec::new(), 0);
    // What follows the last form feed is no page where it is nothing.
    for page in written.strip_suffix('\u{c}').unwrap_or(written).split('\u{c}') {
        let page = trim(page);
        if !page.is_empty() && !text.is_empty() {
            text.push('\n');
            chars += 1;
        }
        pages.push(chars as u32);
        text.push_str(page);
        chars += page.chars().count();
    }
    Part {
        place: Place {
            pages,
            ..Place::default()
        },
        format: Some(Format::Text),
        encoding: "UTF-8".to_owned(),
        is_malformed: false,
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn run(script: &str) -> Result<Part, String> {
        let program = Ocr {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            time: Duration::from_millis(2000),
        };
        read(&program, &[b'x'; 200_000], 100).await
    }

    #[tokio::test]
    async fn its_text_is_taken_page_by_page() {
        let part = run(r"wc -c | tr -d ' '; printf '\f\f 第三页 \f'").await.unwrap();
        assert_eq!(
            (part.text.as_str(), part.place.pages),
            ("200000\n第三页", vec![0, 6, 7])
        );
    }

    #[tokio::test]
    async fn what_goes_wrong_is_named() {
        assert!(run("exit 3").await.unwrap_err().contains("exit status: 3"));
        assert!(run("sleep 60").await.unwrap_err().contains("took more than"));
        assert!(run("yes").await.unwrap_err().contains("wrote more than"));
        assert!(run(r"printf '\377'").await.unwrap_err().contains("UTF-8"));
    }
}
