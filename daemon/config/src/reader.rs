//! `[reader]`.

use crate::section::Section;
use crate::top::read_command;
use crate::types::{Ocr, Reader};
use std::path::Path;
use std::time::Duration;
use wengu_protocol::reader::Limits;

pub(crate) fn read_reader(mut section: Section<'_>, base: &Path) -> Reader {
    let limits = Limits {
        // Less than this and no reader starts: its stack alone reserves 64 MiB.
        memory_bytes: section.integer("memory_mib", 256..=1 << 20, 1024) << 20,
        time_s: section.integer("time_s", 1..=3600, 60) as u32,
        text_bytes: section.integer("max_text_mib", 1..=4096, 64) << 20,
        ratio: section.integer("max_ratio", 1..=10_000, 100) as u32,
        members: section.integer("max_members", 1..=1_000_000, 1000) as u32,
        depth: section.integer("max_depth", 0..=16, 3) as u32,
    };
    let remedy =
        "name a program that reads pictures, as in `ocr_command = [\"/usr/local/bin/ocr-pdf\"]`, or leave the key out";
    let command = read_command(&mut section, "ocr_command", remedy, base);
    let time = Duration::from_secs(section.integer("ocr_time_s", 1..=86_400, 600));
    section.finish();
    Reader {
        limits,
        ocr: command.map(|command| Ocr { command, time }),
    }
}
