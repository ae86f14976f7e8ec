//! Archives and mails.

use crate::measure::all;
use crate::{Attack, Fate};
use flate2::Compression;
use flate2::read::GzEncoder;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The attacks of this file.
pub fn attacks() -> Vec<Attack> {
    use Fate::{InPart, Read, Refused};
    let zeros = || std::io::repeat(b' ').take(300 << 20);
    vec![
        Attack::new(
            "zip: 300 MiB of spaces",
            "a.zip",
            zip([("a.txt", zeros())]),
            Refused("too_big"),
        ),
        Attack::new(
            "zip: 5,000 members",
            "a.zip",
            zip((0..5000).map(|n| (format!("{n}.txt"), &b"x"[..]))),
            Refused("too_many"),
        ),
        Attack::new("zip: ten in each other", "a.zip", nested(10), Refused("too_deep")),
        Attack::new(
            "zip: 500 names for one member of a MiB",
            "a.zip",
            overlapping(500),
            Refused("too_big"),
        ),
        Attack::new("zip: a size that lies", "a.zip", lying_size(), Refused("malformed")),
        Attack::new(
            "zip: cut",
            "a.zip",
            cut(zip([("a.txt", &b"hello hello hello"[..])])),
            Refused("malformed"),
        ),
        Attack::new(
            "zip: a broken member among others",
            "a.zip",
            zip([("a.pdf", &b"%PDF-1.4\n"[..]), ("b.txt", b"text")]),
            InPart("malformed"),
        ),
        Attack::new(
            "zip: names that lead out",
            "a.zip",
            zip([("../../etc/a.txt", &b"out"[..]), ("b.txt", b"text")]),
            InPart("unsafe"),
        ),
        Attack::new(
            "zip: deep JSON",
            "a.zip",
            zip([("a.json", "[".repeat(1 << 20).as_bytes())]),
            Read,
        ),
        Attack::new(
            "zip: a comment of 64 KiB that looks like an end",
            "a.zip",
            commented(),
            Refused("empty"),
        ),
        Attack::new(
            "tar.gz: 300 MiB of spaces",
            "a.tar.gz",
            gzip(tar(&[("a.txt", 300 << 20)])),
            Refused("too_big"),
        ),
        Attack::new(
            "tar.gz: cut",
            "a.tgz",
            cut(gzip(tar(&[("a.txt", 100)]))),
            Refused("malformed"),
        ),
        Attack::new("tar: a size of 8 EiB", "a.tar", huge_entry(), Refused("malformed")),
        Attack::new("tar: a hole of 1 TiB", "a.tar", sparse(), Refused("too_big")),
        Attack::new("tar: 5,000 members", "a.tar", many_entries(), Refused("too_many")),
        Attack::new("tar: no archive", "a.tar", vec![b'x'; 100_000], Refused("malformed")),
        Attack::new("eml: 20,000 parts", "a.eml", parts(20_000), Refused("too_many")),
        Attack::new(
            "eml: multiparts 20,000 deep",
            "a.eml",
            deep_multiparts(20_000),
            Refused("too_many"),
        ),
        Attack::new(
            "eml: 50 mails in each other",
            "a.eml",
            mails_in_mails(50),
            InPart("too_deep"),
        ),
        Attack::new(
            "eml: a zip bomb attached",
            "a.eml",
            attached(&zip([("a.txt", zeros())])),
            Refused("too_big"),
        ),
        Attack::new("eml: a header of 10 MiB", "a.eml", long_header(), Read),
        Attack::new("eml: no mail", "a.eml", vec![0xff; 100_000], Refused("malformed")),
    ]
}

/// A ZIP archive of members.
pub fn zip<N: Into<String>, R: Read>(members: impl IntoIterator<Item = (N, R)>) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, mut content) in members {
        archive.start_file(name.into(), options).unwrap();
        std::io::copy(&mut content, &mut archive).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn nested(times: u32) -> Vec<u8> {
    (0..times).fold(zip([("a.txt", &b"deep"[..])]), |inner, _| {
        zip([("a.zip", inner.as_slice())])
    })
}

/// One member that the directory lists under many names (the idea of Fifield's bomb).
fn overlapping(names: u16) -> Vec<u8> {
    let one = zip([("a.txt", std::io::repeat(b' ').take(1 << 20))]);
    let directory_at = one.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    let end_at = one.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    let entry = &one[directory_at..end_at];
    let mut out = one[..directory_at].to_vec();
    for number in 0..names {
        let mut entry = entry.to_vec();
        let name = format!("{number:05}");
        entry[46..51].copy_from_slice(name.as_bytes());
        out.extend(entry);
    }
    let mut end = one[end_at..].to_vec();
    end[8..10].copy_from_slice(&names.to_le_bytes());
    end[10..12].copy_from_slice(&names.to_le_bytes());
    let bytes = (entry.len() * usize::from(names)) as u32;
    end[12..16].copy_from_slice(&bytes.to_le_bytes());
    out.extend(end);
    out
}

/// The directory and the header say 10 bytes, the data are 100 MiB.
fn lying_size() -> Vec<u8> {
    let mut bytes = zip([("a.txt", std::io::repeat(b' ').take(100 << 20))]);
    let true_size = (100_u32 << 20).to_le_bytes();
    let places: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, w)| *w == true_size)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
    }
    bytes
}

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() * 2 / 3);
    bytes
}

fn commented() -> Vec<u8> {
    let mut bytes = b"PK\x05\x06".repeat(16_000);
    bytes.extend([0; 18]);
    bytes
}

fn header(name: &str, size: u64, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}

fn tar(members: &[(&str, u64)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, size) in members {
        archive
            .append(
                &header(name, *size, tar::EntryType::Regular),
                std::io::repeat(b' ').take(*size),
            )
            .unwrap();
    }
    archive.into_inner().unwrap()
}

fn many_entries() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for number in 0..5000 {
        archive
            .append(&header(&format!("{number}.txt"), 1, tar::EntryType::Regular), &b"x"[..])
            .unwrap();
    }
    archive.into_inner().unwrap()
}

fn huge_entry() -> Vec<u8> {
    let mut bytes = header("a.txt", i64::MAX as u64, tar::EntryType::Regular)
        .as_bytes()
        .to_vec();
    bytes.extend([b'x'; 1024]);
    bytes
}

/// A sparse file of GNU tar: a kilobyte of data at the end of a hole.
fn sparse() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("a.txt").unwrap();
    header.set_size(512);
    header.set_entry_type(tar::EntryType::GNUSparse);
    let real = 1_u64 << 40;
    let gnu = header.as_gnu_mut().unwrap();
    gnu.realsize
        .copy_from_slice(format!("{real:011o}\0").get(..12).unwrap_or("77777777777\0").as_bytes());
    gnu.sparse[0].offset.copy_from_slice(b"00000000000\0");
    gnu.sparse[0]
        .numbytes
        .copy_from_slice(format!("{:011o}\0", 512).as_bytes());
    gnu.realsize.copy_from_slice(b"77777777777\0");
    gnu.sparse[0]
        .offset
        .copy_from_slice(format!("{:011o}\0", 0o77777777777_u64 - 512).as_bytes());
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend([b'x'; 512]);
    bytes.extend([0; 1024]);
    bytes
}

fn gzip(bytes: Vec<u8>) -> Vec<u8> {
    all(GzEncoder::new(bytes.as_slice(), Compression::fast()))
}

const HEAD: &str = "From: a@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\n";

fn parts(count: usize) -> Vec<u8> {
    let part = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n";
    format!(
        "{HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        part.repeat(count)
    )
    .into_bytes()
}

fn deep_multiparts(depth: usize) -> Vec<u8> {
    let mut mail = HEAD.to_owned();
    for level in 0..depth {
        mail.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
        ));
    }
    mail.push_str("Content-Type: text/plain\r\n\r\nx\r\n");
    mail.into_bytes()
}

fn mails_in_mails(depth: usize) -> Vec<u8> {
    let mut mail = String::new();
    for _ in 0..depth {
        mail.push_str(HEAD);
        mail.push_str("Content-Type: message/rfc822\r\n\r\n");
    }
    mail.push_str(HEAD);
    mail.push_str("\r\ntext\r\n");
    mail.into_bytes()
}

fn attached(zip: &[u8]) -> Vec<u8> {
    use base64::Engine;
    let coded = base64::engine::general_purpose::STANDARD.encode(zip);
    let mut mail = format!("{HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n").into_bytes();
    mail.extend(b"Content-Type: application/zip; name=a.zip\r\nContent-Disposition: attachment; filename=a.zip\r\n");
    mail.extend(b"Content-Transfer-Encoding: base64\r\n\r\n");
    for line in coded.as_bytes().chunks(76) {
        mail.write_all(line).unwrap();
        mail.extend(b"\r\n");
    }
    mail.extend(b"--b--\r\n");
    mail
}

fn long_header() -> Vec<u8> {
    format!(
        "From: a@example.org\r\nX: {}\r\nSubject: {}\r\n\r\ntext\r\n",
        "=?".repeat(5 << 20),
        "a ".repeat(100_000)
    )
    .into_bytes()
}
