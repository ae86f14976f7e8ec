//! What stays whole in a contract, and what the model need not see.

use wengu_plugin::SegmentKind::{self, Drop, Term};
use wengu_plugin::patterns::SpanRule;

// Statutes, regulations and cases: 15 U.S.C. § 78j(b), 17 C.F.R. § 240.24b-2, 123 F.3d 456.
const STATUTE: &str = r"\b\d{1,3}\s+(?:U\.?\s?S\.?\s?C\.?(?:\s?A\.)?|C\.?\s?F\.?\s?R\.?)(?:\s+(?i:parts?|sections?|secs?\.))?\s*(?:§§?\s*)?\d+[a-zA-Z]{0,2}(?:[.-]\d+[a-z]?(?:-\d+)?)*(?:\([a-zA-Z0-9]{1,4}\))*";
const CASE: &str = r"\b\d{1,4}\s+(?:U\.\s?S\.|F\.(?:2d|3d|4th)|F\.\s?Supp\.(?:\s?[23]d)?|S\.\s?Ct\.)\s+\d{1,5}\b";
const DATE: &str = r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4}\b";
/// 30 June 2001, 1st day of September, 2004.
const DAY_FIRST: &str = r"\b\d{1,2}(?:st|nd|rd|th)?\s(?:day\s)?(?:of\s)?(?:January|February|March|April|May|June|July|August|September|October|November|December),?\s\d{4}\b";
const SHORT_DATE: &str = r"\b\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})\b|\b\d{4}-\d{2}-\d{2}\b";
const MONEY: &str = r"(?:US\$|U\.S\.\s?\$|C\$|A\$|HK\$|\$|€|£|¥|\b(?:USD|EUR|GBP|RMB|CNY)\s?)\s?\d{1,3}(?:,\d{3})*(?:\d*)(?:\.\d+)?(?:\s(?:thousand|million|billion))?";

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
    (Term, STATUTE),
    (Term, CASE),
    // A term where it is defined: the "Effective Date". The quotes stay outside.
    (Term, "[\"“](?<span>[A-Z][\\w&'’./-]*(?:\\s[\\w&'’./-]+){0,5})[\"”]"),
    (Term, DATE),
    (Term, DAY_FIRST),
    (Term, SHORT_DATE),
    (Term, MONEY),
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

/// Votes on spans. Those on risk have their precision on the training part of the sentences that the README names (with one more
/// hit and one more miss); for the others there is no labelled data, and their confidence is 0.5.
pub const RULES: &[SpanRule] = &[
    rule("statute", "citation", 0.5, STATUTE),
    rule("case", "citation", 0.5, CASE),
    rule(
        "named-act",
        "citation",
        0.5,
        r"\b(?:[A-Z][\w&’'-]+\s(?:(?:and|of|the|on|for|in)\s)?){1,6}Act\b(?:\sof\s\d{4})?",
    ),
    rule("date", "date", 0.5, DATE),
    rule("day-first-date", "date", 0.5, DAY_FIRST),
    rule("short-date", "date", 0.5, SHORT_DATE),
    rule("amount", "money", 0.5, MONEY),
    // Acme Widgets, Inc.
    rule(
        "company-form",
        "party",
        0.5,
        r"\b(?:[A-Z0-9][\w&.’'/-]*,?\s(?:(?:of|and|&)\s)?){1,6}?(?:Inc\b\.?|Incorporated\b|LLC\b|L\.L\.C\.|Ltd\b\.?|Limited\b|Corp\b\.?|Corporation\b|Co\.|L\.P\.|LLP\b|PLC\b|plc\b|GmbH\b|AG\b|S\.A\.|N\.V\.|B\.V\.)",
    ),
    // John Smith, an individual residing in Ohio (the "Consultant").
    rule(
        "defined-party",
        "party",
        0.5,
        r"(?<span>\b[A-Z][\w&.’'/-]*(?:,?\s(?:[A-Z0-9&][\w&.’'/-]*|of|and)){0,7})(?:,\s(?:an?|the|with|having|located|organized|incorporated)\s[^()\x22“”;]{1,160})?,?\s?\((?:(?:hereinafter|hereafter|herein|the|collectively|referred|called|to|as|or|each|a|an),?\s){0,8}[\x22“](?:the\s)?(?:Company|Supplier|Licensor|Licensee|Distributor|Buyer|Seller|Customer|Client|Vendor|Contractor|Consultant|Franchisor|Franchisee|Lessor|Lessee|Landlord|Tenant|Borrower|Lender|Guarantor|Purchaser|Provider|Service Provider|Agent|Investor|Manufacturer|Publisher|Reseller|Sponsor|Owner|Employer|Employee|Executive|Developer|Operator|Party)[\x22”]",
    ),
    rule(
        "no-liability",
        "risk",
        0.66,
        r"(?i)\b(?:not|nor|neither|no event|no circumstances?)\b[^.]{0,100}\bliable (?:for|to)\b|\b(?:no|not assume any|not accept any) (?:responsibility (?:and|or) )?(?:assumes? no )?liability\b|\bliability\b[^.]{0,80}\b(?:limited to|not exceed|exceed)\b|\bnot (?:be )?responsible (?:or liable )?for (?:any|the)\b",
    ),
    rule(
        "one-sided-end",
        "risk",
        0.82,
        r"(?i)\b(?:we|our|reserves? the right|right to)\b[^.]{0,80}\b(?:terminate|suspend|deactivate|disable|discontinue|stop (?:offering|providing))\b|\b(?:terminat|suspend|deactivat)\w*\b[^.]{0,100}\b(?:sole discretion|any reason or|without (?:prior )?notice|without liability)\b",
    ),
    rule(
        "one-sided-change",
        "risk",
        0.95,
        r"(?i)\b(?:we|our|reserves? the right|right)\b[^.]{0,60}\b(?:change|modify|amend|revise|update|alter)\b[^.]{0,100}\b(?:at any time|sole discretion|without (?:prior )?notice|time to time)\b|\b(?:sole discretion|reserves? the right|time to time)\b[^.]{0,80}\b(?:change|modify|amend|revise|alter)\b",
    ),
    rule(
        "one-sided-removal",
        "risk",
        0.78,
        r"(?i)\b(?:remove|delete|refuse|block)\b[^.]{0,120}\b(?:any reason|sole discretion|without (?:prior )?notice)\b|\b(?:sole discretion|reserves? the right|right but not)\b[^.]{0,80}\b(?:remove|delete|block)\b",
    ),
    rule(
        "consent-by-use",
        "risk",
        0.61,
        r"(?i)\bby (?:using|accessing|visiting|downloading|installing|continuing to)\b[^.]{0,160}\b(?:agree|accept|bound)\b|\b(?:continued use|continuing to use|use of the \w+)\b[^.]{0,120}\b(?:constitutes?|deemed)\b",
    ),
    rule(
        "forum",
        "risk",
        0.74,
        r"(?i)\b(?:exclusive|sole|personal) (?:and exclusive )?(?:jurisdiction|venue)\b|\bcourts? (?:located )?in \w+",
    ),
    rule(
        "foreign-law",
        "risk",
        0.82,
        r"(?i)\bgoverned (?:by|in)\b[^.]{0,80}\blaws?\b|\blaws of (?:the )?(?:state|england|ireland|province|republic|netherlands|commonwealth|california)\b|\bin accordance with (?:the laws of|\w+ law)\b",
    ),
];

const fn rule(function: &'static str, label: &'static str, confidence: f64, pattern: &'static str) -> SpanRule {
    SpanRule {
        function,
        label,
        confidence,
        pattern,
    }
}
