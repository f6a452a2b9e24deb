//! The public surface: elements with their properties, pads and signals, and the options of `gst-trt`.
//!
//! `UPDATE_SURFACE=1` writes the current state to `tests/data/`, and the elements' page of the documentation; review the
//! difference.

mod common;

use common::find;
use glib::translate::FromGlib;
use gst::glib;
use gst::prelude::*;
use std::fmt::Write;
use std::process::{Command, Stdio};

/// Compares with a file of the repository.
fn compare(file: &str, now: &str) {
    let path = find::root().join(file);
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
    compare("tests/data/elements.txt", &text);
}

/// Name, type, accepted values, default, flags.
fn property(spec: &glib::ParamSpec) -> String {
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
    let takes = range(spec).map(|(from, to)| format!(" {from}..={to}")).unwrap_or_default();
    let nicks: Vec<_> = nicks(spec).iter().map(|(nick, value)| format!("{nick}={value}")).collect();
    let values = if nicks.is_empty() { String::new() } else { format!(" {}", nicks.join("|")) };
    format!("{} {}{takes}{values} [{}] {}", spec.name(), spec.value_type(), default(spec), flags.join(" "))
}

/// The least and the greatest value of a number.
fn range(spec: &glib::ParamSpec) -> Option<(String, String)> {
    macro_rules! range {
        ($($class:ty)*) => {
            [$(spec.downcast_ref::<$class>().map(|spec| (spec.minimum().to_string(), spec.maximum().to_string()))),*]
        };
    }
    let ranges = range!(glib::ParamSpecUInt glib::ParamSpecUInt64 glib::ParamSpecInt glib::ParamSpecInt64
        glib::ParamSpecFloat glib::ParamSpecDouble);
    ranges.into_iter().flatten().next()
}

/// The values of an enumeration, by name.
fn nicks(spec: &glib::ParamSpec) -> Vec<(String, i32)> {
    let class = glib::EnumClass::with_type(spec.value_type());
    class.iter().flat_map(|class| class.values()).map(|value| (value.nick().into(), value.value())).collect()
}

fn default(spec: &glib::ParamSpec) -> String {
    let default = spec.default_value();
    match default.get::<Option<String>>() {
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
    }
}

/// The page on the elements: what the sources say about each, and its properties.
#[test]
fn the_elements_page_is_up_to_date() {
    let mut text = "# Elements\n\n<!-- Written by `UPDATE_SURFACE=1 cargo test --test surface` from the elements. -->\n\n\
        `gst-inspect-1.0 ELEMENT` prints the same on your machine. *While* says until which state a property may change: \
        `playing` means at any time, between two frames.\n"
        .to_string();
    let mut shared = None;
    for factory in factories() {
        let factory = factory.load().unwrap();
        let (name, of) = (factory.name(), factory.element_type());
        writeln!(text, "\n## {name}\n\n{}", section(&name)).unwrap();
        let class = glib::Class::<glib::Object>::from_type(of).unwrap();
        let specs = class.list_properties();
        let own: Vec<_> = specs.iter().filter(|spec| spec.owner_type() == of).collect();
        let inherited: Vec<_> =
            specs.iter().filter(|spec| spec.owner_type().name() == "GstTrtInference").cloned().collect();
        if !inherited.is_empty() {
            let mostly = if own.is_empty() { "Its properties are the" } else { "It also has the" };
            text.push_str(&table(&own));
            writeln!(
                text,
                "\n{mostly} [properties of elements that run a model](#properties-of-elements-that-run-a-model)."
            )
            .unwrap();
            shared = shared.or(Some(inherited));
        } else {
            text.push_str(&table(&own));
        }
        for signal in signals(of) {
            writeln!(text, "\nSignal: `{signal}`").unwrap();
        }
    }
    text.push_str("\n## Properties of elements that run a model\n");
    text.push_str(&table(&shared.unwrap().iter().collect::<Vec<_>>()));
    compare("docs/elements.md", &text);
}

/// What the head of an element's source says about it.
fn section(name: &str) -> String {
    let source = std::fs::read_to_string(find::root().join(format!("src/elements/{name}/mod.rs"))).unwrap();
    let lines =
        source.lines().map_while(|line| line.strip_prefix("//!")).map(|line| line.strip_prefix(' ').unwrap_or(line));
    let text: Vec<_> = lines.filter(|line| !line.starts_with("SECTION:")).collect();
    assert!(text.iter().any(|line| line.starts_with("gst-launch-1.0")), "{name} has no launch string");
    text.join("\n").trim().into()
}

/// A table of properties; nothing if there is none.
fn table(specs: &[&glib::ParamSpec]) -> String {
    if specs.is_empty() {
        return String::new();
    }
    let mut text = "\n| property | values | default | while | meaning |\n|---|---|---|---|---|\n".to_string();
    for spec in specs {
        let nicks: Vec<_> = nicks(spec).into_iter().map(|(nick, _)| format!("`{nick}`")).collect();
        let values = match range(spec) {
            Some((from, to)) if to == u64::MAX.to_string() || to == u32::MAX.to_string() => format!("from {from}"),
            Some((from, to)) => format!("{from} to {to}"),
            None if !nicks.is_empty() => nicks.join(", "),
            // Not the method of `ToValue`, which is that of a reference.
            None => glib::ParamSpec::value_type(spec).name().trim_start_matches('g').replace("chararray", "string"),
        };
        let flags = spec.flags();
        let changes = match () {
            () if !flags.contains(glib::ParamFlags::WRITABLE) => "read only",
            () if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) => "playing",
            () if flags.contains(gst::PARAM_FLAG_MUTABLE_PAUSED) => "paused",
            () => "ready",
        };
        // As written, not as the nearest 32-bit float.
        let default = spec.default_value().get::<f32>().map_or_else(|_| default(spec), |value| value.to_string());
        let blurb = spec.blurb().unwrap_or_default().replace('|', "\\|").replace('<', "&lt;");
        writeln!(text, "| `{}` | {values} | {default} | {changes} | {blurb} |", spec.name()).unwrap();
    }
    text
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
    const COMMANDS: [&[&str]; 17] = [
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
        &["generate"],
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
    compare("tests/data/gst-trt.txt", &text);
}

/// Its exit status and standard output.
fn gst_trt(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(find::gst_trt()).args(arguments).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}
