//! The texts that every plugin is shown.

/// Ordinary and odd documents, in both languages; written for this file.
pub const CORPUS: &[&str] = &[
    "This Agreement shall be governed by the laws of the State of New York, without regard to its conflict of laws \
     principles. See Section 4.2(a) and 15 U.S.C. § 78j(b). Page 3 of 12",
    "第五百七十七条 当事人一方不履行合同义务的，应当承担继续履行、采取补救措施或者赔偿损失等违约责任。\
     因不可抗力不能履行合同的，根据不可抗力的影响，部分或者全部免除责任。",
    "Patient denies chest pain. No evidence of pneumonia. Started metformin 500 mg twice daily for type 2 diabetes (E11.9). \
     What are the treatments for hypertension?",
    "患者否认胸痛，心电图示室性早搏二联律，给予美托洛尔 25 mg 每日两次。入选标准：年龄18～65岁；排除标准：妊娠期妇女。",
    "Tabs\tand\r\nlines\rof\u{2028}all\u{85}kinds\n\n\n",
    "x",
    "   \n\t  ",
    "\u{feff}A byte order mark, NUL \0 inside, DEL \u{7f}, zero\u{200b}width, soft\u{ad}hyphen, replacement \u{fffd}.",
    "Combining e\u{301}a\u{308}o\u{302}\u{323}, Z\u{351}\u{36b}\u{343}a\u{36a}lgo, Hangul 한국어 ㅎㅏㄴ, family 👨\u{200d}👩\u{200d}👧\u{200d}👦, flag 🇨🇳.",
    "עברית and العربية with \u{202e}override\u{202c} and 𠀀𠮷 outside the first plane, ﷽ and \u{10ffff}.",
    "1234567890 12/31/2024 2024-12-31 ２０２４年１２月３１日 $1,000,000.00 ￥500 37.5℃ 120/80 mmHg ±0.5‰",
    "<html><body onload=\"x()\">&nbsp;&#x4e2d;</body></html> {\"json\": [1, 2, {\"deep\": null}]} '; DROP TABLE cases; --",
];

/// A plain document, for cases that need no more.
pub const PLAIN: &str = CORPUS[0];

/// A long document of mixed text: at least `bytes`.
pub fn long(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 1024);
    for i in 0.. {
        if text.len() >= bytes {
            break;
        }
        text.push_str(CORPUS[i % CORPUS.len()]);
        text.push_str(if i % 7 == 0 { "\n\n" } else { " " });
    }
    text
}

/// Texts that cost a careless matcher time or stack: one character, bracket or phrase over and over.
pub fn repetitive() -> Vec<String> {
    const BYTES: usize = 64 << 10;
    [
        "a", "(", "[{", "a ", "中", "、", "\n", "0", "- ", "Section ", "第", "\u{301}", "not ",
    ]
    .iter()
    .map(|piece| piece.repeat(BYTES / piece.len()))
    .collect()
}
