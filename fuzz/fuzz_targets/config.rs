//! Any text as a `config.json` is either valid, or produces errors that name a rule and can be displayed.

#![no_main]

use gsttensorrt::config::{Overrides, Severity, load_text};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    match load_text(Path::new("config.json"), &text, &Overrides::default()) {
        Ok(loaded) => assert!(loaded.findings.count(Severity::Error) == 0, "{:?}", loaded.findings.list),
        Err(findings) => {
            assert!(findings.has_errors(), "refused without a word: {:?}", findings.list);
            for finding in &findings.list {
                assert!(!finding.rule.is_empty(), "{finding:?}");
            }
            let _ = findings.to_string();
        }
    }
});
