//! Encodings by the numbers that Windows gives them.

use encoding_rs::Encoding;

/// The encoding of a Windows code page.
pub fn of_code_page(number: i32) -> Option<&'static Encoding> {
    let label = match number {
        936 | 54936 => "gb18030",
        950 => "big5",
        932 => "shift_jis",
        949 => "euc-kr",
        874 => "windows-874",
        65001 => "utf-8",
        10000 => "macintosh",
        1250..=1258 => return Encoding::for_label(format!("windows-{number}").as_bytes()),
        _ => return None,
    };
    Encoding::for_label(label.as_bytes())
}

/// The character sets of Windows' LOGFONT; 1 is "the default", which says nothing.
pub fn of_charset(number: i32) -> Option<&'static Encoding> {
    of_code_page(match number {
        0 => 1252,
        77 => 10000,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    })
}
