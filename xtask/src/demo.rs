//! `cargo xtask demo`: runs detection and pose estimation over a video with the plugin, from H.264 to an annotated MP4.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};

use crate::command::{heading, run, run_quiet};
use crate::package::scratch;
use crate::paths::Paths;
use crate::plugin::{self, Plugin, Profile};
use crate::setup;
use crate::summary::Summary;
use crate::system::Purpose;
use crate::times::Times;

/// The demo's models, by their names in models.toml.
pub const MODELS: [&str; 2] = ["yolov12n", "movenet-lightning"];

/// The demo's clip, by its name in models.toml.
pub const CLIP: &str = "bikes";

pub struct Options {
    pub backend: String,
    /// A clip to use instead of the sample: an MP4 with H.264.
    pub clip: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { backend: "cpu".into(), clip: None }
    }
}

pub fn run_demo(paths: &Paths, options: &Options) -> Result<()> {
    let backend = backend(&options.backend)?;
    let clip = match &options.clip {
        Some(clip) => fs::canonicalize(clip).with_context(|| clip.display().to_string())?,
        None => paths.root.join("media/bikes.mp4"),
    };
    let mut times = Times::default();
    setup(paths, Purpose::Demo, &mut times)?;

    heading("Build");
    let plugin = times.measure("build", || plugin::build(paths, Profile::Release))?;

    let output = paths.root.join("demo-output");
    fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
    let (video, lines) = (output.join("annotated.mp4"), output.join("objects.jsonl"));
    let picture = output.join("most-poses.png");
    for old in [&video, &lines, &picture] {
        if old.exists() {
            fs::remove_file(old).with_context(|| old.display().to_string())?;
        }
    }

    heading(&format!("Detection and pose over {}", paths.short(&clip)));
    let (wall, cpu) = times.measure("detection and pose", || infer(paths, &plugin, &clip, &backend, &lines, &video))?;
    let text = fs::read_to_string(&lines).with_context(|| lines.display().to_string())?;
    let summary = Summary::of(&text).with_context(|| lines.display().to_string())?;
    if summary.frames == 0 {
        bail!("{} contains no frame: is {} an MP4 with H.264?", lines.display(), clip.display());
    }
    times.measure("picture", || save_frame(paths, &video, summary.most_poses, &picture))?;

    times.print();
    heading("Result");
    print_summary(&summary, wall, cpu);
    println!("  annotated video           {}", paths.short(&video));
    println!("  frame with most poses     {} (frame {})", paths.short(&picture), summary.most_poses);
    println!("  objects, line per frame   {}", paths.short(&lines));
    Ok(())
}

/// The parts of the pipeline that differ between the backends.
struct Backend {
    name: &'static str,
    decoder: &'static str,
    /// Between drawing and encoding, as the encoder takes frames in system memory.
    download: &'static str,
}

fn backend(name: &str) -> Result<Backend> {
    match name {
        "cpu" => Ok(Backend { name: "cpu", decoder: "avdec_h264", download: "" }),
        "tensorrt" => Ok(Backend {
            name: "tensorrt",
            decoder: "nvh264dec ! video/x-raw(memory:CUDAMemory)",
            download: "! cudadownload ! video/x-raw",
        }),
        other => bail!("--backend {other}: it must be cpu or tensorrt"),
    }
}

fn elements(backend: &str) -> String {
    format!(
        "trtdetect backend={backend} model=models/yolov12n.onnx ! trtpose backend={backend} \
         model=models/movenet-lightning.onnx inference-region=objects object-classes=person"
    )
}

/// Runs the pipeline; returns the time it took and the CPU time of all its threads.
fn infer(
    paths: &Paths,
    plugin: &Plugin,
    clip: &Path,
    backend: &Backend,
    lines: &Path,
    video: &Path,
) -> Result<(Duration, Duration)> {
    let description = format!(
        "filesrc location={} ! qtdemux ! h264parse ! {} ! progressreport update-freq=2 ! {} \
         ! trtpublish location={} ! trtoverlay {} ! x264enc speed-preset=veryfast ! mp4mux ! filesink location={}",
        quoted(clip)?,
        backend.decoder,
        elements(backend.name),
        quoted(lines)?,
        backend.download,
        quoted(video)?
    );
    let mut launch = Command::new("gst-launch-1.0");
    plugin.set_environment(&mut launch);
    // One argument per word, as a shell would split them; quoted paths with blanks stay whole.
    launch.current_dir(&paths.root).arg("-q").args(words(&description));
    println!("  gst-launch-1.0 -q {description}\n");
    let (start, cpu) = (Instant::now(), children_cpu()?);
    run(&mut launch).context("the pipeline failed: GStreamer's message above says why")?;
    Ok((start.elapsed(), children_cpu()?.saturating_sub(cpu)))
}

/// The path in double quotes, as gst-launch parses it.
pub fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The words of a pipeline description; blanks within double quotes don't separate words.
pub fn words(description: &str) -> Vec<&str> {
    let mut in_quotes = false;
    description
        .split(move |c: char| {
            in_quotes ^= c == '"';
            c == ' ' && !in_quotes
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// User and system time of all child processes that have ended.
fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Ok(Duration::from_micros((micros(usage.user_time()) + micros(usage.system_time())).try_into()?))
}

/// Extracts one frame from a video.
pub fn save_frame(paths: &Paths, video: &Path, index: usize, picture: &Path) -> Result<()> {
    let scratch = scratch(paths, "frames")?;
    // `eos-after=N` only ends the run early: it drops frame N and lets a few more pass. The file number selects the frame.
    let mut launch = Command::new("gst-launch-1.0");
    launch.args(["-q", "filesrc"]).arg(format!("location={}", quoted(video)?));
    launch.args(["!", "qtdemux", "!", "h264parse", "!", "avdec_h264", "!", "identity"]);
    launch.arg(format!("eos-after={}", index + 4));
    launch.args(["!", "videoconvert", "!", "pngenc", "compression-level=1", "!", "multifilesink"]);
    launch.arg(format!("location={}", quoted(&scratch.path().join("%d.png"))?));
    run_quiet(&mut launch).context("extracting a frame from the video")?;
    let frame = scratch.path().join(format!("{index}.png"));
    fs::copy(&frame, picture).with_context(|| format!("{} to {}", frame.display(), picture.display()))?;
    Ok(())
}

fn print_summary(summary: &Summary, wall: Duration, cpu: Duration) {
    let frames = summary.frames as f64;
    println!("  frames                    {}", summary.frames);
    println!("  speed                     {:.1} fps, including the loading of the models", frames / wall.as_secs_f64());
    println!(
        "  CPU time                  {:.1} ms per frame, including decoding and encoding",
        cpu.as_secs_f64() * 1e3 / frames
    );
    let mut classes: Vec<_> = summary.objects.iter().collect();
    classes.sort_by_key(|(label, count)| (std::cmp::Reverse(**count), label.as_str()));
    let classes: Vec<String> = classes.iter().map(|(label, count)| format!("{label} {count}")).collect();
    println!("  objects                   {}", if classes.is_empty() { "none".into() } else { classes.join(", ") });
    println!("  poses                     {}", summary.poses);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_backends_are_taken() {
        assert!(backend("tensorrt").unwrap().decoder.contains("memory:CUDAMemory"));
        assert!(backend("cpu").unwrap().download.is_empty());
        assert!(backend("gpu").is_err());
    }

    #[test]
    fn paths_with_blanks_are_not_split() {
        let path = quoted(Path::new("/a b/c.mp4")).unwrap();
        let description = format!("filesrc location={path} ! fakesink");
        assert_eq!(words(&description), ["filesrc", "location=\"/a b/c.mp4\"", "!", "fakesink"]);
    }
}
