//! The system's packages: missing ones are installed on Debian and Ubuntu, and listed elsewhere.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{heading, line, run, run_quiet, succeeds};
use crate::python;

/// The purpose of a package; the tests need everything that the demo needs, and the soak what the tests need.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Purpose {
    Demo,
    Test,
    Soak,
}

/// How to check a requirement without a package manager.
enum Probe {
    Program(&'static str),
    /// A program without `--version`.
    Starts(&'static str),
    /// Development files, by their pkg-config name.
    Module(&'static str),
    /// A GStreamer element.
    Element(&'static str),
    PythonModule(&'static str),
    /// A GObject introspection namespace of version 1.0.
    Namespace(&'static str),
    File(&'static str),
}

struct Requirement {
    /// The package's name on Debian and Ubuntu.
    package: &'static str,
    purpose: Purpose,
    probe: Probe,
    /// Ubuntu has no such package: what needs it is skipped there, unless the program comes from elsewhere.
    debian_alone: bool,
}

const fn needs(purpose: Purpose, package: &'static str, probe: Probe) -> Requirement {
    Requirement { package, purpose, probe, debian_alone: false }
}

const fn needs_on_debian(purpose: Purpose, package: &'static str, probe: Probe) -> Requirement {
    Requirement { debian_alone: true, ..needs(purpose, package, probe) }
}

use Probe::{Element, File, Module, Namespace, Program, PythonModule, Starts};
use Purpose::{Demo, Soak, Test};

const REQUIREMENTS: &[Requirement] = &[
    needs(Demo, "pkg-config", Program("pkg-config")),
    // librdkafka is built from the source that its crate brings, and uses the system's TLS.
    needs(Demo, "make", Program("make")),
    needs(Demo, "g++", Program("g++")),
    needs(Demo, "libssl-dev", Module("openssl")),
    needs(Demo, "libgstreamer1.0-dev", Module("gstreamer-1.0")),
    needs(Demo, "libgstreamer-plugins-base1.0-dev", Module("gstreamer-video-1.0")),
    needs(Demo, "gstreamer1.0-tools", Program("gst-launch-1.0")),
    needs(Demo, "gstreamer1.0-plugins-base", Element("videoconvert")),
    needs(Demo, "gstreamer1.0-plugins-good", Element("qtdemux")),
    needs(Demo, "gstreamer1.0-plugins-bad", Element("h264parse")),
    needs(Demo, "gstreamer1.0-plugins-ugly", Element("x264enc")),
    needs(Demo, "gstreamer1.0-libav", Element("avdec_h264")),
    needs(Demo, "python3-pip", PythonModule("pip")),
    needs(Test, "python3-venv", PythonModule("ensurepip")),
    needs(Test, "libgstrtspserver-1.0-dev", Module("gstreamer-rtsp-server-1.0")),
    needs(Test, "python3-gi", PythonModule("gi")),
    needs(Test, "python3-gst-1.0", PythonModule("gi.overrides.Gst")),
    needs(Test, "gir1.2-gst-plugins-base-1.0", Namespace("GstVideo")),
    needs(Test, "mosquitto", Starts("mosquitto")),
    needs(Test, "mosquitto-clients", Starts("mosquitto_sub")),
    needs(Test, "redis-server", Program("redis-server")),
    // Kafka 4 needs Java 17 or newer.
    needs(Test, "default-jre-headless", Program("java")),
    needs(Test, "maven", Program("mvn")),
    needs(Test, "debootstrap", Starts("debootstrap")),
    needs(Test, "debian-archive-keyring", File("/usr/share/keyrings/debian-archive-keyring.gpg")),
    // Ubuntu's browser is a snap, which a container can't install.
    needs_on_debian(Test, "chromium", Program("chromium")),
    needs_on_debian(Test, "chromium-driver", Program("chromedriver")),
    needs(Soak, "buildah", Program("buildah")),
];

/// The oldest releases with GStreamer 1.22 or newer.
const OLDEST: [(&str, &str, u32); 2] = [("debian", "12", 12), ("ubuntu", "24.04", 24)];

impl Requirement {
    fn is_for(&self, purpose: Purpose, release: &Release) -> bool {
        self.purpose <= purpose && !(self.debian_alone && release.id == "ubuntu")
    }
}

impl Probe {
    fn is_met(&self) -> bool {
        match self {
            Program(name) => succeeds(Command::new(name).arg("--version")),
            Starts(name) => {
                // Servers are in sbin, which isn't in every PATH.
                let places = [name.to_string(), format!("/usr/sbin/{name}")];
                places.iter().any(|program| Command::new(program).arg("-h").output().is_ok())
            }
            Module(name) => succeeds(Command::new("pkg-config").args(["--exists", name])),
            Element(name) => succeeds(Command::new("gst-inspect-1.0").args(["--exists", name])),
            PythonModule(name) => succeeds(Command::new(python::interpreter()).args(["-c", &format!("import {name}")])),
            Namespace(name) => {
                let code = format!("import gi; gi.require_version('{name}', '1.0')");
                succeeds(Command::new(python::interpreter()).args(["-c", &code]))
            }
            File(path) => Path::new(path).exists(),
        }
    }
}

/// The relevant fields of os-release.
#[derive(Default, Debug, PartialEq)]
struct Release {
    id: String,
    /// Empty on rolling releases.
    version: String,
    name: String,
}

impl Release {
    fn read() -> Self {
        Self::parse(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let field = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches('"').to_string()
        };
        Self { id: field("ID"), version: field("VERSION_ID"), name: field("PRETTY_NAME") }
    }

    /// The oldest supported version, if this one is older.
    fn too_old(&self) -> Option<&'static str> {
        let (_, oldest, major) = OLDEST.into_iter().find(|(id, ..)| *id == self.id)?;
        let version: u32 = self.version.split('.').next()?.parse().ok()?;
        (version < major).then_some(oldest)
    }
}

/// Installs missing packages, or lists them in an error.
pub fn install(purpose: Purpose) -> Result<()> {
    heading("System packages");
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "the packages of models/models.toml are for Linux on x86-64; this machine is {} on {}",
            std::env::consts::OS,
            std::env::consts::ARCH
        );
    }
    let release = Release::read();
    let known = OLDEST.iter().any(|(id, ..)| *id == release.id);
    if let Some(oldest) = release.too_old() {
        bail!("{} has a GStreamer older than 1.22: {} {oldest} or newer is needed", release.name, release.id);
    }
    let needed = REQUIREMENTS.iter().filter(|requirement| requirement.is_for(purpose, &release));
    let missing: Vec<&str> = if known {
        needed.filter(|requirement| !is_installed(requirement.package)).map(|requirement| requirement.package).collect()
    } else {
        needed.filter(|requirement| !requirement.probe.is_met()).map(|requirement| requirement.package).collect()
    };
    if missing.is_empty() {
        println!("  all installed");
    } else if known {
        apt_install(&missing)?;
    } else {
        let name = if release.name.is_empty() { "this system" } else { &release.name };
        bail!(
            "packages are missing, and only those of Debian and Ubuntu can be installed automatically, not those of {name}.\n\
                 Install their equivalents, then run this again:\n  {}",
            missing.join("\n  ")
        );
    }
    let version = run_quiet(Command::new("pkg-config").args(["--modversion", "gstreamer-1.0"]))?;
    if !succeeds(Command::new("pkg-config").args(["--atleast-version=1.22", "gstreamer-1.0"])) {
        bail!("GStreamer {} is installed, but 1.22 or newer is needed", version.trim());
    }
    println!("  GStreamer {}", version.trim());
    Ok(())
}

/// Returns an error if Python has no pip to download with.
pub fn require_pip() -> Result<()> {
    require_module("pip", "python3-pip")
}

/// Returns an error if Python can't make virtual environments.
pub fn require_venv() -> Result<()> {
    require_module("ensurepip", "python3-venv")
}

fn require_module(module: &'static str, package: &str) -> Result<()> {
    if !PythonModule(module).is_met() {
        bail!(
            "{} is missing or has no {module}: install {package}, or run cargo xtask setup",
            python::interpreter().display()
        );
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let status = run_quiet(Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]));
    status.is_ok_and(|status| status == "installed")
}

fn apt_install(missing: &[&str]) -> Result<()> {
    println!("  missing: {}", missing.join(" "));
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(missing);
    for arguments in [&["update"][..], &install] {
        let mut apt = as_root("apt-get", missing)?;
        let apt = apt.arg("--quiet").args(arguments);
        println!("  {}", line(apt));
        if let Err(error) = run(apt) {
            bail!(
                "{error:#}\nThe messages above say why: no network, no permission to become root, or another apt running. \
                 To install manually, as root: {}",
                by_hand(missing)
            );
        }
    }
    Ok(())
}

fn by_hand(missing: &[&str]) -> String {
    format!("apt-get install --no-install-recommends {}", missing.join(" "))
}

/// A command that runs the program as root: directly, or through sudo.
fn as_root(program: &str, missing: &[&str]) -> Result<Command> {
    let mut command = if nix::unistd::geteuid().is_root() {
        Command::new("env")
    } else if succeeds(Command::new("sudo").arg("--version")) {
        let mut sudo = Command::new("sudo");
        if !std::io::stdin().is_terminal() {
            // Without a terminal no password can be typed: fail instead of waiting for one.
            sudo.arg("--non-interactive");
        }
        sudo.arg("env");
        sudo
    } else {
        bail!(
            "installing packages needs root, and sudo isn't installed. Run this as root, then try again:\n  {}",
            by_hand(missing)
        );
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", program]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_recognised() {
        let release = |id: &str, version: &str| Release { id: id.into(), version: version.into(), name: String::new() };
        let text = "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n";
        let parsed = Release::parse(text);
        assert_eq!(parsed, Release { name: "Ubuntu 24.04.1 LTS".into(), ..release("ubuntu", "24.04") });
        assert_eq!(parsed.too_old(), None);
        assert_eq!(release("ubuntu", "22.04").too_old(), Some("24.04"));
        assert_eq!(release("debian", "11").too_old(), Some("12"));
        assert_eq!(release("debian", "13").too_old(), None);
        assert_eq!(release("debian", "").too_old(), None);
        assert_eq!(release("arch", "").too_old(), None);
    }

    #[test]
    fn ubuntu_is_not_asked_for_what_it_does_not_have() {
        let names = |id: &str, purpose| -> Vec<&str> {
            let release = Release { id: id.into(), ..Release::default() };
            REQUIREMENTS.iter().filter(|one| one.is_for(purpose, &release)).map(|one| one.package).collect()
        };
        let of_browsers = ["chromium", "chromium-driver"];
        assert!(of_browsers.iter().all(|package| names("debian", Test).contains(package)));
        assert!(!of_browsers.iter().any(|package| names("ubuntu", Test).contains(package)));
        assert!(!of_browsers.iter().any(|package| names("debian", Demo).contains(package)));
        assert!(names("ubuntu", Test).contains(&"mosquitto"));
    }

    #[test]
    fn the_demo_needs_less_than_the_tests() {
        assert!(Purpose::Demo < Purpose::Test);
    }
}
