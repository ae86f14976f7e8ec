//! What is taken, with which defaults.

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wengu_config::{ApiLimits, Config, Source, example, parse};
use wengu_protocol::events::{Format, Language};
use wengu_protocol::job::{AdapterStart, Bottleneck, Method, NonLinearity, Placement, PromptTuning};

fn accept(text: &str) -> Config {
    parse(text, Path::new("/etc/wengu/wengu.toml")).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The example with every key that is commented out put in, but for those that show no default.
fn example_spelled_out() -> String {
    let show_no_default = [
        "plugin",
        "plugin_config",
        "serve",
        "target_modules",
        "modules_to_save",
        "rank_pattern",
        "alpha_pattern",
        "orthogonal_lambda",
        "virtual_tokens",
        "placement",
        "reduction_factor",
        "non_linearity",
        "case_field",
        "label_threshold",
        "label_separator",
        "encoding",
        "max_staleness_hours",
        "quiet_hours",
        "command",
        "jobs_dir",
        "ocr_command",
        "keys",
        "url_file",
        "url_credential",
        "secret_credential",
        "secret",
        "key_credential",
        "language",
        "prefix",
        "second_channel",
        "checklist",
        "old_loss_tolerance",
        "slice_fields",
        "slice_functions",
        "marker",
    ];
    let put_in = |line: &str| {
        let inside = line.strip_prefix("# ")?;
        let key = inside.split(" = ").next()?;
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let is_line =
            (is_key && inside.contains(" = ")) || inside.starts_with("[webhooks") || inside.starts_with("[api.tcp");
        (is_line && !show_no_default.contains(&key)).then(|| inside.to_string())
    };
    let lines = example()
        .lines()
        .map(|line| put_in(line).unwrap_or_else(|| line.to_string()));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_right_and_says_the_defaults() {
    let config = accept(example());
    assert_eq!(config.warnings, []);
    let spelled_out = example_spelled_out();
    assert!(spelled_out.contains("\nrank = 8"), "{spelled_out}");
    let mut all = accept(&spelled_out);
    assert_eq!(format!("{:?}", config.trainer), format!("{:?}", all.trainer));
    assert_eq!(format!("{:?}", config.reader), format!("{:?}", all.reader));
    // What is spelled out is not fitted; all else is the same.
    all.domains
        .values_mut()
        .for_each(|domain| domain.learning.explicit.clear());
    assert_eq!(format!("{:?}", config.domains), format!("{:?}", all.domains));
    assert_eq!(
        (config.api.limits, ApiLimits::default()),
        (all.api.limits, config.api.limits)
    );
    assert_eq!(all.api.tcp.unwrap().listen.port(), 8443);
    assert_eq!((config.state_dir, config.socket), (all.state_dir, all.socket));
    let webhook = &all.webhooks["oncall"];
    assert_eq!(
        (webhook.timeout, webhook.allow_http, webhook.events.len()),
        (Duration::from_secs(15), false, 0)
    );
}

#[test]
fn the_example_knows_every_key() {
    // Of each table the example shows, the keys that the reader names as known.
    let wrong = "zzzzzzzzzz = 1\n";
    let text = example_spelled_out();
    let tables: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
    for table in tables {
        let problems = parse(
            &text.replace(table, &format!("{table}\n{wrong}")),
            Path::new("wengu.toml"),
        )
        .unwrap_err();
        let remedy = &problems.list()[0].remedy;
        let known = remedy
            .strip_prefix("the keys known here are ")
            .expect("a list of keys")
            .split(", ");
        for key in
            known.filter(|key| !["intake", "schedule", "learning", "gate", "sources", "tcp", "limits"].contains(key))
        {
            let shown = example()
                .lines()
                .any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
            assert!(shown, "{table} has a key `{key}` that the example does not show");
        }
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = accept(
        "state_dir = '../state'\n[trainer]\ncommand = ['bin/train', '--fast']\n[models.m]\npath = './m/'\n\
         [domains.\"合同\"]\nwatch = ['in', '/srv/合同']\nmodel = 'm'\n\
         [webhooks.w]\nurl = 'http://localhost:8080/'\nsecret_file = 'secret'\nallow_addresses = '127.0.0.1'\n",
    );
    assert_eq!(config.state_dir, PathBuf::from("/etc/state"));
    assert_eq!(config.socket, PathBuf::from("/etc/state/wengu.sock"));
    assert_eq!(config.trainer.command.unwrap(), ["/etc/wengu/bin/train", "--fast"]);
    assert_eq!(config.models["m"].path, PathBuf::from("/etc/wengu/m"));
    assert_eq!(
        config.domains["合同"].watch,
        [PathBuf::from("/etc/wengu/in"), PathBuf::from("/srv/合同")]
    );
    let secret = Some(Source::File(PathBuf::from("/etc/wengu/secret")));
    assert_eq!(config.webhooks["w"].secret, secret);
    assert_eq!(config.warnings, []);
}

#[test]
fn a_key_comes_from_a_file_or_a_credential() {
    let base = "state_dir = 's'\n[models.m]\npath = 'm'\n[domains.d]\nwatch = 'in'\nmodel = 'm'\n";
    let of = |table: &str| {
        accept(&format!(
            "{base}[encryption]\n{table}\n[trainer]\njobs_dir = '/run/wengu/jobs'\n"
        ))
    };
    assert_eq!(of("").encryption, None);
    let file = of("key_file = 'wengu.key'");
    assert_eq!(file.encryption, Some(Source::File("/etc/wengu/wengu.key".into())));
    assert_eq!(file.trainer.jobs_dir, Some("/run/wengu/jobs".into()));
    let credential = of("key_credential = 'wengu-key'");
    assert_eq!(credential.encryption, Some(Source::Credential("wengu-key".into())));
}

#[test]
fn webhooks_of_each_format() {
    let base = "state_dir = 's'\n[models.m]\npath = 'm'\n[domains.d]\nwatch = 'in'\nmodel = 'm'\n";
    let webhook = |text: &str| {
        let config = accept(&format!("{base}[webhooks.w]\n{text}"));
        assert_eq!(config.warnings, [], "{text}");
        config.webhooks["w"].clone()
    };
    let url = "url = 'https://h/'\n";
    let standard = webhook(&format!("{url}secret_credential = 'w.secret'"));
    assert_eq!(
        (standard.format, standard.language),
        (Format::Standard, Language::English)
    );
    assert_eq!(standard.secret, Some(Source::Credential("w.secret".into())));
    let pager = webhook("format = 'pagerduty'\nsecret_file = 'key'");
    assert_eq!(
        pager.url,
        Source::Plain("https://events.pagerduty.com/v2/enqueue".into())
    );
    for format in ["slack", "teams", "wecom", "feishu", "dingtalk"] {
        let chat = webhook(&format!(
            "format = '{format}'\nurl_file = 'url'\nlanguage = 'zh'\nprefix = '告警'"
        ));
        assert_eq!(chat.url, Source::File("/etc/wengu/url".into()));
        assert_eq!(
            (chat.secret, chat.language, chat.prefix),
            (None, Language::Chinese, Some("告警".into()))
        );
        webhook(&format!("format = '{format}'\n{url}secret_plaintext_i_know = true"));
    }
    for format in ["alertmanager", "alertmanager_webhook"] {
        assert_eq!(webhook(&format!("format = '{format}'\n{url}")).secret, None);
    }
    let forced = webhook(&format!("{url}secret = 'whsec_hidden'\nsecret_plaintext_i_know = true"));
    assert_eq!(forced.secret, Some(Source::Plain("whsec_hidden".into())));
    assert!(!format!("{forced:?}").contains("hidden"));
    let local = webhook("url = 'http://[::1]:9/'\nsecret_file = 's'\nallow_addresses = ['127.0.0.0/8', '::1']");
    assert!(
        local
            .allow_addresses
            .iter()
            .any(|net| net.contains(&"::1".parse::<std::net::IpAddr>().unwrap()))
    );
    let chain = accept(&format!(
        "{base}[webhooks.a]\n{url}secret_file = 's'\nsecond_channel = 'b'\n[webhooks.b]\n{url}secret_file = 's'\n\
         second_channel = 'c'\n[webhooks.c]\n{url}secret_file = 's'\n"
    ));
    assert_eq!(chain.webhooks["a"].second_channel.as_deref(), Some("b"));
}

#[test]
fn a_new_adapter_is_kept_from_the_one_before_only_where_that_is_asked_for() {
    let base =
        "state_dir = 's'\n[models.m]\npath = 'm'\n[domains.d]\nwatch = 'in'\nmodel = 'm'\n[domains.d.learning]\n";
    let start = |text: &str| {
        let training = accept(&format!("{base}{text}")).domains["d"].learning.training.clone();
        (training.adapter_start, training.orthogonal_lambda)
    };
    assert_eq!(start(""), (AdapterStart::Continue, 0.0));
    assert_eq!(start("adapter_start = 'fresh'"), (AdapterStart::Fresh, 0.0));
    assert_eq!(start("adapter_start = 'orthogonal'"), (AdapterStart::Orthogonal, 0.5));
    let weighed = "adapter_start = 'orthogonal'\northogonal_lambda = 2\nrank_pattern = { 'key' = 4 }";
    assert_eq!(start(weighed), (AdapterStart::Orthogonal, 2.0));
}

#[test]
fn each_method_has_settings_and_defaults_of_its_own() {
    let method = |learning: &str| {
        let text = format!(
            "state_dir = 's'\n[models.m]\npath = 'm'\n[domains.d]\nwatch = 'in'\nmodel = 'm'\n[domains.d.learning]\n{learning}\n"
        );
        accept(&text).domains["d"].learning.method.clone()
    };
    assert!(matches!(method(""), Method::Lora(_)));
    let prompt = |virtual_tokens| Method::PromptTuning(PromptTuning { virtual_tokens });
    assert_eq!(method("method = 'prompt_tuning'"), prompt(20));
    assert_eq!(method("method = 'prompt_tuning'\nvirtual_tokens = 7"), prompt(7));
    let bottleneck = |placement, reduction_factor, non_linearity| {
        Method::Bottleneck(Bottleneck {
            placement,
            reduction_factor,
            non_linearity,
        })
    };
    assert_eq!(
        method("method = 'bottleneck'"),
        bottleneck(Placement::DoubleSeqBn, 16, NonLinearity::Swish)
    );
    assert_eq!(
        method("method = 'bottleneck'\nplacement = 'seq_bn'\nreduction_factor = 8"),
        bottleneck(Placement::SeqBn, 8, NonLinearity::Relu)
    );
    assert_eq!(
        method("method = 'bottleneck'\nnon_linearity = 'relu'"),
        bottleneck(Placement::DoubleSeqBn, 16, NonLinearity::Relu)
    );
}

#[test]
fn what_looks_like_a_mistake_is_a_warning() {
    let config = accept(
        "state_dir = 's'\n[models.m]\npath = 'm'\n[models.unused]\npath = 'u'\n[domains.d]\nwatch = 'in'\nmodel = 'm'\n\
         [domains.d.schedule]\ncron = '*/10 9-16 * * 1-5'\nquiet_hours = ['08:00-18:00']\n\
         [webhooks.w]\nurl = 'http://10.1.2.3/'\nsecret_file = 'x'\nallow_http = true\n",
    );
    let keys: Vec<(&str, Option<u32>)> = config.warnings.iter().map(|w| (w.key.as_str(), w.line)).collect();
    let expected = [
        ("models.unused", Some(4)),
        ("domains.d.schedule.cron", Some(10)),
        ("webhooks.w.allow_http", Some(15)),
    ];
    assert_eq!(keys, expected);
}

/// The example with some of its bytes cut, doubled or replaced.
fn mutated() -> impl Strategy<Value = String> {
    let pieces = [
        "=", "\"", "[", "]", "\n", "[[", "'''", ".", "合", "\0", "-1", "1e999", "{", "}", "#", "inf", "0x", "\u{feff}",
    ];
    let change = (
        any::<prop::sample::Index>(),
        0..40_usize,
        prop::sample::select(pieces.to_vec()),
    );
    prop::collection::vec(change, 1..8).prop_map(|changes| {
        let mut chars: Vec<char> = example_spelled_out().chars().collect();
        for (at, cut, put) in changes {
            let start = at.index(chars.len());
            let end = (start + cut).min(chars.len());
            chars.splice(start..end, put.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_text_has_an_answer(text in prop_oneof![mutated(), any::<String>(), "[a-z.=\\[\\]\"0-9\n ]{0,200}"]) {
        match parse(&text, Path::new("wengu.toml")) {
            Ok(config) => prop_assert!(!config.domains.is_empty() && config.state_dir.is_absolute()),
            Err(problems) => {
                prop_assert!(problems.has_errors());
                let lines = 1 + text.matches('\n').count() as u32;
                for problem in problems.list() {
                    prop_assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?}");
                    prop_assert!(!problem.message.is_empty() && !problem.remedy.is_empty());
                }
            }
        }
    }
}

#[test]
fn what_a_plugin_is_told_is_the_plugins_to_judge() {
    let text = example().replace(
        "# plugin_config = { spans = true }",
        "plugin_config = { spans = true, deep = { list = [1, 2.5, \"文\"] }, since = 2026-01-31 } #",
    );
    let config = accept(&text);
    let expected = serde_json::json!({"spans": true, "deep": {"list": [1, 2.5, "文"]}, "since": "2026-01-31"});
    assert_eq!(config.domains["contracts"].plugin_config, expected);
    assert_eq!(
        accept(example()).domains["contracts"].plugin_config,
        serde_json::json!({})
    );
}

#[test]
fn what_the_file_sets_itself_is_known_from_what_is_the_default() {
    let domain =
        "state_dir = \"state\"\n[models.base]\npath = \"m\"\n[domains.d]\nwatch = [\"in\"]\nmodel = \"base\"\n";
    let learning = |keys: &str| {
        let text = format!("{domain}[domains.d.learning]\n{keys}");
        let config = wengu_config::parse(&text, Path::new("/etc/wengu.toml")).unwrap_or_else(|e| panic!("{e}"));
        config.domains["d"].learning.clone()
    };
    let set = learning("learning_rate = 1e-3\nrank = 8\nepochs = 4\n");
    assert_eq!(
        set.explicit,
        ["learning_rate", "rank"],
        "though they are the defaults; epochs are not fitted"
    );
    assert!(set.is_explicit("rank") && !set.is_explicit("alpha"));
    let unset = learning("");
    assert!(unset.explicit.is_empty());
    assert_eq!((unset.training, unset.method), (set.training, set.method));
}
