//! The test models match their script, and give the results that tests/models/README.md states.

use crate::common::find;
use std::process::Command;

#[test]
fn test_models_are_what_the_script_makes() {
    let Some(python) = find::python() else { return };
    let script = find::root().join("tests/models/make.py");
    let output = Command::new(python).arg("-B").arg(script).arg("--check").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}
