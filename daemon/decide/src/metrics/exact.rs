/// Whether an answer is the expected one: white space aside at both ends and in its amount, nothing may differ.
pub fn exact_match(expected: &str, actual: &str) -> bool {
    expected.split_whitespace().eq(actual.split_whitespace())
}
