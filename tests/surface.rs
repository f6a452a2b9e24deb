//! The public surface: elements with their properties, pads and signals, and the options of `gst-trt`.
//!
//! `UPDATE_SURFACE=1` writes the current state to `tests/data/`; review the difference.

mod common;

use common::find;
use glib::translate::FromGlib;
use gst::glib;
use gst::prelude::*;
use std::fmt::Write;
use std::process::{Command, Stdio};

/// Compares with a file of `tests/data/`.
fn compare(file: &str, now: &str) {
    let path = find::root().join("tests/data").join(file);
    if std::env::var_os("UPDATE_SURFACE").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let gone: Vec<_> = before.lines().filter(|line| !now.lines().any(|new| new == *line)).collect();
    let new: Vec<_> = now.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    assert!(before == now, "{file} has changed (UPDATE_SURFACE=1 writes it anew)\n- {gone:#?}\n+ {new:#?}");
}

fn factories() -> Vec<gst::ElementFactory> {
    gst::init().unwrap();
    gsttensorrt::plugin_register_static().unwrap();
    let features = gst::Registry::get().features_by_plugin("tensorrt");
    let mut factories: Vec<_> =
        features.into_iter().filter_map(|feature| feature.downcast::<gst::ElementFactory>().ok()).collect();
    factories.sort_by_key(|factory| factory.name());
    factories
}

#[test]
fn elements_are_as_they_were() {
    let mut text = String::new();
    for factory in factories() {
        let factory = factory.load().unwrap();
        let class = factory.metadata("klass").unwrap();
        writeln!(text, "{}: {class}, rank {}", factory.name(), i32::from(factory.rank())).unwrap();
        let of = factory.element_type();
        let types: Vec<_> = std::iter::successors(Some(of), |of| of.parent()).map(|of| of.name()).collect();
        writeln!(text, "  {}", types.join(" < ")).unwrap();
        for template in factory.static_pad_templates() {
            let (name, direction) = (template.name_template(), template.direction());
            writeln!(text, "  pad {name} {direction:?} {:?}", template.presence()).unwrap();
            for (structure, features) in template.caps().iter_with_features() {
                writeln!(text, "    {structure} {features}").unwrap();
            }
        }
        for spec in glib::Class::<glib::Object>::from_type(of).unwrap().list_properties() {
            if spec.owner_type().name().starts_with("GstTrt") {
                writeln!(text, "  property {}", property(&spec)).unwrap();
            }
        }
        for signal in signals(of) {
            writeln!(text, "  signal {signal}").unwrap();
        }
        text.push('\n');
    }
    compare("elements.txt", &text);
}

/// Name, type, accepted values, default, flags.
fn property(spec: &glib::ParamSpec) -> String {
    macro_rules! range {
        ($($class:ty)*) => {
            [$(spec.downcast_ref::<$class>().map(|spec| format!(" {}..={}", spec.minimum(), spec.maximum()))),*]
        };
    }
    let ranges = range!(glib::ParamSpecUInt glib::ParamSpecUInt64 glib::ParamSpecInt glib::ParamSpecInt64
        glib::ParamSpecFloat glib::ParamSpecDouble);
    let mut takes: String = ranges.into_iter().flatten().collect();
    if let Some(class) = glib::EnumClass::with_type(spec.value_type()) {
        let values: Vec<_> = class.values().iter().map(|value| format!("{}={}", value.nick(), value.value())).collect();
        takes = format!(" {}", values.join("|"));
    }
    let known = [
        ("readable", glib::ParamFlags::READABLE),
        ("writable", glib::ParamFlags::WRITABLE),
        ("construct", glib::ParamFlags::CONSTRUCT),
        ("construct-only", glib::ParamFlags::CONSTRUCT_ONLY),
        ("explicit-notify", glib::ParamFlags::EXPLICIT_NOTIFY),
        ("deprecated", glib::ParamFlags::DEPRECATED),
        ("controllable", gst::PARAM_FLAG_CONTROLLABLE),
        ("mutable-ready", gst::PARAM_FLAG_MUTABLE_READY),
        ("mutable-paused", gst::PARAM_FLAG_MUTABLE_PAUSED),
        ("mutable-playing", gst::PARAM_FLAG_MUTABLE_PLAYING),
    ];
    let flags: Vec<_> = known.iter().filter(|(_, flag)| spec.flags().contains(*flag)).map(|(name, _)| *name).collect();
    let default = spec.default_value();
    let default = match default.get::<Option<String>>() {
        Ok(None) => "unset".into(),
        Ok(Some(text)) => format!("{text:?}"),
        // GStreamer can't serialise a null structure.
        Err(_) if spec.is::<glib::ParamSpecBoxed>() => "unset".into(),
        // As its description says, the default depends on the machine.
        Err(_) if spec.name() == "analytics-meta" => {
            assert_eq!(default.get(), Ok(gsttensorrt::meta::analytics::is_there()));
            "where the library is found".into()
        }
        Err(_) => default.serialize().unwrap().to_string(),
    };
    format!("{} {}{takes} [{default}] {}", spec.name(), spec.value_type(), flags.join(" "))
}

/// The signals of our own classes: name, parameters, result.
fn signals(of: glib::Type) -> Vec<String> {
    let own = std::iter::successors(Some(of), |of| of.parent()).filter(|of| of.name().starts_with("GstTrt"));
    own.flat_map(|of| {
        let mut count = 0;
        // SAFETY: the function returns `count` ids, in memory that the caller frees with `g_free`.
        let ids: Vec<_> = unsafe {
            let ids = glib::gobject_ffi::g_signal_list_ids(glib::translate::IntoGlib::into_glib(of), &mut count);
            let known = (0..count as usize).map(|at| glib::subclass::SignalId::from_glib(*ids.add(at))).collect();
            glib::ffi::g_free(ids.cast());
            known
        };
        ids.into_iter().map(|id| {
            let query = id.query();
            let parameters: Vec<_> = query.param_types().iter().map(|of| of.type_().name()).collect();
            let kind = if query.flags().contains(glib::SignalFlags::ACTION) { "action " } else { "" };
            format!("{kind}{}({}) {}", query.signal_name(), parameters.join(", "), query.return_type().type_())
        })
    })
    .collect()
}

#[test]
fn the_tools_options_are_as_they_were() {
    const COMMANDS: [&[&str]; 16] = [
        &[],
        &["check"],
        &["build"],
        &["run"],
        &["monitor"],
        &["fleet"],
        &["fleet", "apply"],
        &["fleet", "list"],
        &["fleet", "status"],
        &["fleet", "drain"],
        &["fleet", "remove"],
        &["fleet", "release"],
        &["cache"],
        &["cache", "list"],
        &["cache", "clear"],
        &["bench"],
    ];
    let mut text = String::new();
    for command in COMMANDS {
        let (status, help) = gst_trt(&[command, &["--help"]].concat());
        assert_eq!(status, Some(0), "{command:?}: {help}");
        writeln!(text, "gst-trt {}", command.join(" ")).unwrap();
        for line in help.lines().filter(|line| line.starts_with("  ")).map(str::trim) {
            // A name is followed by two spaces, an accepted value of an option by a colon.
            let name = line.split("  ").next().unwrap_or_default();
            let name = if line.starts_with("- ") { name.split(':').next().unwrap_or_default() } else { name };
            if line.starts_with(['-', '<', '[']) || command.is_empty() {
                writeln!(text, "  {name}").unwrap();
            }
            let more = ["[default: ", "[possible values: "].map(|what| line.find(what).filter(|at| *at > 0));
            if let Some(at) = more.into_iter().flatten().min() {
                writeln!(text, "  {}", &line[at..]).unwrap();
            }
        }
    }
    text.push_str("\nexit status\n");
    const ENDS: [&[&str]; 6] = [
        &[],
        &["none"],
        &["run", "--none"],
        &["run", "--config", "/nonexistent/config.json"],
        &["check", "--config", "/nonexistent/config.json"],
        &["build", "--config", "/nonexistent/config.json"],
    ];
    for arguments in ENDS {
        let (status, _) = gst_trt(arguments);
        writeln!(text, "  {}: {status:?}", arguments.join(" ")).unwrap();
    }
    compare("gst-trt.txt", &text);
}

/// Its exit status and standard output.
fn gst_trt(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(find::gst_trt()).args(arguments).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}
