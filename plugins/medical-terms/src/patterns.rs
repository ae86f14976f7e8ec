//! Diseases and drugs by the way that their names are built, doses and codes: what no word list holds whole.

use super::find::Kind;

/// English patterns. Words that only look like it are in [`NOT_ENGLISH`].
pub const ENGLISH: &[(Kind, &str)] = &[
    // One word by its ending, with the adjectives and organs before it.
    (
        Kind::Disease,
        r"(?i)\b(?:(?:acute|subacute|chronic|congenital|hereditary|familial|primary|secondary|metastatic|malignant|benign|invasive|severe|bacterial|viral|autoimmune|idiopathic|sporadic|juvenile|infantile|[a-z]{4,}(?:ular|eal|iac|atic|onic|enal|itic|otic|ebral|ascular|astric|estinal|ranial|heral)|lung|liver|kidney|breast|colon|skin|bone|brain|heart|renal|oral|nasal)[ -]){0,3}[a-z]{2,}(?:itis|itides|carcinomas?|sarcomas?|blastomas?|gliomas?|lymphomas?|adenomas?|melanomas?|myelomas?|papillomas?|neuromas?|fibromas?|angiomas?|granulomas?|omata|[klnrst]aemias?|[cdklnrst]emias?|opath(?:y|ies)|algias?|plegias?|dysplasias?|hyperplasias?|aplasias?|neoplasias?|dystroph(?:y|ies)|(?:cyto|leuko|leuco|neutro|osteo|pancyto)penias?|[ein]urias?|megaly|fibrosis|stenosis|necrosis|thrombosis|cirrhosis|sclerosis|nephrosis|acidosis|alkalosis|keratosis|dermatosis|psychosis|psychoses|kinesias?|tonias?|tension|cardias?|arrhythmias?|mnesia|phasia|aphrenia|lepsy|embolism|phobia|sthenia|paresis)\b",
    ),
    // A head word that says so, and the words before it that belong to it.
    (
        Kind::Disease,
        r"(?i)\b(?:(?:acute|chronic|congenital|hereditary|familial|primary|secondary|metastatic|malignant|benign|sporadic|early-onset|inherited|autosomal|recessive|dominant|x-linked|[a-z]{3,}(?:ular|eal|iac|atic|onic|enal|itic|otic|ebral|ascular|astric|estinal|ranial|heral|rian|ary|ogenic|ological|ative|enital|obic|inal|ceal|rvical|ective|mune|metric|philic)|breast|colon|skin|bone|brain|heart|lung|liver|kidney|renal|oral|thyroid|prostate|bladder|muscle|nerve|eye|blood|mental|sleep|mood|anxiety|panic|movement|optic|storage|lipid|complement|enzyme|factor|protein|c\d|b-cell|t-cell)[ -]|(?:[a-z]+[ -])?and [a-z]+(?:ian|ic) ){1,4}(?:cancers?|tumou?rs?|neoplasms?|malignanc(?:y|ies)|diseases?|syndromes?|disorders?|deficienc(?:y|ies)|failure|infarctions?|injur(?:y|ies)|damage|dysfunctions?|impairments?|insufficiency|haemorrhages?|hemorrhages?|infections?|lesions?|defects?|abnormalit(?:y|ies)|malformations?|atrophy|degeneration|toxicity|block|arrest|edema|oedema|thrombus|palsy|retardation|anomal(?:y|ies)|ulcers?|cysts?|spasms?|ischa?emia|episodes?|dysfunction|blindness|weakness|rigidity|stones?)\b",
    ),
    // An eponym: Tay-Sachs disease, Lesch-Nyhan syndrome.
    (
        Kind::Disease,
        r"\b[A-Z][a-zé]{2,}(?:[ -][A-Z][a-zé]{2,}){0,2}(?:'s?)?(?: [a-z]+)? (?i:diseases?|syndromes?|disorders?|dystrophy|anemia|anaemia|lymphoma|sarcoma|palsy|ataxia|tumou?rs?)\b",
    ),
    (
        Kind::Disease,
        r"(?i)\b(?:tumou?rs?|cancers?|carcinomas?|neoplasms?|malignanc(?:y|ies)|(?:cardio|nephro|neuro|hepato|oto|myo|immuno)toxicity|necrosis|fibrosis|thrombosis|embolism|psychosis|ataxia|hemorrhages?|haemorrhages?|bleeding|neuropath(?:y|ies)|delusions?|hallucinations?|paralysis|akinesia|catalepsy|hyperalgesia|hyperactivity|amnesia|overdose|infections?|edema|oedema|ischa?emia|hypertrophy|inflammation|hypothermia|cognitive (?:impairment|deficits?|dysfunction)|memory (?:impairment|deficits?|loss)|renal (?:damage|impairment|dysfunction|injury|toxicity)|liver (?:damage|injury|dysfunction)|cardiac (?:toxicity|dysfunction|failure|hypertrophy)|weight (?:loss|gain))\b",
    ),
    // Drugs by the stems of their international names.
    (
        Kind::Drug,
        r"(?i)\b[a-z]{3,}(?:mab|nib|statin|pril|sartan|olol|conazole|nidazole|cillin|mycin|floxacin|cycline|clovir|tegravir|previr|buvir|prazole|tidine|dipine|triptan|gliptin|gliflozin|glitazone|xaban|setron|azepam|zolam|oxetine|profen|coxib|metasone|nisone|nisolone|dronate|ciclib|platin|rubicin|taxel|semide|thiazide|zosin|terol|caine|curonium|barbital|barbitone|azine|tropine|morphine|codone|dopa|amide|arone|idone|peridol|zepine|triptyline|ipramine|phylline|relin|fungin|oxacin|cef[a-z]+|sporine?|bital|azole|stigmine|ephrine|amphetamine|amine)\b|\b(?i:cef[a-z]{3,})\b",
    ),
    // 500 mg, 2.5 mL/kg, 10,000 IU, 100mg/d.
    (
        Kind::Dose,
        r"\b\d+(?:[.,]\d+)*(?:\s?(?:-|–|to)\s?\d+(?:[.,]\d+)*)?\s?(?:mg|mcg|µg|μg|ug|kg|g|mL|ml|IU|mmol|mEq|units?|tablets?|puffs?)(?:\s?/\s?(?:kg|day|d|mL|ml|dL|L|h|hr|m2|m²|dose|week))*\b",
    ),
    (Kind::Icd10, r"\b[A-TV-Z]\d{2}\.\d{1,2}\b"),
    (Kind::Icd10, r"\bICD-10(?:-CM)?:?\s+(?<span>[A-Z]\d{2})\b"),
];

/// English words with the endings above that are no diseases and no drugs.
pub const NOT_ENGLISH: &[&str] = &[
    "homeopathy",
    "osteopathy",
    "tension",
    "attention",
    "extension",
    "intension",
    "retention",
    "academia",
    "epidemia",
    "premia",
    "bohemia",
    "hypnosis",
    "acetamide",
    "amide",
    "amine",
    "histamine",
    "catecholamine",
    "polyamine",
    "examine",
    "vitamine",
    "monoamine",
    "glutamine",
    "thiamine",
    "dopa",
    "azole",
    "other diseases",
    "human diseases",
    "these diseases",
    "common diseases",
    "human disease",
    "vascular lesions",
    "medical disorder",
];

/// What an English disease does not begin with: the word is part of the sentence.
pub const NOT_FIRST: &[&str] = &[
    "severe",
    "other",
    "these",
    "this",
    "the",
    "and",
    "for",
    "several",
    "various",
    "diagnostic",
    "primary and",
    "clinical",
    "general",
    "numerical",
    "structural",
    "phenotypic",
    "specific",
    "all",
    "most",
    "our",
    "in",
    "of",
    "with",
    "both",
    "from",
    "its",
    "that",
    "two",
    "three",
    "genetic",
];

/// Chinese patterns: a disease is built from a quality, a place and an end.
pub const CHINESE: &[(Kind, &str)] = &[
    (
        Kind::Disease,
        r"(?:(?:急性|亚急性|慢性|原发性|继发性|先天性|后天性|遗传性|家族性|病毒性|细菌性|真菌性|霉菌性|结核性|过敏性|免疫性|自身免疫性|酒精性|药物性|化脓性|感染性|非感染性|溃疡性|萎缩性|浅表性|糜烂性|增生性|肥厚性|退行性|缺血性|出血性|外伤性|创伤性|老年性|小儿|婴儿|新生儿|青少年|复发性|顽固性|恶性|良性|转移性|多发性|弥漫性|局灶性|梗阻性|阻塞性|反流性|胆汁性|脂溢性|神经性|接触性|功能性|特发性|滴虫性|支原体|衣原体|淋菌性|非淋菌性|早期|晚期|中期|左|右|左侧|右侧|双侧|双|轻度|中度|重度|风湿性|类风湿性|慢性|冠状动脉)){0,4}(?:食管|食道|鼻咽|鼻窦|鼻|咽喉|咽|喉|扁桃体|气管|支气管|肺部|肺|胸膜|胸|心包|心肌|心内膜|心脏|冠状动脉|主动脉|动脉|静脉|血管|脑膜|脑血管|脑干|小脑|脑|脊髓|脊柱|颅内|垂体|甲状腺|甲状旁腺|乳腺|乳房|肝脏|肝内|肝|胆囊|胆管|胆总管|胆道|胆|胰腺|脾|胃窦|胃底|胃|十二指肠|小肠|结肠|直肠|盲肠|阑尾|肠道|肠|肛门|肛周|肛|腹膜|腹股沟|肾脏|肾小球|肾盂|肾|肾上腺|输尿管|膀胱|尿道|尿路|泌尿系|前列腺|睾丸|附睾|精囊|阴茎|阴囊|龟头|包皮|子宫内膜|子宫颈|子宫|宫颈|宫腔|卵巢|输卵管|附件|盆腔|阴道|外阴|骨盆|骨髓|骨膜|骨|关节|膝关节|髋关节|颈椎|腰椎|胸椎|椎间盘|半月板|滑膜|滑囊|肌肉|肌|腱鞘|筋膜|皮肤|毛囊|指甲|眼底|视网膜|角膜|结膜|巩膜|黄斑|晶状体|眼睑|视神经|神经根|神经|面神经|坐骨神经|三叉神经|周围神经|中耳|外耳道|外耳|内耳|鼓膜|口腔|牙龈|牙周|牙髓|牙|舌|唇|腮腺|淋巴结|淋巴|黏膜|粘膜|血液|组织){1,2}(?:部|区|内|旁|周|系统)?(?:旁|良性|恶性|多发性|急性|慢性|单纯性|混合性|小|多发)?(?:炎症|炎|癌变|癌|肿瘤|母细胞瘤|纤维瘤|肌瘤|腺瘤|鳞癌|腺癌|血管瘤|脂肪瘤|动脉瘤|瘤|结核|囊肿|脓肿|血肿|息肉|结节|结石|溃疡|出血|梗死|梗塞|栓塞|血栓|硬化症|硬化|纤维化|萎缩|衰竭|功能不全|功能衰竭|穿孔|梗阻|狭窄|扩张|脱垂|脱位|脱落|撕裂|损伤|骨折|破裂|积液|积水|水肿|感染|病变|疾病|疾患|增生|肥大|糜烂|畸形|缺损|缺血|麻痹|瘫痪|劳损|突出症|突出|软化|坏死|腺肌症|异位症|异位|粘连|反流|返流|痉挛|疝|瘘|痛风|综合征|综合症|综合证|息肉病|白斑|湿疹|疱疹|癣|疣|病)",
    ),
    (
        Kind::Disease,
        r"(?:急性|慢性|原发性|继发性|先天性|缺铁性|溶血性|再生障碍性|地中海|巨幼细胞性|恶性|妊娠期?|糖尿病|高血压|病毒性|新生儿|小儿|生理性|病理性|老年性|阵发性|频发|室上性|室性|房性|窦性|交界性|持续性|遗传性|过敏性|血管性|精神性|青春期|更年期|围绝经期|多囊卵巢|肠易激|呼吸窘迫|干燥|肾病){1,3}(?:性)?(?:贫血|白血病|高血压|糖尿病|黄疸|心脏病|肾病|视网膜病变|足|心动过速|心动过缓|心律不齐|早搏(?:[二三四]联律)?|期前收缩(?:[二三四]联律)?|荨麻疹|紫癜|哮喘|痴呆|头痛|休克|综合征|综合症|高血压病|低血压|障碍)",
    ),
    (
        Kind::Disease,
        r"(?:恶性)?(?:肿瘤|癌症)|癌|(?:性)?(?:传播|接触)?(?:性病|梅毒|淋病|疱疹|癣|湿疣|荨麻疹|鼻炎|咽炎|结肠炎|皮炎|肠炎|胃病|肝病|肾病|心脏病|皮肤病|妇科病|妇科炎症|精神病|性病|白带异常|月经不调|宫寒|肾虚|阴虚|气血不足|上火|斜颈|罗圈腿|腋臭|狐臭|口臭|脱发|秃顶|灰指甲|打呼噜|鼾症|心悸症|癔症|疝气|小肠气|骨刺|骨质增生|腰肌劳损|腰间盘突出|近视|弱视|斜视|散光|耳聋|抑郁|焦虑|自闭|多动症|脑瘫|偏瘫|面瘫|痔疮|痔|肛裂|便秘)",
    ),
    // Drugs by their endings.
    (
        Kind::Drug,
        r"(?:头孢|阿|克拉|罗|左|氧|环|诺|依|洛|莫西|庆大|利|布|奥|兰索|泮托|雷贝|埃索|甲|替|奥硝|氟|伊曲|酮|伏立)(?:[\p{Han}]{0,3}?)(?:沙星|霉素|西林|拉唑|硝唑|康唑|他汀|普利|沙坦|地平|洛尔|替尼|昔韦|洛韦|米松|奈德|泼尼松|列酮|列汀|列净)",
    ),
    (
        Kind::Drug,
        r"(?:盐酸|硫酸|磷酸|马来酸|富马酸|酒石酸|醋酸|枸橼酸|复方|注射用)?[\p{Han}]{2,7}?(?:口服液|颗粒|胶囊|滴丸|分散片|缓释片|肠溶片|含片|冲剂|糖浆|软膏|乳膏|凝胶|滴眼液|喷雾剂|气雾剂|注射液|栓剂|冻干粉)",
    ),
    // 0.5 g, 100mg/d, 5～10毫升, 每日3次, 2片.
    (
        Kind::Dose,
        r"\d+(?:[.,]\d+)*(?:\s?[-–~～至到]\s?\d+(?:\.\d+)?)?\s?(?:mg|mcg|µg|μg|ug|kg|g|mL|ml|ML|IU|U|mmol|mEq|毫克|微克|毫升|国际单位|万单位|单位|片|粒|滴|支|袋|丸)(?:\s?/\s?(?:kg|d|日|天|次|mL|ml|L|h|m2|m²|min))*",
    ),
    (
        Kind::Dose,
        r"(?:每日|每天|每晚|一日|一天|日服|每周)\s?(?:\d+|[一二两三四五六])(?:\s?[-–~～至到]\s?\d+)?\s?次|每\s?(?:\d+|[一二四六八十]+)\s?小时\s?(?:1|一)\s?次|\b(?:qd|bid|tid|qid|qn|prn)\b",
    ),
    (Kind::Icd10, r"(?:^|[^A-Za-z0-9])(?<span>[A-TV-Z]\d{2}\.\d{1,2})"),
    (Kind::Icd10, r"ICD-10(?:编码)?[:：]?\s?(?<span>[A-Z]\d{2})"),
];
