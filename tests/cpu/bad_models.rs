//! Wrong, truncated, mislabelled and foreign models are errors that name the file and say what is missing: none crashes,
//! hangs or gives boxes.

use crate::common::bad_models::{self, Bad};
use crate::common::find;
use crate::common::picture::{Colour, Picture, Square};
use crate::common::pipeline::Pipeline;
use gst_video::VideoFormat;
use std::path::Path;

/// The message that a model is refused with.
fn message(Bad { file, properties, .. }: &Bad) -> Result<String, String> {
    let pipeline = Pipeline::new(&format!(
        "appsrc name=source format=time ! trtdetect name=detect backend=cpu model=\"{}\" {properties} \
         ! trtpublish location=LINES ! fakesink",
        file.display()
    ));
    let squares = [Square::new(Colour::Red, 2, 2, 255), Square::new(Colour::Blue, 7, 4, 220)];
    pipeline.push(0, Picture::new(&squares).rgb().frame(VideoFormat::Rgb));
    match pipeline.finish() {
        Err(failure) if failure.element == "detect" => Ok(failure.message),
        Err(failure) => Err(format!("another element fails: {failure:?}")),
        Ok(lines) => Err(format!("it's taken: {}", lines[0]["objects"])),
    }
}

/// Says of every model what is wrong at once.
fn judge(folder: &Path, message: impl Fn(&Bad) -> Result<String, String>) {
    let all = bad_models::all(folder);
    assert!(all.len() >= 40, "{}", all.len());
    let mut wrong = Vec::new();
    for bad in &all {
        let name = bad.file.file_name().unwrap().to_str().unwrap();
        match message(bad) {
            Err(what) => wrong.push(format!("{name}: {what}")),
            Ok(text) => {
                println!("{text}");
                let lacks: Vec<_> =
                    [&[name], bad.words].concat().into_iter().filter(|word| !text.contains(word)).collect();
                if !lacks.is_empty() {
                    wrong.push(format!("{name}: no {lacks:?} in: {text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn a_pipeline_refuses_each() {
    if !find::onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    judge(folder.path(), message);
}
