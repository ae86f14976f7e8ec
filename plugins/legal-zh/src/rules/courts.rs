//! Criminal law, procedure and arbitration.

use wengu_plugin::patterns::Rule;

/// The labelling functions.
pub const RULES: &[Rule] = &[
    Rule {
        function: "prison-terms",
        label: "刑法",
        confidence: 0.95,
        when: r"年以[上下]有期徒刑|拘役|无期徒刑(或者|的|，|、)|判处管制|并处罚金|单处罚金",
        unless: r"人民检察院|人民法院审|审判员|引渡|被告人|特别行政区|治安管理|法官|侦查|公司法",
    },
    Rule {
        function: "sentencing",
        label: "刑法",
        confidence: 0.93,
        when: r"前款的规定处罚|从轻或者减轻处罚|从轻处罚|减轻处罚|免除处罚|犯罪分子|数罪并罚|假释|犯前款罪|犯罪情节|以.{0,8}共犯论处|定罪处罚|犯罪的时候|构成犯罪.{0,6}是故意",
        unless: r"人民检察院|人民法院审|行政处罚|治安管理|被告人|政务处分|监狱|监察|特别行政区|公安机关",
    },
    Rule {
        function: "parties-in-court",
        label: "诉讼与非诉讼程序法",
        confidence: 0.91,
        when: r"被告(人|的|应当|住所|，|或者|不)|原告|上诉|抗诉|诉讼参与人|自诉|犯罪嫌疑人|诉讼代理人|附带民事",
        unless: r"反有组织|律师|监察|特别行政区|恐怖|检察官|法官|定罪处罚|陪审员",
    },
    Rule {
        function: "court-procedure",
        label: "诉讼与非诉讼程序法",
        confidence: 0.93,
        when: r"第一审|第二审|开庭|审判员|书记员|笔录|合议庭|简易程序|裁定(驳回|书|不|的|应当|准许|撤销|中止|终结)|审理的?案件|再审|审结|到庭|人民法院管辖|受理.{0,8}案件|审判人员",
        unless: r"破产|债权人会议|人民陪审员|法院组织|仲裁员|重整|债务人|法官|审判委员会|国家赔偿|赔偿义务|立法|监察|法官|特别行政区",
    },
    Rule {
        function: "evidence-and-coercion",
        label: "诉讼与非诉讼程序法",
        confidence: 0.90,
        when: r"鉴定人|(传|询问|作为|通知)证人|证人(出庭|证言|作证|有|、)|证据材料|证据保全|取保候审|监视居住|(批准|执行|决定|提请)逮捕|勘验|传唤|侦查(机关|实验|人员|终结)|公安机关(侦查|对于|释放)|辩护律师",
        unless: r"监察|治安管理|背书|律师法|国家赔偿|海警|行政处罚|代表|特别行政区|票据|恐怖|行政机关负责",
    },
    Rule {
        function: "enforcement",
        label: "诉讼与非诉讼程序法",
        confidence: 0.91,
        when: r"被执行人|申请执行|执行员|执行法院|财产保全(申请|的)|支付令|海事法院|海事请求|海事赔偿|公示催告|执行(异议|和解|标的)|发生法律效力的(判决|民事判决|裁定)|外国法院",
        unless: r"徒刑|国家赔偿|体育|税务机关|破产",
    },
    Rule {
        function: "arbitration-and-mediation",
        label: "诉讼与非诉讼程序法",
        confidence: 0.94,
        when: r"仲裁庭|仲裁委员会|仲裁员|仲裁协议|人民调解|调解协议|调解委员会|调解员|仲裁(申请|裁决)|首席仲裁",
        unless: r"体育|旅游|劳动行政|公职|检察官|消费者协会|劳动合同(法|期限)|公务员|特别行政区|村民委员会|豁免",
    },
    Rule {
        function: "administrative-review",
        label: "诉讼与非诉讼程序法",
        confidence: 0.90,
        when: r"行政复议|复议(机关|机构)|行政行为(的|，|违法|侵犯|所|合法)|被申请人(住|应当|的|在|答辩|提|不|，)",
        unless: r"家庭暴力|国家赔偿|破产|赔偿义务|行政强制|处罚|纳税|行政许可|税务",
    },
    Rule {
        function: "judicial-assistance",
        label: "诉讼与非诉讼程序法",
        confidence: 0.98,
        when: r"引渡|请求国|刑事司法协助|被请求|对外联系机关|向外国提|外国(请求|提出|向)|协助请求|请求书",
        unless: r"有组织|专利|禁毒|法官",
    },
];
