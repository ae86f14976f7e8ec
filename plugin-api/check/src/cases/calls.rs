use crate::bench::{Bench, Finding, Verdict, failed, quoted, warned};
use crate::cases::documents::{METADATA, SEED, call_all};
use crate::corpus::{PLAIN, long};
use crate::raw::{Call, HostKind, Made, SinkKind};
use std::time::{Duration, Instant};

pub fn bad_config(bench: &Bench) -> Verdict {
    let library = bench.library()?;
    let deep = "[".repeat(10_000);
    let configs: [&[u8]; 5] = [
        b"not json",
        b"[]",
        br#"{"no-such-key-\u0000":[1,2]}"#,
        b"{\"a\":",
        deep.as_bytes(),
    ];
    let mut ignored = None;
    for config in configs {
        let told = quoted(&String::from_utf8_lossy(config));
        (bench.at)(&told);
        match library.create_with(config, HostKind::Plain) {
            Made::Instance(_) => ignored = ignored.or(Some(told)),
            Made::Nothing => {
                return failed(format!(
                    "create() with the config {told} returned WENGU_OK and no instance"
                ));
            }
            Made::Refused(call) if !call.is_answer() => {
                return failed(format!("create() with the config {told}: {}", call.told()));
            }
            Made::Refused(call) if call.message.is_empty() => {
                return failed(format!("create() refuses the config {told} and does not say why"));
            }
            Made::Refused(_) => {}
        }
    }
    match ignored {
        None => Ok(String::new()),
        Some(told) => warned(format!(
            "create() takes the config {told}: a spelling mistake would not be noticed"
        )),
    }
}

pub fn refused_sink(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    let judge = |what: &str, status: i32, puts: u64, n: u64| match (puts < n, status) {
        // It had less to say.
        (true, _) => Ok(()),
        (false, 4) if puts == n => Ok(()),
        (false, 4) => failed(format!(
            "{what}() called put() {} times more after it was refused",
            puts - n
        )),
        (false, other) => failed(format!(
            "{what}() returned status {other} after put() returned WENGU_E_RESOURCE; it must return that"
        )),
    };
    for text in bench.texts() {
        for n in [1, 2] {
            let call = instance.segment(text.as_bytes(), SinkKind::RefusesAt(n));
            judge("segment", call.status, call.puts, n)?;
            let call = instance.label(text.as_bytes(), METADATA, SEED, SinkKind::RefusesAt(n));
            judge("label", call.status, call.puts, n)?;
        }
    }
    call_all(bench, &instance, PLAIN)?;
    Ok(String::new())
}

/// A long document, with the time that its calls took and the heartbeats between.
const LONG_BYTES: usize = 1 << 20;

pub fn cancel(bench: &Bench) -> Verdict {
    let instance = bench.instance()?;
    let text = long(LONG_BYTES);
    let told = |what: &str, call: &dyn Fn() -> (bool, i32, String)| -> Result<(), Finding> {
        let (answer, status, told) = call();
        match answer && matches!(status, 0..=3) {
            true => Ok(()),
            false => failed(format!("{what}() that is told to stop: {told}")),
        }
    };
    fn ended<T>(call: Call<T>) -> (bool, i32, String) {
        (call.is_answer(), call.status, call.told())
    }
    instance.host.stop(true);
    told("segment", &|| ended(instance.segment(text.as_bytes(), SinkKind::Takes)))?;
    told("label", &|| {
        ended(instance.label(text.as_bytes(), METADATA, SEED, SinkKind::Takes))
    })?;
    instance.host.stop(false);
    for (what, call) in [
        ("segment", ended(instance.segment(PLAIN.as_bytes(), SinkKind::Takes))),
        (
            "label",
            ended(instance.label(PLAIN.as_bytes(), METADATA, SEED, SinkKind::Takes)),
        ),
    ] {
        if matches!(call.1, 3 | 5..) {
            return failed(format!("{what}() after one that was told to stop: {}", call.2));
        }
    }
    Ok(String::new())
}

pub fn heartbeat(bench: &Bench) -> Verdict {
    // Well under the host's silence timeout, on a machine that is several times slower.
    const SILENCE_MAX: Duration = Duration::from_secs(5);
    let instance = bench.instance()?;
    let text = long(LONG_BYTES);
    for (what, call) in [("segment", true), ("label", false)] {
        let (begun, beats) = (Instant::now(), instance.host.beats());
        match call {
            true => drop(instance.segment(text.as_bytes(), SinkKind::Takes)),
            false => drop(instance.label(text.as_bytes(), METADATA, SEED, SinkKind::Takes)),
        }
        let (took, beats) = (begun.elapsed(), instance.host.beats() - beats);
        if took > SILENCE_MAX && beats == 0 {
            return warned(format!(
                "{what}() took {:.1} s for 1 MiB without keep_going(): a slow machine's host would end it as hung",
                took.as_secs_f64()
            ));
        }
    }
    Ok(String::new())
}

pub fn larger_host(bench: &Bench) -> Verdict {
    let instance = bench.instance_with(HostKind::Larger)?;
    call_all(bench, &instance, PLAIN)?;
    Ok(String::new())
}

pub fn many_instances(bench: &Bench) -> Verdict {
    let mut some = Vec::new();
    for i in 0..24 {
        (bench.at)(&format!("instance {i}"));
        let instance = bench.instance()?;
        call_all(bench, &instance, PLAIN)?;
        some.push(instance);
        if i % 3 == 2 {
            some.swap_remove(0);
        }
    }
    Ok(String::new())
}
