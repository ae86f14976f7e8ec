//! Chinese.

use crate::event::{Event, Incident, NUMBERS_MAX, Scores};
use crate::text::{minute, number};

/// What it is, in a few words.
pub(super) fn title(event: &Event) -> &'static str {
    match event {
        Event::VersionPromoted { .. } => "新版本已启用",
        Event::GateRegressed { .. } => "退步的版本被拒绝",
        Event::GateHold { .. } => "版本未获启用",
        Event::TrainingFailed { .. } => "训练失败",
        Event::VersionRolledBack { .. } => "已回退到旧版本",
        Event::PluginQuarantined { .. } => "插件已停用",
        Event::FilesQuarantined { .. } => "文件已隔离",
        Event::IncidentFiring(_) => "故障",
        Event::IncidentResolved(_) => "故障已恢复",
        Event::DeadLetter { .. } => "告警未送达",
        Event::WebhookTest { .. } => "测试",
    }
}

/// The event in plain sentences.
pub(super) fn sentence(event: &Event) -> String {
    match event {
        Event::VersionPromoted {
            domain,
            version,
            previous,
            scores,
            ..
        } => {
            let before = previous.as_ref().map(|p| format!("，取代 {p}")).unwrap_or_default();
            format!("{domain}：版本 {version} 已启用{before}。{}", compared(scores))
        }
        Event::GateRegressed {
            domain,
            challenger,
            champion,
            scores,
            eras,
            ..
        } => {
            let on = match eras.is_empty() {
                true => String::new(),
                false => format!("退步出现在：{}。", eras.join("、")),
            };
            format!(
                "{domain}：版本 {challenger} 不如 {champion}，已被拒绝；{champion} 继续服务。{}{on}",
                compared(scores)
            )
        }
        Event::GateHold {
            domain,
            challenger,
            champion,
            scores,
            decision,
            ..
        } => {
            let serving = match champion {
                Some(champion) => format!("{champion} 继续服务"),
                None => "目前没有版本在服务".into(),
            };
            let scores = scores.as_ref().map(compared).unwrap_or_default();
            let why = match decision.as_str() {
                "no_data" => "没有可供评判的样本",
                "noisy_eval" => "现役版本对同一批样本两次回答不一致",
                "eval_failed" => "评测失败",
                _ => "无法证明其足够好",
            };
            format!("{domain}：版本 {challenger} 未获启用，因为{why}；{serving}。{scores}")
        }
        Event::TrainingFailed {
            domain,
            run,
            end,
            failures,
        } => format!("{domain}：训练 {run} 以 {end} 结束（连续失败 {failures} 次）。原有版本继续服务。"),
        Event::VersionRolledBack {
            domain,
            from,
            to,
            automatic,
        } => {
            let who = if *automatic { "守护进程" } else { "操作员" };
            format!("{domain}：{who}已从版本 {from} 回退到 {to}。")
        }
        Event::PluginQuarantined {
            plugin,
            version,
            failure,
            failures,
        } => format!("插件 {plugin} {version} 已失败 {failures} 次，最近一次为 {failure}，不再启动。"),
        Event::FilesQuarantined {
            domain, files, reasons, ..
        } => {
            let reasons: Vec<String> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
            format!("{domain}：{files} 个文件已被隔离（{}）。", reasons.join("、"))
        }
        Event::IncidentFiring(incident) => format!(
            "{} 自 {} 起异常。{}",
            what(incident),
            minute(incident.since),
            numbers(incident)
        ),
        Event::IncidentResolved(incident) => format!(
            "{} 已恢复正常；异常始于 {}。{}",
            what(incident),
            minute(incident.since),
            numbers(incident)
        ),
        Event::DeadLetter {
            endpoint,
            event,
            event_type,
            about,
            reason,
            ..
        } => format!(
            "端点 {endpoint} 没有收下关于 {about} 的事件 {event_type} {event}，已放弃投递：{reason}。用 `wengu webhook \
             replay {endpoint}` 可以重新发送。"
        ),
        Event::WebhookTest { endpoint } => format!("端点 {endpoint} 的测试：告警可以送达。"),
    }
}

fn what(incident: &Incident) -> String {
    match &incident.slice {
        Some(slice) => format!("{}：{slice} 上的 {}", incident.domain, incident.metric),
        None => format!("{}：{}", incident.domain, incident.metric),
    }
}

fn numbers(incident: &Incident) -> String {
    let told = incident.numbers.iter().take(NUMBERS_MAX);
    let told: Vec<String> = told.map(|(name, value)| format!("{name} {}", number(*value))).collect();
    match told.is_empty() {
        true => String::new(),
        false => format!("测得：{}。", told.join("、")),
    }
}

fn compared(scores: &Scores) -> String {
    let new = format!(
        "{} 个样本中答对 {:.1} %",
        scores.items,
        100.0 * scores.challenger_accuracy
    );
    match scores.champion_accuracy {
        None => format!("{new}。"),
        Some(champion) => format!(
            "{new}，原版本为 {:.1} %：相差 {:+.1} 个百分点（95 % 区间 {:+.1} 至 {:+.1}）。",
            100.0 * champion,
            scores.difference_points,
            scores.interval95_points.0,
            scores.interval95_points.1
        ),
    }
}
