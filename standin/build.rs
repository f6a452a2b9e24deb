//! Compiles the project's own kernels as C++, twice: plain, and with a call before each memory access, for the checks.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const KERNELS: &str = "../crates/cuda/src/kernels";
const SLOTS: &str = "../tests/data/tensorrt_slots.tsv";

fn main() {
    println!("cargo::rerun-if-changed={KERNELS}");
    println!("cargo::rerun-if-changed=cuda");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut sources: Vec<PathBuf> =
        std::fs::read_dir(KERNELS).expect(KERNELS).map(|entry| entry.expect(KERNELS).path()).collect();
    // And one for the stand-in's own tests.
    sources.push("cuda/probe.cu".into());
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "cu"));
    sources.sort();

    let mut entries = Vec::new();
    for source in &sources {
        let found = entries_of(&std::fs::read_to_string(source).expect("readable"));
        assert!(!found.is_empty(), "{} has no kernel", source.display());
        entries.push((source, found));
    }
    let table = out.join("table.cpp");
    std::fs::write(&table, table_of(&entries)).expect("OUT_DIR is writable");
    compiler().files(["cuda/fibers.cpp", "cuda/checks.cpp"]).file(table).compile("standin");
    for variant in ["plain", "checked"] {
        let mut build = compiler();
        if variant == "checked" {
            // Only the instrumentation is wanted: cuda/checks.cpp has the functions.
            build.flag("-fsanitize=thread").flag("--param=tsan-instrument-func-entry-exit=0");
        }
        for (source, found) in &entries {
            let file = out.join(format!("{variant}_{}.cpp", stem(source)));
            std::fs::write(&file, kernels_of(source, found, variant)).expect("OUT_DIR is writable");
            build.file(file);
        }
        build.compile(&format!("standin_{variant}"));
    }
    println!("cargo::rustc-link-lib=static=standin");
    std::fs::write(out.join("slots.rs"), slots()).expect("OUT_DIR is writable");
}

/// The slots of TensorRT 10.6's methods in its vtables, from the facts that the binding's own tables are tested against, so
/// that a mistake in those tables shows.
fn slots() -> String {
    println!("cargo::rerun-if-changed={SLOTS}");
    let facts = std::fs::read_to_string(SLOTS).expect(SLOTS);
    let mut lines = facts.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let releases = lines.next().expect("a line of releases");
    // 10.6 has the layout of 10.3; unknown entries of 10.3 are as in 10.0.
    let [first, exact] = ["10.0", "10.3"].map(|name| releases.iter().position(|release| *release == name).expect(name));
    let mut text = String::from("pub const SLOTS: &[(&str, &str, usize)] = &[\n");
    for line in lines {
        let cell = if line[exact] == "?" { line[first] } else { line[exact] };
        if let Ok(slot) = cell.parse::<usize>() {
            let _ = writeln!(text, "    ({:?}, {:?}, {slot}),", line[0], line[1]);
        }
    }
    text.push_str("];\n");
    text
}

fn compiler() -> cc::Build {
    let mut build = cc::Build::new();
    // Results must equal those of the CPU engine: no fused multiply-add. Tests run the kernels: optimised in every profile.
    build.cpp(true).std("c++17").opt_level(2).flag("-ffp-contract=off").flag("-fno-math-errno");
    build.flag("-fno-exceptions").flag("-fvisibility=hidden").flag("-Wno-unknown-pragmas");
    build.flag("-Wno-unused-function").include("cuda").include(KERNELS);
    build
}

fn stem(source: &Path) -> String {
    source.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Name and argument type of each `extern "C" __global__` function.
fn entries_of(text: &str) -> Vec<(String, String)> {
    let heads = text.split("extern \"C\" __global__").skip(1);
    heads
        .map(|head| {
            let signature = head.split('{').next().unwrap_or_default().trim();
            let (before, arguments) = signature.rsplit_once('(').expect("a parameter list");
            let name = before.rsplit([' ', ')', '\n']).next().expect("a name");
            let argument = arguments.trim_end_matches(')').trim();
            let (kind, _) = argument.rsplit_once(' ').expect("a type and a name");
            let kind = kind.trim_start_matches("const ").trim();
            assert!(!arguments.contains(','), "{name} takes more than one argument");
            (name.to_owned(), kind.to_owned())
        })
        .collect()
}

/// One source in its own namespace with renamed kernels, so that both variants fit into one library and share nothing.
fn kernels_of(source: &Path, entries: &[(String, String)], variant: &str) -> String {
    let mut text = String::from("#include \"fibers.h\"\n");
    for (name, _) in entries {
        let _ = writeln!(text, "#define {name} standin_{variant}_{name}");
    }
    let file = source.file_name().unwrap_or_default().to_string_lossy();
    let _ = writeln!(text, "namespace standin_{variant}_{} {{\n#include \"{file}\"", stem(source));
    for (name, _) in entries {
        let _ = writeln!(text, "#undef {name}");
    }
    for (name, kind) in entries {
        let _ = writeln!(
            text,
            "extern \"C\" void standin_run_{variant}_{name}(const void* args)\n{{\n    \
             standin_{variant}_{name}(*static_cast<const {kind}*>(args));\n}}\n\
             extern \"C\" const size_t standin_size_{variant}_{name} = sizeof({kind});"
        );
    }
    text.push_str("}\n");
    text
}

/// The table in which the Rust side looks up kernels.
fn table_of(entries: &[(&PathBuf, Vec<(String, String)>)]) -> String {
    let mut text = String::from("#include \"fibers.h\"\n\nextern \"C\" {\n");
    let names: Vec<&String> = entries.iter().flat_map(|(_, found)| found.iter().map(|(name, _)| name)).collect();
    for name in &names {
        for variant in ["plain", "checked"] {
            let _ = writeln!(text, "void standin_run_{variant}_{name}(const void*);");
            let _ = writeln!(text, "extern const size_t standin_size_{variant}_{name};");
        }
    }
    text.push_str("}\n");
    text.push_str(
        "extern \"C\" const standin::Kernel* standin_kernel(const char* name, bool checked)\n{\n    \
         static const standin::Kernel kernels[][2] = {\n",
    );
    for name in &names {
        let one = |variant| format!("{{\"{name}\", standin_size_{variant}_{name}, standin_run_{variant}_{name}}}");
        let _ = writeln!(text, "        {{{}, {}}},", one("plain"), one("checked"));
    }
    text.push_str(
        "    };\n    for (auto& kernel : kernels)\n        if (strcmp(kernel[0].name, name) == 0)\n            \
         return &kernel[checked];\n    return nullptr;\n}\n",
    );
    text
}
