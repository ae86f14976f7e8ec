//! What is wrong, one at a time.

/// Lines added to a file that is right, the key that is named, and words of the message.
pub const ONE_MISTAKE: &[(&str, &str, &str)] = &[
    (
        "[domains.contracts.intake]\nmarker = \"here.txt\"",
        "domains.contracts.intake.marker",
        "taken for a case file",
    ),
    (
        "[domains.contracts.intake]\nmarker = \".a/b\"",
        "domains.contracts.intake.marker",
        "no name of a file",
    ),
    (
        "[domains.contracts.intake]\nmarker = \"..\"",
        "domains.contracts.intake.marker",
        "no name of a file",
    ),
    ("[api]\nadmins = [\"zhang\", \"@\"]", "api.admins", "names no group"),
    (
        "[encryption]\nkey_file = \"a\"\nkey_credential = \"b\"",
        "encryption.key_credential",
        "is a second key",
    ),
    (
        "[encryption]\nkey_credential = \"../b\"",
        "encryption.key_credential",
        "cannot be a credential's name",
    ),
    ("[encryption]\nkey = \"AAAA\"", "encryption.key", "is not a known key"),
    (
        "[api.tcp]\nlisten = \"127.0.0.1:8443\"\ncertificate = \"tls.pem\"\nkey_credential = \"../b\"",
        "api.tcp.key_credential",
        "cannot be a credential's name",
    ),
    (
        "[api.tcp]\nlisten = \"localhost:8443\"\ncertificate = \"tls.pem\"\nkey = \"tls.key\"",
        "api.tcp.listen",
        "\"localhost:8443\" is no address with a port",
    ),
    (
        "[api.tcp]\nlisten = \"127.0.0.1:8443\"\nkey = \"tls.key\"",
        "api.tcp.certificate",
        "is missing",
    ),
    (
        "[api.tcp]\nlisten = \"127.0.0.1:8443\"\ncertificate = \"tls.pem\"",
        "api.tcp.key",
        "is missing",
    ),
    (
        "[api.tcp]\nlisten = \"127.0.0.1:8443\"\ncertificate = \"tls.pem\"\nkey = \"k\"\nkey_credential = \"k\"",
        "api.tcp.key_credential",
        "is a second key",
    ),
    (
        "[api.limits]\nrequest_s = 5",
        "api.limits.head_s",
        "a request would be over before its headers are",
    ),
    (
        "[domains.contracts.learning]\nmethod = \"bottleneck\"\nplacement = \"parallel\"",
        "learning.placement",
        "\"parallel\" is not known",
    ),
    (
        "[domains.contracts.learning]\nreduction_factor = 16",
        "learning.reduction_factor",
        "belongs to the method \"bottleneck\", and the method is \"lora\"",
    ),
    (
        "[domains.contracts.learning]\nadapter_start = \"anew\"",
        "learning.adapter_start",
        "\"anew\" is not known",
    ),
    (
        "[domains.contracts.learning]\nmethod = \"bottleneck\"\nadapter_start = \"fresh\"",
        "learning.adapter_start",
        "belongs to the method \"lora\", and the method is \"bottleneck\"",
    ),
    (
        "[domains.contracts.learning]\nuse_dora = true\nadapter_start = \"orthogonal\"",
        "learning.adapter_start",
        "cannot be added to it with DoRA",
    ),
    (
        "[domains.contracts.learning]\nadapter_start = \"fresh\"\northogonal_lambda = 0.5",
        "learning.orthogonal_lambda",
        "nothing does",
    ),
    (
        "[domains.contracts.learning]\nadapter_start = \"orthogonal\"\northogonal_lambda = 0.0",
        "learning.orthogonal_lambda",
        "is out of range",
    ),
    (
        "[domains.contracts.learning]\nmethod = \"prefix\"",
        "learning.method",
        "\"prefix\" is not known",
    ),
    (
        "[domains.contracts.learning]\nmethod = \"prompt_tuning\"\nuse_dora = true",
        "learning.use_dora",
        "belongs to the method \"lora\", and the method is \"prompt_tuning\"",
    ),
    (
        "[domains.contracts.learning]\nvirtual_tokens = 8",
        "learning.virtual_tokens",
        "belongs to the method \"prompt_tuning\", and the method is \"lora\"",
    ),
    (
        "[domains.contracts.learning]\nmethod = \"prompt_tuning\"\nterm_tokens = 8",
        "learning.term_tokens",
        "the method \"lora\" only",
    ),
    (
        "[domains.contracts.serve]\nkind = \"vlm\"",
        "serve.kind",
        "is not known",
    ),
    (
        "[domains.contracts.serve]\nmax_lora_rank = 8",
        "serve.kind",
        "is missing",
    ),
    (
        "[domains.contracts.gate]\ngate_percent = 41\naudit_percent = 20",
        "gate.gate_percent",
        "hold out 71 %",
    ),
    (
        "[domains.contracts.learning]\nreplay_ratio = 0.0",
        "learning.distill_alpha",
        "replay is off",
    ),
    (
        "[domains.contracts.learning]\nold_loss_tolerance = 0.05",
        "learning.old_loss_tolerance",
        "none are set apart",
    ),
    (
        "[domains.contracts.learning]\nstability_steps = 10",
        "learning.stability_steps",
        "none are set apart",
    ),
    (
        "[domains.contracts.learning]\nvalidation_percent = 10\nold_loss_tolerance = 0.05\nreplay_ratio = 0.0\ndistill_alpha = 0.0",
        "learning.old_loss_tolerance",
        "replay is off",
    ),
    (
        "[domains.contracts.learning]\nvalidation_percent = 10\npatience = 0",
        "learning.patience",
        "is out of range",
    ),
    (
        "task = \"token_classification\"\n[domains.contracts.learning]\nprior_correction = 1.0",
        "learning.prior_correction",
        "only where a text has one label",
    ),
    (
        "task = \"causal_lm\"\n[domains.contracts.learning]\ndistill_loss = \"logits\"",
        "learning.distill_loss",
        "too many to be kept",
    ),
    (
        "[domains.contracts.learning]\nmemory_mib = 0",
        "learning.memory_mib",
        "has no room",
    ),
    (
        "[domains.contracts.learning]\nfisher_examples = 0",
        "learning.fisher_examples",
        "none is estimated",
    ),
    (
        "[domains.contracts.learning]\ntarget_modules = []",
        "learning.target_modules",
        "names no layer",
    ),
    (
        "[domains.contracts.learning]\nrank_pattern = { \"q(\" = 4 }",
        "learning.rank_pattern",
        "no regular expression",
    ),
    (
        "[domains.contracts.learning]\nrank_pattern = { \"q_proj\" = 0 }",
        "learning.rank_pattern",
        "out of range",
    ),
    (
        "[domains.contracts.learning]\nuse_dora = 1",
        "learning.use_dora",
        "true or false",
    ),
    (
        "[models.other]\npath = \"other\"\ndevice = \"gpu\"",
        "models.other.device",
        "is no device",
    ),
    (
        "[domains.contracts.learning]\nalpha = inf",
        "learning.alpha",
        "inf is out of range",
    ),
    (
        "[domains.contracts.learning]\nseed = 99999999999999999999",
        "learning.seed",
        "out of range",
    ),
    (
        "[domains.contracts.learning]\nrank = 08:00:00",
        "learning.rank",
        "is a date or time",
    ),
    (
        "[domains.contracts.learning]\nrank = true",
        "learning.rank",
        "is true or false",
    ),
    (
        "[domains.contracts.gate]\nmode = \"strict\"",
        "gate.mode",
        "\"strict\" is not known",
    ),
    (
        "[domains.contracts.schedule]\ncron = \"0 2 * *\"",
        "schedule.cron",
        "4 fields instead of five",
    ),
    ("[domains.contracts.schedule]\ncron = \"\"", "schedule.cron", "is empty"),
    (
        "[domains.contracts.schedule]\nquiet_hours = [\"00:00-12:00\", \"12:00-24:00\"]",
        "schedule.quiet_hours",
        "whole day",
    ),
    (
        "[domains.contracts.schedule]\nmax_staleness_hours = 0",
        "schedule.max_staleness_hours",
        "0 is out of range",
    ),
    (
        "[domains.second]\nwatch = \"inbox/b\"\nmodel = \"base\"",
        "domains.second.watch",
        "lies inside /etc/wengu/inbox of domains.contracts",
    ),
    (
        "[domains.second]\nwatch = \"./inbox/\"\nmodel = \"base\"",
        "domains.second.watch",
        "is the same folder as",
    ),
    (
        "[domains.second]\nwatch = [\"c/d\", \"c\"]\nmodel = \"base\"",
        "domains.second.watch",
        "contains /etc/wengu/c/d of domains.second.watch",
    ),
    (
        "[domains.second]\nwatch = \"state/b\"\nmodel = \"base\"",
        "domains.second.watch",
        "inside the state folder",
    ),
    (
        "[domains.second]\nwatch = []\nmodel = \"base\"",
        "domains.second.watch",
        "names no folder",
    ),
    (
        "[domains.second]\nwatch = \"b\"\nmodel = \"other\"",
        "domains.second.model",
        "no model is named \"other\"",
    ),
    (
        "[domains.\".\"]\nwatch = \"b\"\nmodel = \"base\"",
        "domains..",
        "cannot be a name",
    ),
    (
        "[trainer]\nno_progress_s = 3600\ndeadline_minutes = 10",
        "trainer.no_progress_s",
        "deadline",
    ),
    ("[reader]\nocr_command = []", "reader.ocr_command", "names no program"),
    ("[reader]\nmemory_mib = 16", "reader.memory_mib", "out of range"),
    ("[reader]\nmax_ratios = 5", "reader.max_ratios", "not a known key"),
    (
        "[webhooks.a]\nurl = \"alerts\"\nsecret_file = \"s\"",
        "webhooks.a.url",
        "is not a URL",
    ),
    (
        "[webhooks.a]\nurl = \"https://k:v@h/\"\nsecret_file = \"s\"",
        "webhooks.a.url",
        "a user name or a password",
    ),
    (
        "[webhooks.a]\nurl = \"https://h/\"",
        "webhooks.a.secret_file",
        "is missing",
    ),
    (
        "[webhooks.a]\nurl = \"https://h/\"\nsecret_file = \"s\"\ntimeout_s = 0",
        "webhooks.a.timeout_s",
        "0 is out of range",
    ),
    (
        "[webhooks.a]\nurl = \"http://127.0.0.1:9/\"\nsecret_file = \"s\"",
        "webhooks.a.url",
        "an address of this machine",
    ),
    (
        "[webhooks.a]\nurl = \"https://localhost/\"\nsecret_file = \"s\"\nallow_addresses = [\"10.0.0.0/8\"]",
        "webhooks.a.url",
        "an address of this machine",
    ),
    (
        "[webhooks.a]\nurl = \"https://h/\"\nsecret_file = \"s\"\nallow_addresses = [\"localhost\"]",
        "webhooks.a.allow_addresses",
        "\"localhost\" is neither an address nor a network",
    ),
    (
        "[webhooks.a]\nformat = \"slack\"\nurl = \"https://h/\"",
        "webhooks.a.url",
        "who knows the address can write there",
    ),
    ("[webhooks.a]\nformat = \"feishu\"", "webhooks.a.url", "is missing"),
    (
        "[webhooks.a]\nformat = \"wecom\"\nurl_file = \"u\"\nsecret_file = \"s\"",
        "webhooks.a.secret_file",
        "signs with nothing",
    ),
    (
        "[webhooks.a]\nurl = \"https://h/\"\nsecret = \"whsec_x\"",
        "webhooks.a.secret",
        "a secret in plain text",
    ),
    (
        "[webhooks.a]\nurl = \"https://h/\"\nsecret_file = \"s\"\nsecret_credential = \"s\"",
        "webhooks.a.secret_credential",
        "is said a second time",
    ),
    (
        "[webhooks.a]\nurl = \"https://h/\"\nsecret_credential = \"../s\"",
        "webhooks.a.secret_credential",
        "cannot be a credential's name",
    ),
    (
        "[webhooks.a]\nformat = \"pagerduty\"",
        "webhooks.a.secret_file",
        "is missing",
    ),
    (
        "[webhooks.a]\nformat = \"smoke\"\nurl = \"https://h/\"\nsecret_file = \"s\"",
        "webhooks.a.format",
        "",
    ),
    (
        "[webhooks.a]\nurl = \"https://h/\"\nsecret_file = \"s\"\nprefix = \"kw\"",
        "webhooks.a.prefix",
        "has no messages that begin with it",
    ),
    (
        "[webhooks.a]\nurl = \"https://h/\"\nsecret_file = \"s\"\nsecond_channel = \"b\"",
        "webhooks.a.second_channel",
        "no webhook is named \"b\"",
    ),
    (
        "[webhooks.a]\nurl = \"https://h/\"\nsecret_file = \"s\"\nsecond_channel = \"a\"",
        "webhooks.a.second_channel",
        "leads back to itself: a → a",
    ),
    (
        "[plugins]\nkeys = [\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\", \"RWQ\"]",
        "plugins.keys",
        "is no minisign public key",
    ),
];
