//! The GStreamers that the plugin is tested on: this machine's, and those of the Debian roots that `cargo xtask roots` makes.

use super::find;
use std::path::PathBuf;
use std::process::Command;

/// The roots of xtask/src/roots/, in the order of their GStreamers.
const ROOTS: [&str; 2] = ["trixie", "forky"];

/// A GStreamer and the system around it.
#[derive(Debug, Clone)]
pub struct System {
    /// The root's name, or `host`.
    pub name: &'static str,
    /// `None`: this machine.
    root: Option<PathBuf>,
}

impl System {
    pub fn host() -> Self {
        Self { name: "host", root: None }
    }

    /// The roots; those that are missing are skipped, in CI an error.
    pub fn roots() -> Vec<Self> {
        let folder = files::user_folder::cache().join("gst-tensorrt/roots");
        let roots = ROOTS.into_iter().filter_map(|name| {
            let root = folder.join(name);
            if nix::unistd::geteuid().is_root() && root.join("etc/made-for-tests").exists() {
                return Some(Self { name, root: Some(root) });
            }
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"),
                "{} is missing",
                root.display()
            );
            find::skip(&root.display().to_string(), "cargo xtask roots, as root");
            None
        });
        roots.collect()
    }

    /// This machine and the roots.
    pub fn all() -> Vec<Self> {
        [vec![Self::host()], Self::roots()].concat()
    }

    /// A file of the root, for example a header.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.as_deref().unwrap_or("/".as_ref()).join(path)
    }

    /// A command there, with the plugin of this build; it sees the repository, /tmp and the working directory.
    pub fn command(&self, program: &str) -> Command {
        let mut command = match &self.root {
            None => Command::new(program),
            Some(root) => {
                let mut command = Command::new(find::root().join("xtask/src/roots/run-in-root"));
                command.arg(root).arg(program);
                command
            }
        };
        let built = std::env::current_exe().unwrap();
        // target/PROFILE/deps/THIS
        let (deps, target) = (built.parent().unwrap(), built.ancestors().nth(3).unwrap());
        let plugin = deps.with_file_name("plugin-for-tests");
        std::fs::create_dir_all(&plugin).unwrap();
        link(&deps.join("libgsttensorrt.so"), &plugin.join("libgsttensorrt.so"));
        let data = files::user_folder::data();
        let folders = [find::root().into(), find::shared(), target.into(), data.join("gst-tensorrt")];
        let folders = folders.into_iter().filter_map(|folder: PathBuf| folder.canonicalize().ok());
        command
            .env("ROOT_FOLDERS", std::env::join_paths(folders).unwrap())
            .env("XDG_DATA_HOME", data)
            .env("GST_PLUGIN_PATH", plugin)
            // GStreamers don't share a registry; one that is kept saves scanning all plugins again.
            .env("GST_REGISTRY", deps.with_file_name(format!("{}-registry.bin", self.name)))
            .env("GST_DEBUG_NO_COLOR", "1");
        command
    }
}

/// Tests of one process run side by side.
fn link(target: &std::path::Path, link: &std::path::Path) {
    match std::os::unix::fs::symlink(target, link) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => panic!("{}: {error}", link.display()),
        _ => assert_eq!(std::fs::read_link(link).unwrap(), target),
    }
}
