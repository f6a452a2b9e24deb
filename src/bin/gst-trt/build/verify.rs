//! `gst-trt build --verify` and `--mixed`

use super::Builder;
use crate::reading::ReadingArguments;
use gsttensorrt::error::{Error, ErrorKind};
use gsttensorrt::gst_cuda::SharedContext;
use gsttensorrt::infer::Backend;
use gsttensorrt::verify::{Comparison, Reference, Request};
use model::head::ModelChoice;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tensorrt::{
    BuildSettings, CachedEngine, Cancel, EnginePrecision, Group, Onnx, OnnxNode, Verification, fp32_list,
    write_fp32_list, write_record,
};

#[derive(clap::Args)]
#[command(mut_group("reading", |reading| reading.requires("verify").conflicts_with("config")))]
pub struct VerifyArguments {
    /// Compares the engine with the FP32 model on the frames of a clip, or on the pictures of a folder; needs ONNX Runtime.
    #[arg(long, value_name = "CLIP|FOLDER")]
    verify: Option<PathBuf>,
    /// The share of objects that has to agree, 0 to 1.
    #[arg(long, default_value_t = 0.99, requires = "verify", value_parser = share)]
    agree: f64,
    /// Finds by bisection what has to stay FP32 for that, and builds it.
    #[arg(long, requires = "verify")]
    mixed: bool,
    /// Most frames to compare, spread over the clip or folder.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "verify", value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// The confidence from which objects are compared.
    #[arg(long, default_value_t = 0.25, requires = "verify", value_parser = confidence)]
    confidence: f32,
    #[command(flatten)]
    reading: ReadingArguments,
    /// cpu: builds no engine, but compares the model converted to FP16, whose arithmetic is simulated on the CPU.
    #[arg(long, default_value = "tensorrt", conflicts_with_all = ["config", "output"], value_parser = crate::bench::backend)]
    pub backend: Backend,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "0 to 1".into())
}

fn confidence(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "0 to 1".into())
}

impl VerifyArguments {
    /// What the command line says about the models.
    pub fn choice(&self) -> Result<ModelChoice, Error> {
        let wrong = |text: String| Error::new(ErrorKind::Setting, text);
        if self.backend == Backend::Cpu && self.verify.is_none() {
            return Err(wrong("--backend cpu builds nothing: say on which frames to compare (--verify)".into()));
        }
        self.reading.choice()
    }

    fn request(&self, model: &Path, choice: ModelChoice, cancel: &Cancel) -> Option<Request> {
        Some(Request {
            model: model.into(),
            choice,
            source: self.verify.clone()?,
            frames: self.frames as usize,
            confidence: self.confidence,
            required: self.agree,
            cancel: Cancel::clone(cancel),
        })
    }

    /// Runs the FP32 model, if an engine is to be verified.
    pub fn begin(
        &self,
        builder: &Builder,
        model: &Path,
        settings: &BuildSettings,
        choice: ModelChoice,
    ) -> Result<Option<Verifying>, Error> {
        let Some(request) = self.request(model, choice, &builder.cancel) else { return Ok(None) };
        let wrong = |text: &str| Err(Error::new(ErrorKind::Setting, text));
        let Some(device) = &builder.device else {
            return wrong(
                "--verify runs the engine, and its GPU isn't in this machine: leave out --compute-capability",
            );
        };
        if self.mixed && settings.precision != EnginePrecision::Fp16 {
            return wrong("--mixed finds what of an FP16 engine has to stay FP32: it needs --precision fp16");
        }
        if self.mixed && builder.library.group() == Group::V8 {
            return wrong("--mixed needs TensorRT 10 or later; with TensorRT 8 build in FP32 (--precision fp32)");
        }
        let shared = SharedContext::own(device.id)?;
        Ok(Some(Verifying { reference: Reference::new(request)?, shared, model: model.into(), mixed: self.mixed }))
    }

    /// Compares a model's FP16 form on the CPU. Returns whether it agrees.
    pub fn simulate(&self, model: &Path, choice: ModelChoice, cancel: &Cancel) -> Result<bool, Error> {
        let Some(request) = self.request(model, choice, cancel) else { return Ok(true) };
        let onnx = Onnx::open(model)?;
        let reference = Reference::new(request)?;
        let kept = onnx.fp32_nodes()?;
        let mut result = reference.compare_simulated(&onnx, &kept)?.result();
        print(model, &result);
        if !result.passes() && self.mixed {
            let nodes = find(&reference, &onnx, |more| reference.compare_simulated(&onnx, &(&kept | more)))?;
            keep(model, &nodes, &result)?;
            result = reference.compare_simulated(&onnx, &onnx.fp32_nodes()?)?.result();
            print(model, &result);
        }
        Ok(passes(model, &result))
    }
}

/// An engine's verification, whose FP32 side is done.
pub struct Verifying {
    reference: Reference,
    shared: SharedContext,
    model: PathBuf,
    mixed: bool,
}

impl Verifying {
    /// Compares an engine, which `--mixed` may replace by another one. Returns whether it agrees; its record says how far.
    pub fn of(
        &mut self,
        builder: &Builder,
        settings: &BuildSettings,
        engine: &mut CachedEngine,
    ) -> Result<bool, Error> {
        let mut result = self.compare(engine)?;
        if !result.passes() && self.mixed {
            let onnx = Onnx::open(&self.model)?;
            let nodes = find(&self.reference, &onnx, |more| {
                let trial =
                    builder.cached(&self.model, &BuildSettings { fp32_nodes: more.clone(), ..settings.clone() })?;
                let compared = self.reference.compare_engine(&trial.path, &self.shared);
                if trial.built {
                    builder.cache.remove(&trial.path)?;
                }
                compared
            })?;
            keep(&self.model, &nodes, &result)?;
            *engine = builder.engine(&self.model, settings)?;
            result = self.compare(engine)?;
        }
        Ok(passes(&self.model, &result))
    }

    fn compare(&self, engine: &mut CachedEngine) -> Result<Verification, Error> {
        let result = self.reference.compare_engine(&engine.path, &self.shared)?.result();
        print(&self.model, &result);
        engine.record.verified = Some(result.clone());
        write_record(&engine.path.with_extension("json"), &engine.record)?;
        Ok(result)
    }
}

/// Bisects, and says on stderr what it is at.
fn find(
    reference: &Reference,
    onnx: &Onnx,
    compare: impl Fn(&BTreeSet<String>) -> Result<Comparison, Error>,
) -> Result<Vec<OnnxNode>, Error> {
    let name = onnx.path().display();
    errln!("{name}: looking for what has to stay FP32");
    reference.mixed(onnx, |more| Ok(compare(more)?.share()), |trial| errln!("{name}: {trial}"))
}

/// Writes the list beside the model, and names what is in it.
fn keep(model: &Path, nodes: &[OnnxNode], before: &Verification) -> Result<(), Error> {
    let onnx = Onnx::open(model)?;
    let list = fp32_list(model);
    let names = nodes.iter().map(|node| node.output.clone()).collect();
    let about = format!(
        "Nodes that stay FP32 in FP16 engines, found by `gst-trt build --mixed`: without them {:.1} % of the objects in\n\
         {} agreed. Delete this file to build the model as if it weren't there.",
        100.0 * before.agreement,
        before.source.display()
    );
    write_fp32_list(model, &about, &(&onnx.listed_fp32_nodes()? | &names))?;
    outln!("{}: {} node(s) have to stay FP32, which {} lists:", model.display(), nodes.len(), list.display());
    nodes.iter().for_each(|node| outln!("  {node}"));
    Ok(())
}

/// Whether the engine agrees; if not, says so on stderr.
fn passes(model: &Path, result: &Verification) -> bool {
    if !result.passes() {
        errln!(
            "gst-trt: {}: {:.2} % of the objects agree with FP32, and {:.2} % have to (--agree): find what has to stay FP32 by \
             --mixed, or build it with --precision fp32",
            model.display(),
            100.0 * result.agreement,
            100.0 * result.required
        );
    }
    result.passes()
}

fn print(model: &Path, result: &Verification) {
    let Verification { source, frames, objects, agreement, classes, worst, .. } = result;
    let percent = 100.0 * agreement;
    outln!(
        "{}: {percent:.2} % of {objects} objects in {frames} frame(s) of {} agree with FP32",
        model.display(),
        source.display()
    );
    let width = classes.iter().map(|class| class.class.chars().count()).max().unwrap_or_default();
    for class in classes {
        outln!("  {:width$}  {:7} objects  {:6.2} %", class.class, class.objects, 100.0 * class.agreement);
    }
    if !worst.is_empty() {
        outln!("  the worst frames:");
        worst.iter().for_each(|frame| outln!("    {frame}"));
    }
}
