//! The container image: linted in every test run; built, and run as a user without rights, in the soak.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::tools;
use crate::command::{heading, run_quiet, step};
use crate::package::scratch;
use crate::paths::Paths;
use crate::roots::debootstrap;

const CONTAINERFILE: &str = "Containerfile";
/// The default bases of the Containerfile, as debootstrap makes them.
const BUILDER: (&str, &str) = ("bookworm", "localhost/builder");
const BASE: (&str, &str) = ("trixie", "localhost/base");
const IMAGE: &str = "localhost/gst-trt";
/// The user in the image.
const USER: &str = "10001";

/// How long cameras may take to play in the container.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lints the Containerfile: also the lines that only an image with TensorRT runs, which is never built here.
pub fn lint(paths: &Paths) -> Result<()> {
    heading("Containerfile");
    let hadolint = tools(paths)?.join("hadolint");
    run_quiet(Command::new(hadolint).args(["--failure-threshold", "info", CONTAINERFILE]).current_dir(&paths.root))?;
    println!("  {CONTAINERFILE}: hadolint finds nothing");
    Ok(())
}

/// Builds the image for the CPU on bases that debootstrap makes, runs it, and checks that it serves as a host: it isn't root,
/// `/readyz` turns to 200, objects are written, and SIGTERM ends it in order.
///
/// # Errors
/// buildah isn't installed or can't run here, the image can't be built, or it doesn't serve.
pub fn build_and_run(paths: &Paths) -> Result<()> {
    lint(paths)?;
    heading("Container image");
    ensure!(nix::unistd::geteuid().is_root(), "building the bases of the image needs root, for debootstrap");
    let store = Store::new(paths)?;
    for (suite, name) in [BUILDER, BASE] {
        step(&format!("{name} from Debian {suite}"), || store.import(suite, name))?;
    }
    let toolchain = run_quiet(Command::new("rustc").args(["--print", "sysroot"]).current_dir(&paths.root))?;
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let mut build = store.buildah("build");
    build.args(["--isolation", "chroot", "--pull=never", "--quiet", "--tag", IMAGE]);
    build.args(["--build-arg", &format!("BUILDER={}", BUILDER.1), "--build-arg", &format!("BASE={}", BASE.1)]);
    // This machine's Rust and its downloads, where Rust's own image has them.
    build.arg("--volume").arg(format!("{}:/usr/local/toolchain:ro", toolchain.trim()));
    build.arg("--volume").arg(format!("{}:/usr/local/cargo", home.display()));
    step("the image", || run_quiet(build.arg(&paths.root)))?;
    step("a host in the container", || serve(paths, &store))
}

/// Images and containers, which are removed at the end.
struct Store {
    folder: TempDir,
}

impl Store {
    fn new(paths: &Paths) -> Result<Self> {
        Ok(Self { folder: scratch(paths, "image")? })
    }

    fn buildah(&self, task: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new("buildah");
        command.arg("--root").arg(folder.join("store")).arg("--runroot").arg(folder.join("run"));
        command.args(["--storage-driver", "overlay", task]);
        command
    }

    /// Makes an image from a minimal Debian, with the variables that Rust's image has.
    fn import(&self, suite: &str, name: &str) -> Result<()> {
        let container = run_quiet(self.buildah("from").arg("scratch"))?;
        let container = container.trim();
        let root = run_quiet(self.buildah("mount").arg(container))?;
        debootstrap(suite, Path::new(root.trim()))?;
        let path = "PATH=/usr/local/toolchain/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        run_quiet(self.buildah("config").args(["--env", path, "--env", "CARGO_HOME=/usr/local/cargo", container]))?;
        run_quiet(self.buildah("commit").args(["--quiet", "--rm", container, name])).map(drop)
    }

    /// A container of the image, in which programs run as the image says.
    fn container(&self) -> Result<String> {
        Ok(run_quiet(self.buildah("from").args(["--pull=never", IMAGE]))?.trim().to_owned())
    }

    /// What the image says of itself.
    fn inspect(&self, format: &str) -> Result<String> {
        Ok(run_quiet(self.buildah("inspect").args(["--type", "image", "--format", format, IMAGE]))?.trim().to_owned())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Containers are mounted, and a mounted folder can't be removed.
        let _ = run_quiet(self.buildah("rm").arg("--all"));
        let _ = run_quiet(self.buildah("rmi").args(["--all", "--force"]));
        // The driver leaves the folder of its layers mounted on itself.
        let _ = run_quiet(Command::new("umount").arg(self.folder.path().join("store/overlay")));
    }
}

/// Runs two test pictures in the container.
fn serve(paths: &Paths, store: &Store) -> Result<()> {
    let user = store.inspect("{{.OCIv1.Config.User}}")?;
    ensure!(user == format!("{USER}:{USER}"), "the image runs as {user}");
    let entry = store.inspect("{{index .OCIv1.Config.Entrypoint 0}}")?;
    let folder = scratch(paths, "image-config")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    fs::copy(paths.root.join("tests/models/yolo.onnx"), folder.path().join("yolo.onnx")).context("the test model")?;
    let camera =
        |name: &str| serde_json::json!({ "NAME": name, "URL": "test:smpte", "WIDTH": 160, "HEIGHT": 120, "FPS": 10 });
    let config = serde_json::json!({
        "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false },
        "models": { "DETECTION": { "ONNX": "yolo.onnx" }, "POSE": { "ENABLED": false } },
        "cameras": { "RTSP_STREAMS": [camera("door"), camera("yard")] },
        "outputs": { "JSON_LINES": "/var/lib/gst-trt/lines.jsonl" },
    });
    fs::write(folder.path().join("config.json"), config.to_string())?;
    let container = store.container()?;
    let inside = |words: &[&str]| {
        let mut command = store.buildah("run");
        command.args(["--isolation", "chroot", "--volume"]).arg(format!("{}:/etc/gst-trt:ro", folder.path().display()));
        command.args([&container, "--"]).args(words);
        command
    };
    let mut host = inside(&[&entry, "run", "--config", "/etc/gst-trt/config.json", "--metrics", "127.0.0.1:0"]);
    let mut host = Host(host.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?);
    let said = lines(host.0.stderr.take().context("stderr")?);
    let mut heard = Vec::new();
    let address = loop {
        let line = said.recv_timeout(PATIENCE).with_context(|| format!("it says no address: {heard:?}"))?;
        let found = line.split_once("metrics at http://").and_then(|(_, rest)| rest.strip_suffix("/metrics"));
        if let Some(address) = found {
            break address.to_owned();
        }
        heard.push(line);
    };
    ensure!(ask(&address, "/healthz")?.starts_with("HTTP/1.1 200"), "/healthz isn't 200");
    let start = Instant::now();
    loop {
        let answer = ask(&address, "/readyz")?;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "it isn't ready: {answer}\n{}",
            said.try_iter().collect::<Vec<_>>().join("\n")
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let process = descendant(host.0.id())?;
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let ids: Vec<&str> =
        status.lines().filter(|line| line.starts_with("Uid:") || line.starts_with("CapEff:")).collect();
    let expected = [format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}"), "CapEff:\t0000000000000000".to_owned()];
    ensure!(ids == expected, "the process has {ids:?}, and should have {expected:?}");
    end(process)?;
    ensure!(host.0.wait()?.success(), "it ended with an error: {}", said.iter().collect::<Vec<_>>().join("\n"));
    let written = run_quiet(&mut inside(&["cat", "/var/lib/gst-trt/lines.jsonl"]))?;
    let first = written.lines().next().context("no line was written")?;
    let frame: serde_json::Value = serde_json::from_str(first)?;
    ensure!(frame["objects"].as_array().is_some_and(|objects| !objects.is_empty()), "no object was found: {first}");
    let plugin = run_quiet(&mut inside(&["gst-inspect-1.0", "trtdetect"]))?;
    ensure!(plugin.contains("/usr/local/lib/gstreamer-1.0"), "the plugin isn't the image's: {plugin}");
    Ok(())
}

/// Ends with the check.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of an output, read by a thread of their own.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
    });
    lines
}

fn ask(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The process that buildah has started, through a few of its own.
fn descendant(process: u32) -> Result<u32> {
    let mut last = process;
    loop {
        let mut children = String::new();
        for thread in fs::read_dir(format!("/proc/{last}/task"))? {
            children.push_str(&fs::read_to_string(thread?.path().join("children"))?);
        }
        match children.split_whitespace().next() {
            Some(child) => last = child.parse()?,
            None => break,
        }
    }
    if last == process {
        bail!("buildah has started no process");
    }
    Ok(last)
}

fn end(process: u32) -> Result<()> {
    run_quiet(Command::new("kill").args(["-TERM", &process.to_string()])).map(drop)
}
