//! `.csv` and `.tsv`: a header, quoted fields that may span lines, LF or CRLF.

use crate::json::count_lines;
use crate::labels::{self, LABELS_FIELD};
use crate::record::{Collector, Draft, clean_case, clean_label, trim};
use crate::{AnswerKind, IntakeError};
use csv::StringRecord;
use serde_json::{Map, Value};
use std::io::Read;

/// A row of our own after the last one. If it does not come back as it is, a quotation mark was never closed.
const SENTINEL: &str = "\u{1}end of table";

struct Columns {
    names: Vec<String>,
    text: usize,
    label: Option<usize>,
    case: Option<usize>,
}

pub(crate) fn rows(text: &str, delimiter: u8, collector: &mut Collector<'_>) -> Result<(), IntakeError> {
    let tail = format!("\n{SENTINEL}\n");
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes().chain(tail.as_bytes()));
    let mut row = StringRecord::new();
    let mut read = |row: &mut StringRecord| {
        // The input is a str already, and rows may have any length: nothing is left that could fail.
        let is_row = reader.read_record(row).unwrap_or(false);
        let start = row.position().map_or(0, |position| position.byte() as usize);
        (is_row && row.get(0) != Some(SENTINEL)).then_some(start)
    };
    read(&mut row);
    if row.iter().any(|field| field.contains(SENTINEL)) {
        let reason = "a quotation mark in it is never closed".to_owned();
        return Err(IntakeError::Header { reason });
    }
    let columns = Columns::find(&row, delimiter, collector)?;
    let (mut line, mut counted) = (1, 0);
    while let Some(mut start) = read(&mut row) {
        // The reader's own line numbers lag behind CRLF and blank lines.
        start += text[start..]
            .bytes()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        line += count_lines(&text[counted..start]);
        counted = start;
        if row.iter().any(|field| field.contains(SENTINEL)) {
            let rest = count_lines(text[start..].trim_end()) + 1;
            let reason = format!("a quotation mark is never closed; the {rest} lines from here on were not taken");
            return collector.push(line, Err(reason));
        }
        if row.iter().any(|field| !trim(field).is_empty()) {
            collector.push(line, columns.draft(&row, collector))?;
        }
    }
    Ok(())
}

impl Columns {
    fn find(header: &StringRecord, delimiter: u8, collector: &Collector<'_>) -> Result<Self, IntakeError> {
        let names: Vec<String> = header.iter().map(|name| trim(name).to_owned()).collect();
        let find = |wanted: &str| -> Result<Option<usize>, IntakeError> {
            let mut found = names
                .iter()
                .enumerate()
                .filter(|(_, name)| *name == wanted)
                .map(|(index, _)| index);
            match (found.next(), found.next()) {
                (first, None) => Ok(first),
                _ => Err(IntakeError::Header {
                    reason: format!("two columns are named {wanted:?}"),
                }),
            }
        };
        let options = collector.options;
        let Some(text) = find(&options.text_field)? else {
            let shown: Vec<String> = names
                .iter()
                .take(8)
                .map(|name| name.chars().take(40).collect())
                .collect();
            let mut reason = format!("none is {:?} (they are {shown:?})", options.text_field);
            let other = if delimiter == b',' { [';', '\t'] } else { [';', ','] };
            if let ([only], Some(found)) = (names.as_slice(), other.into_iter().find(|&c| names[0].contains(c))) {
                reason = format!("{reason}; {only:?} looks separated by {found:?}: save it as comma-separated .csv");
            }
            return Err(IntakeError::Header { reason });
        };
        let label = match (find(&options.label_field)?, options.answer) {
            (None, AnswerKind::Labels) => find(LABELS_FIELD)?,
            (found, _) => found,
        };
        let case = options.case_field.as_deref().map(find).transpose()?.flatten();
        Ok(Self {
            names,
            text,
            label,
            case,
        })
    }

    fn draft(&self, row: &StringRecord, collector: &Collector<'_>) -> Result<Draft, String> {
        if row.len() != self.names.len() {
            return Err(format!(
                "it has {} fields, the first row has {}",
                row.len(),
                self.names.len()
            ));
        }
        if let Some(reason) = collector.refuse_length(row.as_slice().len()) {
            return Err(reason);
        }
        if let Some(reason) = collector.refuse_raw(row.as_slice()) {
            return Err(reason);
        }
        let label = match self.label {
            None => None,
            Some(index) if collector.options.answer == AnswerKind::Labels => {
                let (column, classes) = (&self.names[index], &collector.sidecar.classes);
                labels::of_cell(&row[index], column, classes, collector.options)?
            }
            Some(index) => {
                let number: Option<i64> = row[index].trim().parse().ok();
                let mut named = Map::from_iter([(self.names[index].clone(), number.into())]);
                collector.sidecar.classes.name(&mut named);
                let name = named.values().next().and_then(Value::as_str);
                clean_label(name.unwrap_or(&row[index]))?
            }
        };
        let metadata: Map<String, Value> = (self.names.iter().zip(row).enumerate())
            .filter(|(index, _)| *index != self.text && Some(*index) != self.label && Some(*index) != self.case)
            .map(|(_, (name, field))| (name.clone(), Value::from(field)))
            .collect();
        Ok(Draft {
            text: row[self.text].to_owned(),
            label,
            case: self.case.and_then(|index| clean_case(&row[index])),
            metadata,
        })
    }
}
