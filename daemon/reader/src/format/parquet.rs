//! Parquet: a record a row, as JSON Lines. Class numbers of data sets of Hugging Face get their names.

use crate::budget::Budget;
use crate::walk::Text;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value};
use wengu_intake::ClassNames;
use wengu_protocol::reader::{PartKind, Refusal, Verdict};

/// Where the library `datasets` keeps what a file does not say of itself.
const HUGGING_FACE: &str = "huggingface";

/// The rows of a table.
pub fn read(bytes: &[u8], budget: &mut Budget) -> Result<Text, Refusal> {
    let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).map_err(refusal)?;
    let classes = class_names(&reader);
    let mut text = String::new();
    for row in reader.get_row_iter(None).map_err(refusal)? {
        let row = row.map_err(refusal)?;
        let before = text.len();
        let mut fields: Map<String, Value> = row
            .get_column_iter()
            .map(|(name, field)| (name.clone(), value(field)))
            .collect();
        classes.name(&mut fields);
        text.push_str(&Value::Object(fields).to_string());
        text.push('\n');
        budget.unpacked((text.len() - before) as u64)?;
    }
    Ok(Text {
        kind: PartKind::JsonLines,
        encoding: "UTF-8",
        is_malformed: false,
        pages: Vec::new(),
        text,
    })
}

fn refusal(error: ParquetError) -> Refusal {
    let verdict = match &error {
        ParquetError::NYI(_) => Verdict::Unsupported,
        _ => Verdict::Malformed,
    };
    let error = error.to_string();
    if error.contains("Disabled feature at compile time") {
        let reason = format!("{error}; write it with snappy, gzip, lz4 or zstd, or without compression");
        return Refusal::new(Verdict::Unsupported, reason);
    }
    Refusal::new(verdict, error)
}

fn class_names(reader: &SerializedFileReader<bytes::Bytes>) -> ClassNames {
    let pairs = reader.metadata().file_metadata().key_value_metadata();
    let info = pairs.into_iter().flatten().find(|pair| pair.key == HUGGING_FACE);
    let info = info.and_then(|pair| serde_json::from_str::<Value>(pair.value.as_deref()?).ok());
    info.and_then(|info| Some(ClassNames::from_info(info.get("info")?)))
        .unwrap_or_default()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(yes) => (*yes).into(),
        Field::Byte(n) => (*n).into(),
        Field::Short(n) => (*n).into(),
        Field::Int(n) | Field::Date(n) | Field::TimeMillis(n) => (*n).into(),
        Field::Long(n) | Field::TimeMicros(n) | Field::TimestampMillis(n) | Field::TimestampMicros(n) => (*n).into(),
        Field::UByte(n) => (*n).into(),
        Field::UShort(n) => (*n).into(),
        Field::UInt(n) => (*n).into(),
        Field::ULong(n) => (*n).into(),
        Field::Float16(n) => f32::from(*n).into(),
        Field::Float(n) => (*n).into(),
        Field::Double(n) => (*n).into(),
        Field::Decimal(_) => Value::String(field.to_string()),
        Field::Str(text) => text.as_str().into(),
        // Text that its writer did not mark as such.
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Value::Null, Into::into),
        Field::Group(row) => {
            let fields = row.get_column_iter().map(|(name, field)| (name.clone(), value(field)));
            Value::Object(fields.collect())
        }
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => map
            .entries()
            .iter()
            .map(|(key, item)| Value::Array(vec![value(key), value(item)]))
            .collect(),
    }
}
