use super::*;
use Assertion::{Affirmed, Negated, Uncertain};
use proptest::prelude::*;

fn check(language: Language, table: &[(&str, Assertion)]) {
    let sentences = Sentences::new(language).unwrap();
    let mut wrong = Vec::new();
    for (marked, want) in table {
        let (start, end) = (marked.find('[').unwrap(), marked.find(']').unwrap());
        let text = marked.replace(['[', ']'], "");
        let got = sentences.read(&text).assertion(&(start..end - 1));
        if got != *want {
            wrong.push(format!("{marked}: {got:?}, not {want:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn english_sentences() {
    let table = [
        ("The patient has [pneumonia].", Affirmed),
        ("There is no evidence of [pneumonia].", Negated),
        ("She denies [chest pain].", Negated),
        ("He denied nausea, vomiting, diarrhoea or [fever].", Negated),
        ("A chest film without [pleural effusion].", Negated),
        ("[Pulmonary embolism] was ruled out.", Negated),
        ("[Sepsis] is unlikely.", Negated),
        ("[Appendicitis] has been excluded by CT.", Negated),
        ("No family history of [diabetes].", Negated),
        ("The scan was negative for [stroke].", Negated),
        ("Neither asthma nor [bronchitis] was found.", Negated),
        ("Absence of [ascites] on ultrasound.", Negated),
        ("No increase in [tumour] size.", Affirmed),
        ("He has not only [gout] but hypertension.", Affirmed),
        ("Not only gout but [hypertension].", Affirmed),
        ("There was no change in the [hepatic cyst].", Affirmed),
        ("Gram negative [sepsis] was treated.", Affirmed),
        ("His [hypertension] is not well controlled.", Affirmed),
        ("Possible [tuberculosis].", Uncertain),
        ("Suspected [malaria] after travel.", Uncertain),
        ("[Lymphoma] cannot be excluded.", Uncertain),
        ("[Lymphoma] has not been ruled out.", Uncertain),
        ("We cannot rule out [lymphoma].", Uncertain),
        ("Findings suggestive of [cirrhosis].", Uncertain),
        ("Admitted to rule out [myocardial infarction].", Uncertain),
        ("[Meningitis] is suspected.", Uncertain),
        ("No [meningitis] is suspected.", Negated),
        ("[Pneumonia]?", Uncertain),
        ("No fever, but [cough] persists.", Affirmed),
        ("Denies fever; [cough] for two days.", Affirmed),
        ("No fever. [Cough] for two days.", Affirmed),
        ("No cause was seen; however, [asthma] is known.", Affirmed),
        ("No rash although [fever] was measured.", Affirmed),
        ("Asthma was ruled out. [Bronchitis] is treated.", Affirmed),
        ("[Bronchitis] is treated while asthma was ruled out.", Affirmed),
        ("The nodule in the lung is [cancer].", Affirmed),
        ("At 0.5 g daily, no [rash].", Negated),
        ("Nobody knows the cause of the [anaemia].", Affirmed),
        (
            "No one in the ward on that day had seen a worse case of [measles].",
            Affirmed,
        ),
    ];
    check(Language::En, &table);
}

#[test]
fn chinese_sentences() {
    check(
        Language::Zh,
        &[
            ("患者诊断[肺炎]。", Affirmed),
            ("否认[高血压]病史。", Negated),
            ("否认高血压、[糖尿病]、冠心病病史。", Negated),
            ("否认高血压、糖尿病及[冠心病]病史。", Negated),
            ("无[发热]。", Negated),
            ("胸片未见[肺炎]征象。", Negated),
            ("超声未发现[胆囊结石]。", Negated),
            ("没有[哮喘]病史。", Negated),
            ("目前可排除[肺结核]。", Negated),
            ("[肺结核]已排除。", Negated),
            ("[恶性肿瘤]可能性不大。", Negated),
            ("不支持[心肌炎]的诊断。", Negated),
            ("[乙肝]表面抗原阴性。", Negated),
            ("无明显诱因出现[胸痛]。", Affirmed),
            ("无法耐受的[头痛]三天。", Affirmed),
            ("无痛性[血尿]一周。", Affirmed),
            ("无论[糖尿病]轻重都应控制饮食。", Affirmed),
            ("用药后未见好转的[湿疹]。", Affirmed),
            ("不仅有[高血压]还有糖尿病。", Affirmed),
            ("排除标准：[肝硬化]。", Affirmed),
            ("无菌性[脑膜炎]。", Affirmed),
            ("疑似[肺炎]。", Uncertain),
            ("可能是[胃溃疡]。", Uncertain),
            ("[肺癌]不除外。", Uncertain),
            ("不除外[肺癌]。", Uncertain),
            ("不能排除[白血病]。", Uncertain),
            ("[白血病]不能排除。", Uncertain),
            ("考虑[支气管炎]。", Uncertain),
            ("[淋巴瘤]待排。", Uncertain),
            ("[心肌炎]可能性大。", Uncertain),
            ("怀疑[阑尾炎]而入院。", Uncertain),
            ("[肺栓塞]？", Uncertain),
            ("无发热，[咳嗽]三天。", Affirmed),
            ("无发热但[咳嗽]明显。", Affirmed),
            ("无胸痛。[心悸]两天。", Affirmed),
            ("否认糖尿病；[高血压]十年。", Affirmed),
            ("可能是感冒，[鼻炎]已多年。", Affirmed),
            ("诊断[无精子症]两年。", Affirmed),
            ("未曾患[麻疹]。", Negated),
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sentence_says_nothing_about_the_next(
        words in "(no |not |denies |ruled out |possible |but |[a-z]{1,6} |否认|可能|无|疑似|[一-十]|[0-9.,🙂]){0,20}",
    ) {
        let english = format!("{words}. Pneumonia was seen.");
        let at = english.len() - "Pneumonia was seen.".len();
        let read = |language, text: &str, range| Sentences::new(language).unwrap().read(text).assertion(&range);
        prop_assert_eq!(read(Language::En, &english, at..at + 9), Affirmed);
        let chinese = format!("{words}。肺炎一周。{words}");
        prop_assert_eq!(read(Language::Zh, &chinese, words.len() + 3..words.len() + 9), Affirmed);
    }

    #[test]
    fn any_range_of_any_text_can_be_asked(text in "(\\PC|no |无|，|\n|not ruled out){0,30}", a in 0usize..99, b in 0usize..99) {
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
        let (a, b) = (floor(a), floor(b));
        for language in [Language::En, Language::Zh] {
            Sentences::new(language).unwrap().read(&text).assertion(&(a.min(b)..a.max(b)));
        }
    }
}
