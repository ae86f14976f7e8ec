//! What stays whole in a contract, and what the model need not see.

use wengu_plugin::SegmentKind::{self, Drop, Term};

/// Spans by pattern.
pub const PATTERNS: &[(SegmentKind, &str)] = &[
    // References: Section 4.2(a), Articles 7.1, Exhibit B, § 12.
    (
        Term,
        r"\b(?:(?i:sections?|articles?|clauses?|paragraphs?|subsections?))\s+\d+(?:\.\d+)*[A-Z]?(?:\s?\((?:[a-zA-Z]|[ivxIVX]{1,5}|\d{1,2})\))*",
    ),
    (Term, r"\b(?:Article|ARTICLE|Part|PART)\s+[IVXLC]+\b"),
    (
        Term,
        r"\b(?:Exhibit|Schedule|Annex|Appendix|EXHIBIT|SCHEDULE|ANNEX|APPENDIX)\s+(?:[A-Z]|\d{1,2})(?:-\d{1,2})?\b",
    ),
    (Term, r"§§?\s?\d+(?:\.\d+)*(?:\([a-z0-9]{1,4}\))*"),
    // Statutes, regulations and cases: 15 U.S.C. § 78j(b), 17 C.F.R. § 240.24b-2, 123 F.3d 456.
    (
        Term,
        r"\b\d{1,3}\s+(?:U\.?\s?S\.?\s?C\.?(?:\s?A\.)?|C\.?\s?F\.?\s?R\.?)(?:\s+(?i:parts?|sections?|secs?\.))?\s*(?:§§?\s*)?\d+[a-zA-Z]{0,2}(?:[.-]\d+[a-z]?(?:-\d+)?)*(?:\([a-zA-Z0-9]{1,4}\))*",
    ),
    (
        Term,
        r"\b\d{1,4}\s+(?:U\.\s?S\.|F\.(?:2d|3d|4th)|F\.\s?Supp\.(?:\s?[23]d)?|S\.\s?Ct\.)\s+\d{1,5}\b",
    ),
    // A term where it is defined: the "Effective Date". The quotes stay outside.
    (Term, "[\"“](?<span>[A-Z][\\w&'’./-]*(?:\\s[\\w&'’./-]+){0,5})[\"”]"),
    // Dates and money.
    (
        Term,
        r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4}\b",
    ),
    (Term, r"\b\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})\b|\b\d{4}-\d{2}-\d{2}\b"),
    (
        Term,
        r"(?:US\$|U\.S\.\s?\$|C\$|A\$|HK\$|\$|€|£|¥|\b(?:USD|EUR|GBP|RMB|CNY)\s?)\s?\d{1,3}(?:,\d{3})*(?:\d*)(?:\.\d+)?(?:\s(?:thousand|million|billion))?",
    ),
    // Terms of art that mean more than their words.
    (
        Term,
        r"\b(?i:force majeure|liquidated damages|gross negligence|willful misconduct|change of control|right of first refusal|covenant not to sue|work made for hire|intellectual property rights?|confidential information|source code|royalty-free|non-exclusive|non-transferable|pro rata|bona fide|inter alia|mutatis mutandis|pari passu|prima facie)\b",
    ),
    // Page furniture, redactions, filing lines, rules and leaders.
    (Drop, r"(?i:\(?\bpage\s+\d+\s+of\s+\d+\b\)?|\(page\s+\d+\))"),
    (Drop, r"(?m)^[ \t]*-\s?\d{1,4}\s?-[ \t]*$"),
    (Drop, r"\[(?:\s?\*\s?){1,8}\]|(?:\*\s?){3,}"),
    (
        Drop,
        r"(?m)^[ \t]*Source:\s[^\n]{1,120}?,\s(?:[A-Z0-9/-]{1,12},\s)?\d{1,2}/\d{1,2}/\d{4}[ \t]*$",
    ),
    (
        Drop,
        r"(?m)\bSource:\s[A-Z][^\n]{1,80}?,\s(?:[A-Z0-9/-]{1,12}),\s\d{1,2}/\d{1,2}/\d{4}",
    ),
    (Drop, r"<omitted>|_{4,}|(?:\.\s?){6,}"),
];

/// Words that contracts use all the time and general vocabularies split.
pub const TERMS: &[&str] = &[
    "aforementioned",
    "arbitration",
    "assignee",
    "assignor",
    "attorneys",
    "covenant",
    "covenants",
    "disclaims",
    "distributor",
    "enforceable",
    "escrow",
    "exclusivity",
    "forbearance",
    "franchisee",
    "franchisor",
    "hereby",
    "herein",
    "hereinafter",
    "hereof",
    "hereto",
    "hereunder",
    "indemnification",
    "indemnify",
    "indemnitee",
    "infringement",
    "injunctive",
    "insolvency",
    "jurisdiction",
    "lessee",
    "lessor",
    "licensee",
    "licensor",
    "liquidated",
    "misappropriation",
    "nonexclusive",
    "nontransferable",
    "notwithstanding",
    "perpetual",
    "royalties",
    "severability",
    "sublicense",
    "sublicensee",
    "subrogation",
    "termination",
    "therein",
    "thereof",
    "thereto",
    "trademarks",
    "unenforceable",
    "warranties",
    "whereas",
    "worldwide",
];
