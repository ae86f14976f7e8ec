//! XML, HTML, RTF and office documents.

use crate::archives::zip;
use crate::{Attack, Fate};
use std::io::Read;

/// The attacks of this file.
pub fn attacks() -> Vec<Attack> {
    use Fate::{Read, Refused};
    let docx = |xml: &str| zip([("word/document.xml", xml.as_bytes())]);
    let deep = |open: &str, times: usize| open.repeat(times).into_bytes();
    let xxe = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>";
    vec![
        Attack::new(
            "xml: an entity that is a file",
            "a.xml",
            xxe.into(),
            Refused("unsupported"),
        ),
        Attack::new(
            "xml: an entity that nothing declares",
            "a.xml",
            "<a>&x;</a>".into(),
            Refused("malformed"),
        ),
        Attack::new(
            "xml: a document type elsewhere",
            "a.xml",
            b"<!DOCTYPE a SYSTEM 'http://example.org/a.dtd'><a>text</a>".to_vec(),
            Read,
        ),
        Attack::new(
            "xml: a billion laughs",
            "a.xml",
            billion_laughs(),
            Refused("unsupported"),
        ),
        Attack::new(
            "xml: one entity of a MiB a million times",
            "a.xml",
            quadratic(),
            Refused("unsupported"),
        ),
        Attack::new(
            "xml: a million elements deep",
            "a.xml",
            deep("<a>", 1_000_000),
            Refused("too_deep"),
        ),
        Attack::new("xml: a million attributes", "a.xml", attributes(), Read),
        Attack::new(
            "xml: cut in a tag",
            "a.xml",
            b"<a><b attr='".to_vec(),
            Refused("malformed"),
        ),
        Attack::new(
            "html: a million elements deep",
            "a.html",
            [deep("<div>", 1_000_000), b"text".to_vec()].concat(),
            Read,
        ),
        Attack::new(
            "html: five million less-than signs",
            "a.html",
            deep("<", 5_000_000),
            Read,
        ),
        Attack::new(
            "html: a million open comments",
            "a.html",
            [b"text".to_vec(), deep("<!--", 1_000_000)].concat(),
            Read,
        ),
        Attack::new(
            "html: a million references without an end",
            "a.html",
            deep("&notanentity", 1_000_000),
            Read,
        ),
        Attack::new(
            "rtf: a million groups deep",
            "a.rtf",
            [b"{\\rtf1 ".to_vec(), deep("{", 1_000_000)].concat(),
            Refused("too_deep"),
        ),
        Attack::new(
            "rtf: binary of 2 GiB",
            "a.rtf",
            b"{\\rtf1 text\\bin2147483647 x}".to_vec(),
            Refused("malformed"),
        ),
        Attack::new(
            "rtf: a number beyond all",
            "a.rtf",
            b"{\\rtf1 text\\u99999999999999999999 x\\uc999999999\\u1 y}".to_vec(),
            Read,
        ),
        Attack::new(
            "docx: 300 MiB of spaces",
            "a.docx",
            zip([("word/document.xml", std::io::repeat(b' ').take(300 << 20))]),
            Refused("too_big"),
        ),
        Attack::new(
            "docx: an entity that is a file",
            "a.docx",
            docx(xxe),
            Refused("unsupported"),
        ),
        Attack::new(
            "docx: a billion laughs",
            "a.docx",
            zip([("word/document.xml", billion_laughs().as_slice())]),
            Refused("unsupported"),
        ),
        Attack::new(
            "docx: tables 100,000 deep",
            "a.docx",
            docx(&"<w:tbl>".repeat(100_000)),
            Refused("too_deep"),
        ),
        Attack::new(
            "docx: no document in it",
            "a.docx",
            zip([("a.txt", &b"x"[..])]),
            Refused("malformed"),
        ),
        Attack::new(
            "odt: a billion spaces",
            "a.odt",
            zip([("content.xml", spaces().as_bytes())]),
            Refused("too_big"),
        ),
        Attack::new(
            "conll: a line of 10 MiB",
            "a.conll",
            deep("x", 10 << 20),
            Refused("malformed"),
        ),
    ]
}

fn billion_laughs() -> Vec<u8> {
    let mut xml = "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\">".to_owned();
    for level in 1..10 {
        let before = if level == 1 {
            "lol".to_owned()
        } else {
            format!("lol{}", level - 1)
        };
        xml.push_str(&format!(
            "<!ENTITY lol{level} \"{}\">",
            format!("&{before};").repeat(10)
        ));
    }
    xml.push_str("]><lolz>&lol9;</lolz>");
    xml.into_bytes()
}

fn quadratic() -> Vec<u8> {
    format!(
        "<!DOCTYPE a [<!ENTITY x \"{}\">]><a>{}</a>",
        "x".repeat(1 << 20),
        "&x;".repeat(1_000_000)
    )
    .into_bytes()
}

fn attributes() -> Vec<u8> {
    let many: String = (0..1_000_000).map(|n| format!(" a{n}=''")).collect();
    format!("<a{many}>text</a>").into_bytes()
}

fn spaces() -> String {
    format!(
        "<a>{}</a>",
        "<text:p>x<text:s text:c=\"1000000000\"/>x</text:p>".repeat(100_000)
    )
}
