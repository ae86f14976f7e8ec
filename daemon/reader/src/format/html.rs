//! Web pages. Only their tokens are looked at, as the HTML standard cuts them: that takes time in proportion to their
//! length, however elements are nested, and broken markup is no error.

use super::markup::{decoded, value_after};
use crate::prose::Prose;
use crate::walk::Text;
use html5gum::{State, Token, Tokenizer};
use wengu_protocol::reader::Refusal;

/// Elements whose text is not shown.
const HIDDEN: [&[u8]; 8] = [
    b"script",
    b"style",
    b"template",
    b"noscript",
    b"svg",
    b"math",
    b"head",
    b"select",
];
/// Elements that do not begin or end a line.
const INLINE: [&[u8]; 36] = [
    b"a", b"abbr", b"acronym", b"b", b"bdi", b"bdo", b"big", b"cite", b"code", b"data", b"del", b"dfn", b"em", b"font",
    b"i", b"img", b"input", b"ins", b"kbd", b"label", b"mark", b"q", b"rp", b"rt", b"ruby", b"s", b"samp", b"small",
    b"span", b"strike", b"strong", b"sub", b"sup", b"tt", b"u", b"wbr",
];

/// The text of a page.
pub fn read(bytes: &[u8], fallback: Option<&str>) -> Result<Text, Refusal> {
    let (page, encoding) = decoded(bytes, |beginning| value_after(beginning, "charset"), fallback)?;
    Ok(Text::prose(text_of(&page), encoding))
}

/// The text of a page's markup.
pub fn text_of(page: &str) -> String {
    let mut prose = Prose::default();
    // The hidden element that is open, and how often it is open in itself.
    let mut hidden: Option<(Vec<u8>, u32)> = None;
    let mut preformatted = 0_u32;
    let mut tokens = Tokenizer::new(page);
    while let Some(Ok(token)) = tokens.next() {
        match token {
            Token::StartTag(tag) => {
                let name: &[u8] = &tag.name;
                match name {
                    // What follows is text up to the end tag, and no markup.
                    b"script" => tokens.set_state(State::ScriptData),
                    b"style" | b"iframe" | b"noembed" | b"noframes" | b"xmp" => tokens.set_state(State::RawText),
                    b"textarea" | b"title" => tokens.set_state(State::RcData),
                    _ => {}
                }
                match &mut hidden {
                    Some((open, times)) if open == name => *times += u32::from(!tag.self_closing),
                    // A page that forgets to close its head goes on with its body.
                    Some((open, _)) if open == b"head" && name == b"body" => hidden = None,
                    Some(_) => {}
                    None if HIDDEN.contains(&name) => {
                        hidden = (!tag.self_closing).then(|| (name.to_vec(), 1));
                    }
                    None => begin(name, &mut prose, &mut preformatted),
                }
            }
            Token::EndTag(tag) => {
                let name: &[u8] = &tag.name;
                match &mut hidden {
                    Some((open, times)) if open == name => {
                        *times -= 1;
                        if *times == 0 {
                            hidden = None;
                        }
                    }
                    Some(_) => {}
                    None => end(name, &mut prose, &mut preformatted),
                }
            }
            Token::String(text) if hidden.is_none() => {
                let text = String::from_utf8_lossy(&text);
                if preformatted > 0 {
                    prose.verbatim(&text);
                } else {
                    prose.words(&text);
                }
            }
            _ => {}
        }
    }
    prose.finish()
}

fn begin(name: &[u8], prose: &mut Prose, preformatted: &mut u32) {
    match name {
        b"td" | b"th" => {}
        b"pre" | b"textarea" => {
            prose.line();
            *preformatted += 1;
        }
        name if INLINE.contains(&name) => {}
        _ => prose.line(),
    }
}

fn end(name: &[u8], prose: &mut Prose, preformatted: &mut u32) {
    match name {
        b"td" | b"th" => prose.tab(),
        b"pre" | b"textarea" => {
            prose.line();
            *preformatted = preformatted.saturating_sub(1);
        }
        name if INLINE.contains(&name) => {}
        _ => prose.line(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_follow_blocks_and_not_the_source() {
        let page = "<!doctype html><html><head><title>t</title><style>p{}</style></head><body>\n<h1>Lease</h1>\
            <p>The <b>tenant</b>\n pays &pound;5&nbsp;&amp; leaves.</p><p>二<br>三</p>\
            <table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table><script>if (a<b) x()</script></body></html>";
        assert_eq!(
            text_of(page),
            "Lease\nThe tenant pays £5\u{a0}& leaves.\n二\n三\na\tb\nc"
        );
    }

    #[test]
    fn what_is_not_closed_does_not_hide_the_page() {
        assert_eq!(text_of("<head><title>x<title></title><body>text"), "text");
        assert_eq!(text_of("<p>a<p>b<pre>x  y\nz</pre>c"), "a\nb\nx  y\nz\nc");
        assert_eq!(text_of("a<svg/>b<svg><svg></svg>c</svg>d"), "abd");
    }
}
