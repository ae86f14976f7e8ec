//! What stays whole in a Chinese legal text, what the model need not see, and what a span is.

use wengu_plugin::SegmentKind::{self, Drop, Term};
use wengu_plugin::patterns::SpanRule;

/// A number in an article or case reference: 577, ５, 五百七十七.
macro_rules! number {
    () => {
        "(?:[0-9０-９]{1,4}|[零〇一二三四五六七八九十百千]{1,9})"
    };
}

/// Who somebody is in court.
macro_rules! role {
    () => {
        "(?:再审申请人|被申请人|申请执行人|被执行人|被上诉人|上诉人|申请人|附带民事诉讼原告人|原审原告|原审被告|原告人?|被告人?|被告单位|第三人|被害人|犯罪嫌疑人|法定代表人|委托诉讼代理人|委托代理人|诉讼代理人|辩护人|证人|案外人|同案人)"
    };
}

/// A name with the given name masked, as published judgments have it: 张某, 王某某, 李某甲, 赵×. A single 某 that a common noun
/// follows is no name; the character after the name is read for that, and is not in the span.
macro_rules! masked {
    () => {
        "(?:[赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕施张孔曹严华金魏陶姜戚谢邹喻柏窦章云苏潘葛范彭郎鲁韦马苗方俞任袁柳史唐费廉薛雷贺倪汤滕殷罗毕郝安常乐于时傅皮卞齐康伍余元顾孟黄穆萧尹姚邵湛汪祁毛狄臧计戴谈宋庞熊纪舒屈项祝董梁杜阮蓝闵席季麻贾路娄江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万柯管卢莫房干解应宗丁宣邓郁单杭洪包左石崔吉龚程邢裴陆翁荀甄曲封储靳焦牧山谷车侯宓全班仰仲伊宫宁仇栾甘厉祖武符刘景詹束龙叶司黎薄白怀蒲索卓蔺屠蒙池乔闻党翟谭申冉雍桑桂牛尚农温庄晏柴瞿阎连习容向古易廖耿匡文欧殳沃利蔚越师巩聂辛简饶曾关查红游权盖益桓涂岑佟佘][某]{1,3}[甲乙丙丁戊]?)"
    };
}

/// A statute or interpretation by name, with an article or without: 《民法典》第五百七十七条第二款第（三）项.
const CITATION: &str = concat!(
    "(?:《[^《》\n]{1,60}》(?:[（(][^（）()\n]{1,20}[）)])?|民法典|民法总则|合同法|物权法|侵权责任法|婚姻法|继承法|公司法|刑法|宪法|劳动法|劳动合同法|民事诉讼法|刑事诉讼法|行政诉讼法|本法|本条例|本办法|本规定|本合同|本协议)?第\\s?",
    number!(),
    "\\s?条(?:之[一二三四五六七八九十]{1,2})?(?:第\\s?",
    number!(),
    "\\s?款)?(?:第?\\s?[（(]",
    number!(),
    "[）)]\\s?项|第\\s?",
    number!(),
    "\\s?项)?"
);
const STATUTE: &str = "《[^《》\n]{1,60}(?:法|法典|宪法|条例|规定|解释|办法|决定|规则|细则|批复|意见|通则|总则|修正案|公约|会议纪要)(?:[（(][^（）()《》\n]{1,20}[）)])?》";

/// （2021）京01民终1234号, （2019）最高法民再12号, (2008)朝民初字第12345号.
const CASE_NUMBER: &str = r"[（(〔\[]\s?(?:19|20)[0-9]{2}\s?[）)〕\]]\s?\p{Han}{1,4}[0-9]{0,6}\p{Han}{1,8}[0-9]{1,7}号(?:之[一二三四五六七八九十])?";

/// 2021年3月5日, 二〇二一年三月五日, 2021年3月, 3月5日.
const DATE: &str = "(?:(?:[12１２][0-9０-９]{3}|[一二][零〇○一二三四五六七八九]{3})\\s?年\\s?(?:1[0-2]|0?[1-9]|[０-９]{1,2}|十[一二]?|[一二三四五六七八九])\\s?月|(?:1[0-2]|0?[1-9]|十[一二]?|[一二三四五六七八九])\\s?月\\s?(?:[12][0-9]|3[01]|0?[1-9]|三十一?|二?十[一二三四五六七八九]?|[一二三四五六七八九])\\s?[日号])(?:\\s?(?:[12][0-9]|3[01]|0?[1-9]|[０-９]{1,2}|三十一?|二?十[一二三四五六七八九]?|[一二三四五六七八九])\\s?[日号])?";
const ISO_DATE: &str = r"(?-u:\b)(?:19|20)[0-9]{2}[-/.](?:1[0-2]|0?[1-9])[-/.](?:[12][0-9]|3[01]|0?[1-9])(?-u:\b)";

/// 人民币5000元, 3.7万元, 8000余元, 三万元, 人民币壹佰万元整, ￥1,000.00.
const MONEY: &str = "(?:(?:人民币|港币|美元|RMB|CNY|USD|HKD|US[$]|HK[$]|[￥¥$])\\s?(?:(?:[0-9０-９]{1,3}(?:[,，][0-9]{3})+|[0-9０-９]+)(?:[.．][0-9０-９]+)?|[零〇一二三四五六七八九十百千万亿两壹贰叁肆伍陆柒捌玖拾佰仟萬億]{1,20})\\s?[余多]?(?:百万|千万|万亿|[百千万亿])?[余多]?(?:元|圆|美元|港元|欧元|日元|英镑)?|(?:(?:[0-9０-９]{1,3}(?:[,，][0-9]{3})+|[0-9０-９]+)(?:[.．][0-9０-９]+)?\\s?[余多]?(?:百万|千万|万亿|[百千万亿])?|[零〇一二三四五六七八九十百千万亿两壹贰叁肆伍陆柒捌玖拾佰仟萬億]{1,20})[余多]?(?:元|圆|美元|港元|欧元|日元|英镑))(?:[0-9零壹贰叁肆伍陆柒捌玖一二三四五六七八九]{1,2}角)?(?:[0-9零壹贰叁肆伍陆柒捌玖一二三四五六七八九]{1,2}分)?(?:整|正)?";

/// 甲方 and its like.
const CONTRACT_PARTY: &str = "[甲乙丙丁戊]方";
const MASKED_NAME: &str = concat!("(?<span>", masked!(), ")(?:[^某公地市县区镇乡村街路省月日年小大]|$)");
/// A company, from the word that its name begins after. Words that names do not have end the search to the left.
const COMPANY: &str = concat!(
    "(?:",
    role!(),
    "|[甲乙丙丁]方)?[:：]?\\s?(?<span>[\\p{Han}*＊×·A-Za-z0-9--[与和由被的是在及了其向诉让或该内给到至于]]{2,24}(?:[（(]\\p{Han}{2,8}[）)][\\p{Han}*＊×·A-Za-z0-9--[与和由被的是在及了其向诉让或该内给到至于]]{0,12})?(?:有限责任公司|股份有限公司|有限公司|合伙企业|集团公司)(?:\\p{Han}{2,8}分公司)?)"
);

/// Spans by pattern. The terms of art are added to these.
pub const PATTERNS: &[(SegmentKind, &str)] = &[
    (Term, CITATION),
    (Term, STATUTE),
    (Term, concat!("第\\s?", number!(), "\\s?[章节编款项]")),
    (Term, CASE_NUMBER),
    (Term, DATE),
    (Term, ISO_DATE),
    (Term, MONEY),
    (Term, CONTRACT_PARTY),
    (
        Term,
        concat!(
            "(?<span>",
            role!(),
            "[:：]?",
            masked!(),
            ")(?:[^某公地市县区镇乡村街路省月日年小大]|$)"
        ),
    ),
    (Term, MASKED_NAME),
    (Term, COMPANY),
    // Page furniture, closing remarks, rules and leaders.
    (
        Drop,
        r"[（(]?第\s?[0-9０-９一二三四五六七八九十百]{1,4}\s?页\s?[,，/／]?\s?共\s?[0-9０-９一二三四五六七八九十百]{1,4}\s?页[）)]?|[（(]?共\s?[0-9０-９]{1,4}\s?页\s?[,，/／]?\s?第\s?[0-9０-９]{1,4}\s?页[）)]?",
    ),
    (Drop, r"(?m)^[ \t　]*第\s?[0-9０-９]{1,4}\s?页[ \t　]*$"),
    (Drop, r"(?m)^[ \t　]*[-—–]\s?[0-9０-９]{1,4}\s?[-—–][ \t　]*$"),
    (Drop, r"[（(](?:以下|此页|本页以下)无正文[^（）()\n]{0,20}[）)]"),
    (Drop, r"_{4,}|＿{4,}|…{3,}|·{6,}|(?:\.\s?){6,}"),
];

/// Votes on spans. The confidence of dates and sums is the part that touches a marked entity in the training part of the judgments
/// that the README names; of masked names, which people marked only in part, it is what reading 25 of the unmarked ones supports
/// (all were names). For the others there is no labelled data, and it is 0.5.
pub const RULES: &[SpanRule] = &[
    rule("statute-article", "citation", 0.5, CITATION),
    rule("statute-name", "citation", 0.5, STATUTE),
    rule("case-number", "citation", 0.5, CASE_NUMBER),
    rule("calendar-date", "date", 0.82, DATE),
    rule("iso-date", "date", 0.5, ISO_DATE),
    rule("amount", "money", 0.8, MONEY),
    rule("contract-party", "party", 0.5, CONTRACT_PARTY),
    rule("masked-name", "party", 0.9, MASKED_NAME),
    rule("company", "party", 0.5, COMPANY),
    rule(
        "one-sided-power",
        "risk",
        0.5,
        "有权(?:随时)?单方(?:面)?(?:解除|终止|变更|修改|调整)|单方(?:面)?(?:解除|终止|变更)(?:本)?(?:合同|协议)|最终解释权|无需(?:事先)?(?:另行)?通知|不另行通知|自行决定",
    ),
    rule(
        "no-liability",
        "risk",
        0.5,
        "概不负责|不承担(?:任何|一切|全部)(?:法律|经济|赔偿|连带|违约)?责任|不负任何责任|免除(?:一切|全部|任何)责任|自行承担(?:全部|一切)?(?:风险|后果|责任|损失)|责任自负|后果自负",
    ),
    rule(
        "forfeit",
        "risk",
        0.5,
        "不予退还|概不退还|不退不换|概不退换|不予返还|不再退还|放弃(?:一切|任何|全部)?(?:抗辩|追索|索赔|诉讼|优先购买)?权利?",
    ),
    rule(
        "heavy-duty",
        "risk",
        0.5,
        "无限(?:连带)?责任|连带(?:保证|清偿|赔偿)?责任|不可撤销|无条件(?:支付|承担|同意|配合|返还|退还)|视为(?:同意|接受|认可|放弃|违约|验收合格)|自动(?:续期|续约|延期|顺延|续展)|滞纳金|罚息",
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
