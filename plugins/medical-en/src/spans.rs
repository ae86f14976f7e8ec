//! What stays whole in a medical text, and what the model need not see.

use wengu_plugin::SegmentKind::{self, Drop, Term};

/// Spans by pattern.
pub const PATTERNS: &[(SegmentKind, &str)] = &[
    // Drugs by the stems of their international names; the stems of April, carbon monoxide and the like are too short.
    (
        Term,
        r"\b(?i:[a-z]{3,}(?:mab|nib|statin|pril|sartan|olol|conazole|nidazole|cillin|mycin|floxacin|cycline|clovir|tegravir|previr|buvir|prazole|tidine|dipine|triptan|gliptin|gliflozin|glitazone|xaban|setron|azepam|zolam|oxetine|profen|coxib|metasone|nisone|nisolone|dronate|ciclib|platin|rubicin|taxel|semide|thiazide|zosin|terol))\b",
    ),
    (
        Term,
        r"\b(?i:acetaminophen|aspirin|carbamazepine|cortisone|heparin|hydroxyurea|ibuprofen|insulin|interferon|levodopa|lithium|metformin|methotrexate|morphine|paracetamol|phenytoin|valproic acid|warfarin)\b",
    ),
    // Doses: 500 mg, 2.5 mL/kg, 10,000 IU.
    (
        Term,
        r"\b\d+(?:[.,]\d+)*\s?(?:mg|mcg|µg|μg|kg|g|mL|ml|dL|IU|mmol|mEq|mmHg)(?:/(?:kg|day|d|mL|ml|dL|L|h|m2|m²))*\b",
    ),
    // ICD-10 codes, genes, loci.
    (Term, r"\b[A-TV-Z]\d[0-9AB]\.[0-9A-Z]{1,4}\b"),
    (Term, r"\b(?:ICD-10(?:-CM)?:?\s+)(?<span>[A-TV-Z]\d[0-9AB])\b"),
    (Term, r"\b[A-Z]{2,6}\d{1,4}[A-Z]{0,3}\d?\b"),
    (
        Term,
        r"\b(?<span>[A-Z][A-Z0-9-]{1,9})\s+(?:gene|genes|mutations?|protein)\b",
    ),
    (Term, r"\b(?:[1-9]|1\d|2[0-2]|X|Y)[pq]\d{1,2}(?:\.\d{1,2})?\b"),
    // Phrases of genetics and of the ward that mean more than their words.
    (
        Term,
        r"\b(?i:autosomal (?:dominant|recessive)|x-linked (?:dominant|recessive)|de novo|in vitro|in utero|et cetera|blood pressure|bone marrow|clinical trials?|computed tomography|lumbar puncture|magnetic resonance imaging|spinal cord|stem cell transplant(?:ation)?|white blood cells?|red blood cells?)\b",
    ),
    (Term, r"\b(?:type|Type)\s(?:\d{1,2}[A-Z]?|[IVX]{1,4}[a-z]?)\b"),
    // References, links, page furniture.
    (
        Drop,
        r"\(?\b[A-Z][a-z]+(?:-[A-Z][a-z]+)?\s+et\s+al\.?,?\s*\(?(?:19|20)\d{2}\)?",
    ),
    (Drop, r"\[\d{1,3}(?:\s?[,–-]\s?\d{1,3})*\]"),
    (Drop, r"\bPMID:?\s*\d+|\bdoi:\s?10\.\S+|https?://[^\s<>)\]]+"),
    (
        Drop,
        r"(?i:\(?\bpage\s+\d+\s+of\s+\d+\b\)?|\blast (?:updated|reviewed):?\s*\d{1,2}/(?:\d{1,2}/)?\d{4})",
    ),
];

/// Words that medicine uses all the time and general vocabularies split.
pub const TERMS: &[&str] = &[
    "abnormalities",
    "adenocarcinoma",
    "anemia",
    "antibodies",
    "arrhythmia",
    "autoimmune",
    "autosomal",
    "biopsy",
    "cardiomyopathy",
    "chemotherapy",
    "chromosome",
    "congenital",
    "corticosteroids",
    "dementia",
    "dermatitis",
    "dysplasia",
    "encephalopathy",
    "enzymes",
    "epilepsy",
    "fibrosis",
    "glaucoma",
    "hemoglobin",
    "hepatitis",
    "hypertension",
    "hypotonia",
    "immunodeficiency",
    "inflammation",
    "leukemia",
    "lymphoma",
    "melanoma",
    "metabolism",
    "metastasis",
    "microcephaly",
    "mitochondrial",
    "neurological",
    "neuropathy",
    "osteoporosis",
    "pancreatitis",
    "prognosis",
    "radiotherapy",
    "recessive",
    "sarcoma",
    "sclerosis",
    "scoliosis",
    "spondylitis",
    "stenosis",
    "syndrome",
    "thrombosis",
    "ultrasound",
    "vaccination",
];
