//! Files that are no models, models of something else, and models that are wrong: made when a test runs.

use super::onnx::proto::{
    Attribute, Dimension, EXTERNAL, Entry, Graph, Model, Node, OperatorSet, Shape, Tensor, TensorType, Type, ValueInfo,
    data_type,
};
use super::{exports, find};
use prost::Message;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A model that is refused.
pub struct Bad {
    pub file: PathBuf,
    /// The element's other properties.
    pub properties: &'static str,
    /// What the message has to say, besides the file's name.
    pub words: &'static [&'static str],
}

const FLOAT: i32 = data_type::FLOAT;

/// The test model `yolo`, changed.
fn yolo(change: impl FnOnce(&mut Model)) -> Vec<u8> {
    let mut model = Model::decode(std::fs::read(find::test_model("yolo")).unwrap().as_slice()).unwrap();
    change(&mut model);
    model.encode_to_vec()
}

fn graph(model: &mut Model) -> &mut Graph {
    model.graph.as_mut().unwrap()
}

fn export(name: &str) -> Vec<u8> {
    std::fs::read(exports::path(name)).unwrap()
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Node {
    let strings = |names: &[&str]| names.iter().map(|name| String::from(*name)).collect();
    Node { op_type: Some(op.into()), input: strings(inputs), output: strings(outputs), ..Node::default() }
}

fn value(name: &str, elem: i32, shape: Option<&[i64]>) -> ValueInfo {
    let dim = |size: &i64| Dimension { dim_value: Some(*size) };
    let shape = shape.map(|shape| Shape { dim: shape.iter().map(dim).collect() }.encode_to_vec().into());
    let tensor_type = Some(TensorType { elem_type: Some(elem), shape });
    ValueInfo { name: Some(name.into()), r#type: Some(Type { tensor_type, ..Type::default() }), ..ValueInfo::default() }
}

fn floats(name: &str, dims: &[i64], value: f32) -> Tensor {
    let count = dims.iter().product::<i64>() as usize;
    Tensor {
        name: Some(name.into()),
        dims: dims.into(),
        data_type: Some(FLOAT),
        float_data: vec![value; count],
        ..Tensor::default()
    }
}

fn model(inputs: Vec<ValueInfo>, nodes: Vec<Node>, outputs: Vec<ValueInfo>, initializer: Vec<Tensor>) -> Model {
    let graph =
        Graph { name: Some("g".into()), input: inputs, node: nodes, output: outputs, initializer, ..Graph::default() };
    Model {
        ir_version: Some(8),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: None, version: Some(17) }],
        ..Model::default()
    }
}

/// A model whose outputs are constants of these shapes, whatever the image.
fn constant(input: ValueInfo, outputs: &[(&str, &[i64], f32)]) -> Model {
    let name = input.name().to_owned();
    let mut nodes = vec![
        Node {
            attribute: vec![Attribute { name: Some("to".into()), i: Some(1), r#type: Some(2), ..Attribute::default() }],
            ..node("Cast", &[&name], &["float"])
        },
        Node {
            attribute: vec![Attribute {
                name: Some("keepdims".into()),
                i: Some(0),
                r#type: Some(2),
                ..Attribute::default()
            }],
            ..node("ReduceMean", &["float"], &["mean"])
        },
        node("Mul", &["mean", "zero"], &["none"]),
    ];
    let mut tensors = vec![floats("zero", &[], 0.0)];
    for (output, shape, filled) in outputs {
        let content = format!("{output}_content");
        nodes.push(node("Add", &[&content, "none"], &[output]));
        tensors.push(floats(&content, shape, *filled));
    }
    let outputs = outputs.iter().map(|(name, shape, _)| value(name, FLOAT, Some(shape))).collect();
    model(vec![input], nodes, outputs, tensors)
}

fn image() -> ValueInfo {
    value("images", FLOAT, Some(&[1, 3, 64, 96]))
}

fn of_input(elem: i32, shape: &[i64]) -> Vec<u8> {
    constant(value("images", elem, Some(shape)), &[("output0", &[1, 7, 126], 0.0)]).encode_to_vec()
}

fn of_outputs(outputs: &[(&str, &[i64], f32)]) -> Vec<u8> {
    constant(image(), outputs).encode_to_vec()
}

fn metadata(entries: &[(&str, &str)]) -> Vec<u8> {
    yolo(|model| {
        for (key, value) in entries {
            model.metadata_props.retain(|entry| entry.key() != *key);
            model.metadata_props.push(Entry { key: Some((*key).into()), value: Some((*value).into()) });
        }
    })
}

/// The weights of the convolution, in a file that isn't there or isn't whole.
fn elsewhere(location: &str, length: &str) -> Vec<u8> {
    yolo(|model| {
        let tensor = graph(model).initializer.iter_mut().find(|tensor| tensor.name() == super::onnx::KERNEL).unwrap();
        tensor.raw_data = None;
        tensor.data_location = Some(EXTERNAL);
        let entry = |key: &str, value: &str| Entry { key: Some(key.into()), value: Some(value.into()) };
        tensor.external_data = vec![entry("location", location), entry("length", length)];
    })
}

fn weights(value: f32) -> Vec<u8> {
    yolo(|model| {
        let tensor = graph(model).initializer.iter_mut().find(|tensor| tensor.name() == super::onnx::KERNEL).unwrap();
        let count = tensor.raw_data().len() / 4;
        tensor.raw_data = Some(value.to_le_bytes().repeat(count).into());
    })
}

/// Every file, in this folder.
pub fn all(folder: &Path) -> Vec<Bad> {
    let whole = std::fs::read(find::test_model("yolo")).unwrap();
    let half = whole.len() / 2;
    let gguf = [&b"GGUF\x03\0\0\0"[..], &[0; 64]].concat();
    let hdf5 = [&b"\x89HDF\r\n\x1a\n"[..], &[0; 64]].concat();
    let files: Vec<(&'static str, Vec<u8>, &'static str, &'static [&'static str])> = vec![
        // Files that are no models.
        ("empty", vec![], "", &["is empty"]),
        ("one-byte", vec![8], "", &["ONNX"]),
        ("cut-at-10", whole[..10].into(), "", &["can't load it", "complete"]),
        ("cut-in-half", whole[..half].into(), "", &["can't load it", "complete"]),
        ("cut-by-one", whole[..whole.len() - 1].into(), "", &["can't load it", "complete"]),
        ("zeros", vec![0; 4096], "", &["can't load it"]),
        ("picture", [&b"\x89PNG\r\n\x1a\n"[..], &[0; 99]].concat(), "", &["PNG", "not ONNX"]),
        ("photo", [&b"\xff\xd8\xff\xe0"[..], &[0; 99]].concat(), "", &["JPEG", "not ONNX"]),
        ("torch", [&b"PK\x03\x04"[..], &[0; 99]].concat(), "", &["zip file", "PyTorch"]),
        (
            "old-torch",
            [&b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."[..], &[0; 99]].concat(),
            "",
            &["pickle", "PyTorch"],
        ),
        ("gzip", [&b"\x1f\x8b\x08\0"[..], &[0; 99]].concat(), "", &["gzip", "unpack"]),
        ("page", b"<!DOCTYPE html><html><body>404</body></html>".to_vec(), "", &["web page"]),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n".to_vec(), "", &["Git LFS"]),
        ("lite", [&b"\x1c\0\0\0TFL3"[..], &[0; 99]].concat(), "", &["TensorFlow Lite"]),
        ("plan", [&b"ftrt"[..], &[0; 99]].concat(), "", &["TensorRT engine"]),
        ("keras", hdf5, "", &["HDF5", "not ONNX"]),
        ("language", gguf, "", &["GGUF", "not ONNX"]),
        ("xml", b"<?xml version=\"1.0\"?><net name=\"yolo\"></net>".to_vec(), "", &["XML", "not ONNX"]),
        ("json", b"{\"format\": \"graph-model\"}".to_vec(), "", &["JSON", "not ONNX"]),
        // Models that no runtime here can run.
        ("opset-99", yolo(|m| m.opset_import[0].version = Some(99)), "", &["opset 99"]),
        ("ir-99", yolo(|m| m.ir_version = Some(99)), "", &["IR version"]),
        ("no-opset", yolo(|m| m.opset_import.clear()), "", &["can't load it"]),
        ("no-graph", yolo(|m| m.graph = None), "", &["graph"]),
        ("weights-missing", elsewhere("gone.bin", "64"), "", &["gone.bin"]),
        ("weights-short", elsewhere("short.bin", "2304"), "", &["short.bin", "2304"]),
        ("weights-outside", elsewhere("../secret.bin", "64"), "", &["../secret.bin", "isn't in the model's folder"]),
        ("weights-size", yolo(|m| graph(m).initializer[0].dims.push(7)), "", &["can't load it"]),
        ("custom-op", yolo(|m| graph(m).node[0].domain = Some("com.example".into())), "", &["com.example"]),
        ("unknown-op", yolo(|m| graph(m).node[0].op_type = Some("Frobnicate".into())), "", &["Frobnicate"]),
        (
            "cycle",
            yolo(|m| {
                let last = m.graph.as_ref().unwrap().node.last().unwrap().output[0].clone();
                graph(m).node[0].input[0] = last;
            }),
            "",
            &["can't load it"],
        ),
        (
            "twice",
            yolo(|m| {
                let first = graph(m).node[0].clone();
                graph(m).node.push(first);
            }),
            "",
            &["can't load it"],
        ),
        ("no-branches", yolo(|m| graph(m).node[0].op_type = Some("If".into())), "", &["can't load it"]),
        ("no-outputs", yolo(|m| graph(m).output.clear()), "", &["output"]),
        // Models with other inputs.
        (
            "no-inputs",
            model(
                vec![],
                vec![node("Identity", &["c"], &["output0"])],
                vec![value("output0", FLOAT, Some(&[1, 7, 126]))],
                vec![floats("c", &[1, 7, 126], 0.0)],
            )
            .encode_to_vec(),
            "",
            &["input"],
        ),
        ("int8", of_input(3, &[1, 3, 64, 96]), "", &["images", "type i8"]),
        ("double", of_input(11, &[1, 3, 64, 96]), "", &["images", "type f64"]),
        ("grey", of_input(FLOAT, &[1, 1, 64, 96]), "", &["[1, 1, 64, 96]", "3"]),
        ("rgba", of_input(FLOAT, &[1, 4, 64, 96]), "", &["[1, 4, 64, 96]", "3"]),
        ("grey-nhwc", of_input(FLOAT, &[1, 64, 96, 1]), "", &["[1, 64, 96, 1]", "3"]),
        ("flat", of_input(FLOAT, &[1, 18432]), "", &["[1, 18432]"]),
        ("no-batch", of_input(FLOAT, &[3, 64, 96]), "", &["[3, 64, 96]"]),
        ("video", of_input(FLOAT, &[1, 3, 16, 64, 96]), "", &["[1, 3, 16, 64, 96]"]),
        ("no-rank", yolo(|m| graph(m).input[0] = value("images", FLOAT, None)), "", &["images"]),
        ("empty-image", of_input(FLOAT, &[1, 3, 0, 96]), "", &["images"]),
        ("no-images", of_input(FLOAT, &[0, 3, 64, 96]), "", &["images"]),
        ("huge", of_input(FLOAT, &[1, 3, 2_147_483_647, 2_147_483_647]), "", &["images", "2147483647"]),
        ("huge-batch", of_input(FLOAT, &[1 << 40, 3, 64, 96]), "", &["images", "1099511627776"]),
        // Models with other outputs.
        (
            "sequence",
            model(
                vec![image()],
                vec![node("SequenceConstruct", &["images"], &["list"])],
                vec![ValueInfo {
                    name: Some("list".into()),
                    r#type: Some(Type {
                        // `TypeProto.Sequence.elem_type`, a tensor of floats.
                        sequence_type: Some(vec![10, 4, 10, 2, 8, 1].into()),
                        ..Type::default()
                    }),
                    ..ValueInfo::default()
                }],
                vec![],
            )
            .encode_to_vec(),
            "",
            &["list", "isn't a tensor"],
        ),
        ("no-candidates", of_outputs(&[("output0", &[1, 7, 0], 0.0)]), "", &["[1, 7, 0]"]),
        ("scalar", of_outputs(&[("output0", &[], 0.0)]), "", &["output0"]),
        ("batch-first", of_outputs(&[("output0", &[7, 126, 1], 0.0)]), "", &["[7, 126, 1]"]),
        (
            "classes",
            of_outputs(&[("logits", &[1, 1000], 0.0)]),
            "",
            &["[1, 1000]", "head=classification-logits", "head=embedding"],
        ),
        (
            "segments",
            of_outputs(&[("output0", &[1, 116, 126], 0.0), ("output1", &[1, 120, 16, 24], 0.0)]),
            "",
            &["[1, 120, 16, 24]"],
        ),
        ("heatmaps", of_outputs(&[("heatmaps", &[1, 17, 64, 48], 0.0)]), "", &["[1, 17, 64, 48]"]),
        ("yolox-strides", of_outputs(&[("output", &[1, 100, 85], 0.5)]), "head=yolox", &["100"]),
        (
            "language-model",
            model(
                vec![value("input_ids", 7, Some(&[1, 8])), value("attention_mask", 7, Some(&[1, 8]))],
                vec![Node {
                    attribute: vec![Attribute {
                        name: Some("to".into()),
                        i: Some(1),
                        r#type: Some(2),
                        ..Attribute::default()
                    }],
                    ..node("Cast", &["input_ids"], &["logits"])
                }],
                vec![value("logits", FLOAT, Some(&[1, 8]))],
                vec![],
            )
            .encode_to_vec(),
            "",
            &["input_ids", "attention_mask"],
        ),
        ("nan", weights(f32::NAN), "", &["output0", "numbers"]),
        ("infinite", weights(f32::INFINITY), "", &["output0"]),
        // Models that are said to be what they aren't.
        ("of-task", metadata(&[("task", "classify")]), "", &["classify"]),
        ("of-no-task", metadata(&[("task", "juggle")]), "", &["juggle"]),
        ("of-names", metadata(&[("names", "{0: 'red', 1: 'green'}")]), "", &["2", "3"]),
        ("of-size", metadata(&[("imgsz", "[640, 640]")]), "", &["imgsz", "640", "64"]),
        ("rt-detr", export("rt-detr"), "", &["head=rt-detr", "head=d-fine"]),
        ("logits", export("detr-sigmoid"), "", &["head=detr-sigmoid", "head=detr-softmax"]),
        (
            "swapped",
            {
                let mut model = Model::decode(export("rf-detr").as_slice()).unwrap();
                let names = ["dets", "labels"];
                let swap = |name: &mut String| {
                    if let Some(at) = names.iter().position(|known| known == name) {
                        *name = names[1 - at].into();
                    }
                };
                let graph = graph(&mut model);
                graph.node.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output)).for_each(swap);
                graph.output.iter_mut().for_each(|info| swap(info.name.as_mut().unwrap()));
                model.encode_to_vec()
            },
            "",
            &["dets", "labels"],
        ),
        // Good models with bad files beside them.
        ("info-garbage", whole.clone(), "", &["info-garbage.onnx.modelinfo", "line 1"]),
        ("info-version", whole.clone(), "", &["info-version.onnx.modelinfo", "version"]),
        ("info-types", whole.clone(), "", &["model info file", "type float32"]),
        ("info-dims", whole.clone(), "", &["model info file", "[-1, 3, 64, 96]"]),
    ];
    std::fs::write(folder.join("short.bin"), [0; 64]).unwrap();
    let info = |kind: &str, dims: &str| {
        format!(
            "[modelinfo]\nversion=1.0\n[images]\nid=images\ntype={kind}\ndims={dims}\ndir=input\n\
             [output0]\nid=yolo-v8-out\ntype=float32\ndims=-1,7,126\ndir=output\n"
        )
    };
    for (name, text) in [
        ("garbage", "not an ini file".to_owned()),
        ("version", "[modelinfo]\nversion=9.0\n".to_owned()),
        ("types", info("uint8", "-1,3,64,96")),
        ("dims", info("float32", "-1,3,640,640")),
    ] {
        std::fs::write(folder.join(format!("info-{name}.onnx.modelinfo")), text).unwrap();
    }
    let mut bad: Vec<Bad> = files
        .into_iter()
        .map(|(name, content, properties, words)| {
            let file = folder.join(format!("{name}.onnx"));
            std::fs::write(&file, content).unwrap();
            Bad { file, properties, words }
        })
        .collect();
    let mut special = |name: &str, words: &'static [&'static str], make: &dyn Fn(&Path)| {
        let file = folder.join(name);
        make(&file);
        bad.push(Bad { file, properties: "", words });
    };
    special("missing.onnx", &["No such file"], &|_| ());
    special("folder.onnx", &["folder"], &|file| std::fs::create_dir(file).unwrap());
    special("pipe.onnx", &["isn't a file"], &|file| {
        let name = CString::new(file.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name is a C string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    });
    special("device.onnx", &["isn't a file"], &|file| std::os::unix::fs::symlink("/dev/zero", file).unwrap());
    special("dangling.onnx", &["No such file"], &|file| std::os::unix::fs::symlink("nowhere", file).unwrap());
    special("loop.onnx", &["symbolic links"], &|file| std::os::unix::fs::symlink("loop.onnx", file).unwrap());
    special("größe 模型.onnx", &["is empty"], &|file| std::fs::write(file, b"").unwrap());
    special("yolo.engine", &["backend=tensorrt"], &|file| std::fs::write(file, b"ftrt").unwrap());
    // SAFETY: this only asks.
    if unsafe { libc::geteuid() } != 0 {
        use std::os::unix::fs::PermissionsExt;
        special("secret.onnx", &["ermission denied"], &|file| {
            std::fs::write(file, b"secret").unwrap();
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o000)).unwrap();
        });
    }
    bad
}
