//! One file for each format.

mod code_page;
mod conll;
mod html;
mod mail;
mod markup;
mod office;
mod parquet;
mod pdf;
mod rtf;
mod tar;
mod xml;
mod zip;

use crate::walk::{Node, Stop, Text, Walk};
use wengu_intake::Format;
use wengu_protocol::reader::Refusal;

/// The text of a document that holds no others.
pub fn text(format: Format, bytes: &[u8], walk: &mut Walk<'_>) -> Result<Text, Refusal> {
    match format {
        Format::Pdf => pdf::read(bytes, &mut walk.budget),
        Format::Docx => office::docx(bytes, &mut walk.budget),
        Format::Odt => office::odt(bytes, &mut walk.budget),
        Format::Rtf => rtf::read(bytes),
        Format::Html => html::read(bytes, walk.encoding()),
        Format::Xml => xml::read(bytes, walk.encoding()),
        Format::Parquet => parquet::read(bytes, &mut walk.budget),
        Format::Conll => conll::read(bytes, walk.encoding()),
        other => unreachable!("{} is plain or holds documents", other.as_str()),
    }
}

/// Goes through a document that holds others.
pub fn container(walk: &mut Walk<'_>, node: &Node, format: Format, bytes: &[u8]) -> Result<(), Stop> {
    match format {
        Format::Zip => zip::walk(walk, node, bytes),
        Format::Tar => tar::walk(walk, node, bytes),
        Format::TarGzip => tar::walk_gzip(walk, node, bytes),
        Format::Mail => mail::walk(walk, node, bytes),
        other => unreachable!("{} holds no documents", other.as_str()),
    }
}
