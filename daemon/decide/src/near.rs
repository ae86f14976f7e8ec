//! Texts that say the same but for a date, a number or a comma.

use std::collections::HashMap;

/// Shingles are of so many words.
const WORDS: usize = 3;
/// Fingerprints that differ in so many bits at most are of near duplicates (Manku et al. 2007, section 3: 3 of 64).
const BITS: u32 = 3;

/// A fingerprint of a text that changes little when the text does (SimHash, Charikar 2002): each bit is the majority of the bits of the
/// hashes of all runs of three words. Case, punctuation and the digits of numbers do not count; a Han character is a word.
pub fn fingerprint(text: &str) -> u64 {
    let words = words(text);
    let mut votes = [0i32; 64];
    let mut vote = |shingle: &[String]| {
        let mut hasher = blake3::Hasher::new();
        for word in shingle {
            hasher.update(word.as_bytes());
            hasher.update(&[0]);
        }
        let bytes = hasher.finalize();
        for (bit, vote) in votes.iter_mut().enumerate() {
            let set = bytes.as_bytes()[bit / 8] >> (bit % 8) & 1 == 1;
            *vote += if set { 1 } else { -1 };
        }
    };
    match words.len() {
        0..=WORDS => vote(&words),
        _ => words.windows(WORDS).for_each(vote),
    }
    let set = votes.iter().enumerate().filter(|(_, vote)| **vote > 0);
    set.fold(0, |all, (bit, _)| all | 1 << bit)
}

/// Whether two fingerprints are of near duplicates.
pub fn near(a: u64, b: u64) -> bool {
    (a ^ b).count_ones() <= BITS
}

/// Fingerprints, by what they are near to.
#[derive(Debug, Default)]
pub struct NearSet {
    /// By each of the four quarters of their bits: three bits that differ leave one quarter as it is (Manku et al. 2007, section 3).
    by_quarter: [HashMap<u16, Vec<u64>>; 4],
}

impl NearSet {
    /// Takes a fingerprint in, unless it is near one that is in it. True where it was taken.
    pub fn insert(&mut self, fingerprint: u64) -> bool {
        let new = !self.has_near(fingerprint);
        if new {
            self.add(fingerprint);
        }
        new
    }

    /// Takes a fingerprint in, whatever is there: to be near is not passed on, so one that is left out would let others pass.
    pub fn add(&mut self, fingerprint: u64) {
        for (place, held) in self.by_quarter.iter_mut().enumerate() {
            held.entry(quarter(fingerprint, place)).or_default().push(fingerprint);
        }
    }

    /// Whether it is near one that is in the set.
    pub fn has_near(&self, fingerprint: u64) -> bool {
        self.by_quarter.iter().enumerate().any(|(place, held)| {
            let alike = held.get(&quarter(fingerprint, place));
            alike.is_some_and(|alike| alike.iter().any(|&other| near(fingerprint, other)))
        })
    }
}

impl FromIterator<u64> for NearSet {
    fn from_iter<I: IntoIterator<Item = u64>>(fingerprints: I) -> NearSet {
        let mut set = NearSet::default();
        for fingerprint in fingerprints {
            set.add(fingerprint);
        }
        set
    }
}

fn quarter(fingerprint: u64, place: usize) -> u16 {
    (fingerprint >> (16 * place)) as u16
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    for c in text.chars() {
        match c {
            '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{323af}' => {
                end(&mut word);
                word.push(c);
                end(&mut word);
            }
            c if c.is_numeric() => {
                // A number is a number, however many digits it has.
                if !word.ends_with('0') {
                    word.push('0');
                }
            }
            c if c.is_alphanumeric() => word.extend(c.to_lowercase()),
            _ => end(&mut word),
        }
    }
    end(&mut word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAUSE: &str = "This Agreement shall be governed by and construed in accordance with the laws of the State of \
                          Delaware, without regard to its conflict of laws principles, as of March 1, 2019.";

    #[test]
    fn dates_numbers_case_and_commas_do_not_make_another_text() {
        let same = [
            CLAUSE.to_uppercase(),
            CLAUSE.replace(',', ""),
            CLAUSE.replace("1, 2019", "17, 2021"),
        ];
        for text in same {
            assert!(near(fingerprint(CLAUSE), fingerprint(&text)), "{text}");
        }
        let article = "第三条　经营者应当在三十日内退还押金人民币5000元。";
        assert!(near(
            fingerprint(article),
            fingerprint("第三条 经营者应当在三十日内退还押金人民币12000元")
        ));
    }

    #[test]
    fn what_is_near_to_a_neighbour_alone_is_found_among_all() {
        // 3 bits apart each: the first and the last are 6 apart.
        let (first, between, last) = (0u64, 0b111, 0b111_111);
        assert!(near(first, between) && near(between, last) && !near(first, last));
        let all: NearSet = [first, between].into_iter().collect();
        assert!(all.has_near(last));
    }

    proptest::proptest! {
        #[test]
        fn a_set_takes_what_is_near_nothing_in_it(
            seeds in proptest::collection::vec((0u64..6, 0u32..64, 0u32..64, 0u32..64, 0u32..64), 0..60),
        ) {
            // Near and not quite near ones around a few.
            let all = seeds.iter().map(|&(base, a, b, c, d)| {
                base.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (1 << a) ^ (1 << b) ^ (1 << c) ^ (1 << d)
            });
            let (mut set, mut kept) = (NearSet::default(), Vec::<u64>::new());
            for fingerprint in all {
                let expected = !kept.iter().any(|&other| near(fingerprint, other));
                proptest::prop_assert_eq!(set.has_near(fingerprint), !expected);
                proptest::prop_assert_eq!(set.insert(fingerprint), expected);
                if expected {
                    kept.push(fingerprint);
                }
            }
        }
    }

    #[test]
    fn other_texts_are_far_apart() {
        let others = [
            "Either party may terminate this Agreement upon thirty days' written notice to the other party.",
            &CLAUSE
                .replace("Delaware", "California")
                .replace("governed by and construed", "interpreted"),
            "经营者应当在三十日内退还押金。",
            "",
        ];
        for (i, a) in others.iter().enumerate() {
            assert!(!near(fingerprint(CLAUSE), fingerprint(a)), "{a}");
            for b in &others[i + 1..] {
                assert!(!near(fingerprint(a), fingerprint(b)), "{a} | {b}");
            }
        }
    }
}
