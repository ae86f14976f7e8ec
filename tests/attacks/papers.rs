//! PDF and Parquet.

use crate::{Attack, Fate};
use flate2::Compression;
use flate2::read::ZlibEncoder;
use std::io::Read;
use wengu_protocol::reader::Limits;

/// The attacks of this file.
pub fn attacks() -> Vec<Attack> {
    use Fate::Refused;
    let parquet = std::fs::read(sample("labels.parquet")).unwrap();
    let mut attacks = vec![
        Attack::new(
            "pdf: pages in a circle",
            "a.pdf",
            pdf(&[CATALOG, "<</Type /Pages /Kids [2 0 R] /Count 9>>"]),
            Refused("malformed"),
        ),
        Attack::new(
            "pdf: no pages",
            "a.pdf",
            pdf(&["<</Type /Catalog>>"]),
            Refused("malformed"),
        ),
        Attack::new(
            "pdf: a length that is itself",
            "a.pdf",
            pdf(&[CATALOG, PAGES, PAGE, "<</Length 4 0 R>>\nstream\nBT ET\nendstream"]),
            Refused("empty"),
        ),
        Attack::new(
            "pdf: content of 300 MiB of spaces",
            "a.pdf",
            with_content(&packed(300 << 20), "/Filter /FlateDecode"),
            Refused("too_big"),
        ),
        Attack::new(
            "pdf: packed fifty times",
            "a.pdf",
            with_content(b"x", &format!("/Filter [{}]", "/FlateDecode ".repeat(50))),
            Refused("malformed"),
        ),
        Attack::new(
            "pdf: a form that draws itself",
            "a.pdf",
            forms(1, 2, true),
            Refused("empty"),
        ),
        Attack::new(
            "pdf: forms that draw ten each, twelve deep",
            "a.pdf",
            forms(12, 10, false),
            Refused("too_big"),
        ),
        Attack::new(
            "pdf: a million brackets",
            "a.pdf",
            pdf(&[CATALOG, PAGES, PAGE, &"[".repeat(1_000_000)]),
            Refused("empty"),
        ),
        Attack::new(
            "pdf: a million brackets in its content",
            "a.pdf",
            with_content("[".repeat(1_000_000).as_bytes(), ""),
            Refused("malformed"),
        ),
        Attack::new(
            "pdf: an older table that is itself",
            "a.pdf",
            looping_xref(),
            Refused("empty"),
        ),
        Attack::new(
            "pdf: a table of a billion objects",
            "a.pdf",
            b"%PDF-1.4\nxref\n0 1000000000\ntrailer <</Size 1000000000 /Root 1 0 R>>\nstartxref\n9\n%%EOF".to_vec(),
            Refused("malformed"),
        ),
        Attack::new(
            "pdf: a page that is its own parent",
            "a.pdf",
            pdf(&[CATALOG, PAGES, "<</Type /Page /Parent 3 0 R>>"]),
            Refused("empty"),
        ),
        Attack::new(
            "pdf: a picture of its name",
            "a.pdf",
            b"\x89PNG\r\n\x1a\n".to_vec(),
            Refused("malformed"),
        ),
        Attack::new(
            "parquet: a footer of 2 GiB",
            "a.parquet",
            with_footer_length(&parquet, 0x7fff_fff0),
            Refused("malformed"),
        ),
        Attack::new(
            "parquet: a footer of nothing",
            "a.parquet",
            with_footer_length(&parquet, 0),
            Refused("malformed"),
        ),
        Attack::new(
            "parquet: two million rows of a KiB",
            "a.parquet",
            std::fs::read(sample_of_attacks("rows.parquet")).unwrap(),
            Refused("too_big"),
        ),
        Attack::new(
            "parquet: no table",
            "a.parquet",
            b"PAR1PAR1".to_vec(),
            Refused("malformed"),
        ),
    ];
    attacks.push(Attack {
        limits: Limits {
            memory_bytes: 256 << 20,
            ratio: 10_000,
            time_s: 20,
            ..Limits::default()
        },
        ..Attack::new(
            "pdf: ten million operators",
            "a.pdf",
            with_content(&packed_text("0 0 m ", 10_000_000), "/Filter /FlateDecode"),
            Refused("out_of_memory"),
        )
    });
    let bomb = with_content(&packed_text("0 0 m ", 10_000_000), "/Filter /FlateDecode");
    attacks.push(Attack {
        limits: Limits {
            memory_bytes: 256 << 20,
            // Packed twice it is hardly larger than nothing.
            ratio: 1_000_000,
            time_s: 20,
            ..Limits::default()
        },
        ..Attack::new(
            "zip: one that ends its reader among others",
            "a.zip",
            crate::archives::zip([("a.txt", &b"text"[..]), ("b.pdf", &bomb), ("c.txt", b"text")]),
            Fate::InPart("out_of_memory"),
        )
    });
    attacks.push(Attack {
        limits: Limits {
            time_s: 1,
            ratio: 10_000,
            ..Limits::default()
        },
        ..Attack::new(
            "pdf: forms without end and a second",
            "a.pdf",
            forms(12, 10, false),
            Refused("timed_out"),
        )
    });
    attacks
}

const CATALOG: &str = "<</Type /Catalog /Pages 2 0 R>>";
const PAGES: &str = "<</Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842]>>";
const PAGE: &str = "<</Type /Page /Parent 2 0 R /Contents 4 0 R>>";

fn sample(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../daemon/reader/test-data")
        .join(name)
}

fn sample_of_attacks(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("attacks")
        .join(name)
}

fn pdf(objects: &[&str]) -> Vec<u8> {
    pdf_of(
        &objects
            .iter()
            .map(|object| object.as_bytes().to_vec())
            .collect::<Vec<_>>(),
    )
}

fn pdf_of(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        places.push(out.len());
        out.extend(format!("{} 0 obj\n", index + 1).bytes());
        out.extend(object);
        out.extend(b"\nendobj\n");
    }
    let xref = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for place in places {
        out.extend(format!("{place:010} 00000 n \n").bytes());
    }
    let size = objects.len() + 1;
    out.extend(format!("trailer <</Size {size} /Root 1 0 R>>\nstartxref\n{xref}\n%%EOF\n").bytes());
    out
}

fn stream(data: &[u8], more: &str) -> Vec<u8> {
    let mut object = format!("<</Length {} {more}>>\nstream\n", data.len()).into_bytes();
    object.extend(data);
    object.extend(b"\nendstream");
    object
}

fn with_content(data: &[u8], more: &str) -> Vec<u8> {
    pdf_of(&[CATALOG.into(), PAGES.into(), PAGE.into(), stream(data, more)])
}

fn packed(bytes: u64) -> Vec<u8> {
    crate::measure::all(ZlibEncoder::new(std::io::repeat(b' ').take(bytes), Compression::best()))
}

fn packed_text(text: &str, times: usize) -> Vec<u8> {
    crate::measure::all(ZlibEncoder::new(text.repeat(times).as_bytes(), Compression::best()))
}

/// A page that draws form 1, which draws form 2 `each` times, and so on; or each draws itself.
fn forms(deep: usize, each: usize, itself: bool) -> Vec<u8> {
    let first = 5;
    let page = "<</Type /Page /Parent 2 0 R /Contents 4 0 R /Resources <</XObject <</F 5 0 R>>>>>>";
    let mut objects = vec![
        CATALOG.into(),
        PAGES.into(),
        page.into(),
        stream("/F Do ".repeat(200).as_bytes(), ""),
    ];
    for level in 0..deep {
        let next = if itself { first + level } else { first + level + 1 };
        let resources = format!("/Type /XObject /Subtype /Form /Resources <</XObject <</F {next} 0 R>>>>");
        objects.push(stream("/F Do ".repeat(each).as_bytes(), &resources));
    }
    objects.push(stream(b"BT ET", "/Type /XObject /Subtype /Form"));
    pdf_of(&objects)
}

fn looping_xref() -> Vec<u8> {
    let text = String::from_utf8(pdf(&[CATALOG, PAGES, "<</Type /Page /Parent 2 0 R>>"])).unwrap();
    let place = text
        .split("startxref\n")
        .nth(1)
        .unwrap()
        .split('\n')
        .next()
        .unwrap()
        .to_owned();
    text.replace("/Root 1 0 R", &format!("/Root 1 0 R /Prev {place}"))
        .into_bytes()
}

fn with_footer_length(parquet: &[u8], length: u32) -> Vec<u8> {
    let mut bytes = parquet.to_vec();
    let at = bytes.len() - 8;
    bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
    bytes
}
