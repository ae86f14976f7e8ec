//! A plugin that panics when the text says so, for the tests of the plugin host.
#![deny(unsafe_code)]

use serde_json::Value;
use wengu_plugin::segments::tile;
use wengu_plugin::{Descriptor, Error, Host, Level, Plugin, Segment, Segmenter};

struct Panics {
    calls: u32,
}

impl Plugin for Panics {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "org.example.panics",
        name: "Panics",
        version: "1.0.0",
        domain: "test",
        languages: &["en"],
    };

    fn create(host: &Host, config: &Value) -> Result<Self, Error> {
        host.log(Level::Info, "made");
        match config.get("refuse") {
            Some(reason) => Err(Error::input(format!("refuse is {reason}"))),
            None if config.get("panic").is_some() => panic!("as configured"),
            None => Ok(Panics { calls: 0 }),
        }
    }
}

impl Segmenter for Panics {
    fn segment(&mut self, host: &Host, text: &str) -> Result<Vec<Segment>, Error> {
        self.calls += 1;
        match text {
            "panic" => panic!("call {} went wrong", self.calls),
            "count" => return Err(Error::input(format!("call {}", self.calls))),
            "leak" => std::mem::forget(vec![1u8; 1 << 40]),
            "beat" => {
                for i in 0..u64::MAX {
                    host.keep_going(i, u64::MAX)?;
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            }
            "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
            "stdin" => {
                let read = std::io::stdin().lines().count();
                return Err(Error::input(format!("{read} lines on standard input")));
            }
            _ => {}
        }
        Ok(tile(text, []))
    }
}

wengu_plugin::export_plugin!(Panics, [segmenter]);
