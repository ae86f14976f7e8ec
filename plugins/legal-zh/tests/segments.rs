//! What stays whole, what is dropped, and that nothing is lost.

#[path = "../../checks/segments.rs"]
mod checks;

use checks::marked;
use proptest::prelude::*;
use wengu_plugin::segments::check_tiling;
use wengu_plugin::{Evaluator, Host, Plugin, Prediction, Segmenter};
use wengu_plugin_legal_zh::LegalZh;

fn plugin() -> LegalZh {
    LegalZh::create(&Host::silent(), &serde_json::json!({})).unwrap()
}

#[test]
fn terms_stay_whole_and_furniture_goes() {
    let mut plugin = plugin();
    for (text, want) in [
        (
            "依照《中华人民共和国民法典》第五百七十七条第二款第（三）项之规定",
            "依照<《中华人民共和国民法典》第五百七十七条第二款第（三）项>之规定",
        ),
        (
            "根据《民法典》第577条、第585条第1款",
            "根据<《民法典》第577条>、<第585条第1款>",
        ),
        ("违反民法典第十条的", "违反<民法典第十条>的"),
        ("刑法第一百二十条之一", "<刑法第一百二十条之一>"),
        (
            "《最高人民法院关于适用〈中华人民共和国民法典〉时间效力的若干规定》施行前",
            "<《最高人民法院关于适用〈中华人民共和国民法典〉时间效力的若干规定》>施行前",
        ),
        ("小说《红楼梦》的作者", "小说《红楼梦》的作者"),
        (
            "（2021）京01民终1234号判决和（2019）最高法民再12号之一",
            "<（2021）京01民终1234号>判决和<（2019）最高法民再12号之一>",
        ),
        (
            "见(2008)朝民初字第12345号民事判决",
            "见<(2008)朝民初字第12345号>民事判决",
        ),
        (
            "于2021年3月5日签订，二〇二一年三月五日生效",
            "于<2021年3月5日>签订，<二〇二一年三月五日>生效",
        ),
        (
            "自2020年1月起至12月31日止，见2020-03-05",
            "自<2020年1月>起至<12月31日>止，见<2020-03-05>",
        ),
        (
            "支付人民币5000元，另付三万元及￥1,000.50",
            "支付<人民币5000元>，另付<三万元>及<￥1,000.50>",
        ),
        (
            "共计8000余元、3.7万元、人民币壹佰万元整",
            "共计<8000余元>、<3.7万元>、<人民币壹佰万元整>",
        ),
        ("甲方应向乙方交付", "<甲方>应向<乙方>交付"),
        (
            "原告张某与被告李某甲，王某某到庭",
            "<原告张某>与<被告李某甲>，<王某某>到庭",
        ),
        ("原告张某因某公司在某地施工", "<原告张某>因某公司在某地施工"),
        ("被告北京某某科技有限公司未付款", "被告<北京某某科技有限公司>未付款"),
        (
            "甲方：上海华建（集团）股份有限公司，地址",
            "<甲方>：<上海华建（集团）股份有限公司>，地址",
        ),
        (
            "因不可抗力不承担违约责任，但承担连带责任保证",
            "因<不可抗力>不承担<违约责任>，但承担<连带责任保证>",
        ),
        ("主张善意取得，诉讼时效已过", "主张<善意取得>，<诉讼时效>已过"),
        ("付款。第 3 页 共 12 页验收", "付款。验收"),
        ("付款。\n- 7 -\n验收____年", "付款。\n\n验收年"),
        ("签字：（以下无正文）", "签字："),
        ("The Supplier shall deliver.", "The Supplier shall deliver."),
        ("", ""),
    ] {
        assert_eq!(marked(&mut plugin, text), want);
    }
}

#[test]
fn terms_are_chinese_and_without_repeats() {
    let terms = plugin().terms();
    let mut sorted = terms.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted, terms, "sorted, so that repeats and changes are easy to see");
    assert!(
        terms
            .iter()
            .all(|t| t.chars().all(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)))
    );
    let mut plugin = plugin();
    for term in terms {
        assert_eq!(marked(&mut plugin, &term), format!("<{term}>"));
    }
}

#[test]
fn answers_are_scored() {
    let score = |expected, actual| {
        let item = Prediction {
            input: "",
            expected,
            actual,
        };
        plugin().score(&Host::silent(), &item, 0).map_err(|e| e.message)
    };
    assert_eq!(score("刑法", " 刑法 "), Ok(vec![1.0, 1.0]));
    assert_eq!(score("刑法", "诉讼与非诉讼程序法"), Ok(vec![0.0, 0.5]));
    assert_eq!(score("刑法", "经济法"), Ok(vec![0.0, 0.0]));
    assert!(score("票据法", "x").unwrap_err().contains("is none of the"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_tiled(text in "(\\PC|[\n\t　]|👩‍⚖️|⚖️|合同|第[一二三]条|《民法典》|第（三）项|（2021）京01民终|1234号|2021年|三月|5日|人民币|三万元|甲方|原告|张某|某|有限公司|不可抗力|第 3 页|共 12 页|____){0,60}") {
        let segments = plugin_once(&text);
        prop_assert_eq!(check_tiling(&text, &segments), Ok(()));
    }
}

/// Compiling the patterns once, not for every case.
fn plugin_once(text: &str) -> Vec<wengu_plugin::Segment> {
    thread_local! {
        static PLUGIN: std::cell::RefCell<LegalZh> = std::cell::RefCell::new(plugin());
    }
    PLUGIN.with_borrow_mut(|p| p.segment(&Host::silent(), text).unwrap())
}
