//! Results equal those of `backend=cpu`.

use crate::common::picture::{Colour, Picture, Square, Tolerance};
use crate::common::running::{Running, found_by, pull};
use crate::common::standin;
use crate::frames::{around, assert_same, numbered, objects, run, with_model};
use crate::on_gpu;
use gsttensorrt::meta::{self, Classification, Record};
use std::sync::Arc;

/// Tolerances of a GPU. Exponentials differ in their last bits, and the stand-in's FP16 is FP32; real FP16 has 11 bits: at
/// most 1/10 of a pixel of these pictures (measured on an H200: 3.3e-4 of the frame, and 2e-3 of a confidence).
pub fn near() -> Tolerance {
    match standin::is_this() {
        true => Tolerance { place: 1e-4, confidence: 1e-3 },
        false => Tolerance { place: 1e-3, confidence: 4e-3 },
    }
}

/// A picture that is resampled, with squares near its edges and across its centre.
fn wide() -> Picture {
    let squares = [(Colour::Red, 1, 2, 250), (Colour::Green, 10, 4, 200), (Colour::Blue, 5, 3, 180)];
    Picture::sized(384, 216, &squares.map(|(colour, x, y, level)| Square::new(colour, x, y, level)))
}

fn compare(element: &str, model: &str, more: &str) {
    for pictures in [numbered(6), vec![wide(); 2]] {
        let launch = |backend: &str| around(backend, &format!("{} {more}", with_model(element, backend, model)));
        let (cpu, gpu) = (objects(&launch("cpu"), &pictures), objects(&launch("tensorrt"), &pictures));
        assert_same(model, &cpu, &gpu, near());
    }
}

on_gpu! {
    fn detectors_find_what_the_cpu_finds() {
        let models = [
            "yolo", "yolo-f16", "yolo-u8", "yolo-nhwc", "yolo-nhwc-f16", "yolo-nhwc-u8", "yolo-batch1", "yolo-batch4",
            "yolo-dynamic", "yolo-coco", "yolo-e2e", "yolo-seg", "yolo-seg-e2e", "yolo-obb", "yolo-obb-e2e", "nanodet",
        ];
        for model in models {
            compare("trtdetect", model, "confidence=0.3");
        }
    }
}

on_gpu! {
    /// From GStreamer 1.26 on, pools can allocate and free their frames in a stream's order.
    fn detectors_find_the_same_in_memory_of_a_stream(GST_CUDA_ENABLE_STREAM_ORDERED_ALLOC = "1") {
        compare("trtdetect", "yolo", "confidence=0.3");
    }
}

on_gpu! {
    fn poses_are_what_the_cpu_finds() {
        for model in ["yolo-pose", "yolo-pose-e2e", "movenet", "movenet-multipose", "rtmo"] {
            compare("trtpose", model, "confidence=0.3");
        }
    }
}

on_gpu! {
    fn a_quantised_model_finds_what_the_cpu_finds() {
        let pictures = numbered(6);
        let cpu = objects(&around("cpu", &with_model("trtdetect", "cpu", "yolo-qdq")), &pictures);
        let int8 = with_model("trtdetect", "tensorrt", "yolo-qdq") + " precision=int8";
        let gpu = objects(&around("tensorrt", &int8), &pictures);
        assert_same("yolo-qdq", &cpu, &gpu, Tolerance { place: 1e-4, confidence: 1e-2 });
    }
}

on_gpu! {
    /// Thresholds, filters, sizes and regions belong to each frame.
    fn settings_of_the_frame_are_those_of_the_cpu() {
        for more in [
            "confidence=0.9",
            "class-confidence=red=0.95",
            "classes=green,blue",
            "max-detections=1",
            "min-size=9x9",
            "max-size=7x0",
            "roi=0,0,0.5,1",
            "roi=0,0,0.5,1;0.5,0,0.5,1",
            "iou=0.99",
            "class-agnostic-nms=true",
        ] {
            let launch = |backend: &str| around(backend, &format!("{} {more}", with_model("trtdetect", backend, "yolo")));
            let pictures = numbered(12);
            let (cpu, gpu) = (objects(&launch("cpu"), &pictures), objects(&launch("tensorrt"), &pictures));
            assert_eq!(cpu.iter().map(Vec::len).collect::<Vec<_>>(), gpu.iter().map(Vec::len).collect::<Vec<_>>(), "{more}");
            if cpu.iter().any(|found| !found.is_empty()) {
                assert_same(more, &cpu, &gpu, near());
            }
        }
    }
}

on_gpu! {
    /// One tensor for detection and pose, created on the device.
    fn a_shared_tensor_gives_the_same() {
        let chain = |backend: &str| {
            let detect = with_model("trtdetect", backend, "yolo-coco");
            around(backend, &format!("trtpreprocess backend={backend} ! {detect}"))
        };
        let pictures = numbered(9);
        let cpu = objects(&chain("cpu"), &pictures);
        let (buffers, running) = run(&chain("tensorrt"), &pictures);
        let gpu: Vec<_> = buffers.iter().map(|buffer| found_by(buffer, "d")).collect();
        assert_same("trtpreprocess", &cpu, &gpu, near());
        let stats = running.stats("d");
        assert_eq!((stats.get("tensors-shared"), stats.get("tensors-made")), (Ok(9u64), Ok(0u64)));
    }
}

on_gpu! {
    /// Each person that was found is processed separately.
    fn top_down_poses_are_what_the_cpu_finds() {
        let chain = |backend: &str| {
            let persons = with_model("trtdetect", backend, "yolo-coco").replace("name=d", "name=before");
            let pose = with_model("trtpose", backend, "movenet");
            let objects = "attach=new batch-size=4 inference-region=objects object-classes=person";
            around(backend, &format!("{persons} ! {pose} {objects}"))
        };
        let pictures = numbered(9);
        let (cpu, gpu) = (objects(&chain("cpu"), &pictures), objects(&chain("tensorrt"), &pictures));
        assert_same("movenet on persons", &cpu, &gpu, near());
    }
}

on_gpu! {
    /// Classes and vectors of each object, and of the whole frame; a model without metadata shows its scale when it first runs.
    fn classes_and_vectors_are_what_the_cpu_finds() {
        for (model, properties) in [
            ("classify", "resize=stretch top-k=2"),
            ("classify", "resize=crop top-k=3 inference-region=frame"),
            ("classify-logits", "resize=stretch head=classification-logits top-k=3"),
            ("classify-logits", "resize=stretch head=embedding"),
        ] {
            let chain = |backend: &str| {
                let objects = with_model("trtdetect", backend, "yolo-coco").replace("name=d", "name=before");
                let classify = with_model("trtclassify", backend, model);
                around(backend, &format!("{objects} ! {classify} {properties} confidence=0 batch-size=4"))
            };
            let found = |backend: &str| -> Vec<(Vec<Classification>, Vec<f32>)> {
                let (buffers, _running) = run(&chain(backend), &numbered(9));
                let records = buffers.iter().map(|buffer| meta::record(buffer).unwrap());
                let of = |record: Arc<Record>| {
                    let vectors = record.objects.iter().flat_map(|object| &object.embeddings);
                    let vectors = vectors.flat_map(|vector| vector.values.to_vec()).collect();
                    let classes = record.objects.iter().flat_map(|object| object.classifications.clone());
                    (classes.chain(record.classifications.clone()).collect(), vectors)
                };
                records.map(of).collect()
            };
            let (cpu, gpu) = (found("cpu"), found("tensorrt"));
            let what = format!("{model} {properties}");
            assert!(cpu.iter().any(|(classes, vectors)| classes.len() + vectors.len() >= 2), "{what}");
            for ((classes, vectors), (others, other_vectors)) in cpu.iter().zip(&gpu) {
                assert_eq!((classes.len(), vectors.len()), (others.len(), other_vectors.len()), "{what}");
                for class in classes {
                    // Colours that a picture hasn't are equally probable.
                    let near = |other: &&Classification| (class.confidence - other.confidence).abs() <= 0.02;
                    let same = others.iter().filter(|other| class.confidence < 0.4 || class.class_id == other.class_id);
                    assert!(same.clone().any(|other| near(&other)), "{what}: {class:?} isn't in {others:?}");
                }
                let near = vectors.iter().zip(other_vectors).all(|(a, b)| (a - b).abs() <= 0.02);
                assert!(near, "{what}: {vectors:?}, {other_vectors:?}");
            }
        }
    }
}

on_gpu! {
    /// A crop shows the cells around its person, and reaches beyond the frame in the corners.
    fn keypoints_in_crops_are_what_the_cpu_finds() {
        let pictures: Vec<_> = [(3, 4, 1, 1), (0, 0, 1, 1), (11, 7, -1, -1), (5, 2, 1, -1)]
            .into_iter()
            .map(|(column, row, dx, dy): (u32, u32, i32, i32)| {
                let (x, y) = (column.saturating_add_signed(dx), row.saturating_add_signed(dy));
                let squares =
                    [(Colour::Red, column, row, 250), (Colour::Blue, x, y, 230), (Colour::Green, x, row, 200)];
                Picture::sized(288, 192, &squares.map(|(colour, x, y, level)| Square::new(colour, x, y, level)))
            })
            .collect();
        for (model, head) in
            [("simcc", "auto"), ("heatmaps", "heatmap"), ("heatmaps", "heatmap-dark"), ("vitpose", "auto")]
        {
            let chain = |backend: &str| {
                let persons = with_model("trtdetect", backend, "yolo-coco").replace("name=d", "name=before");
                let pose = with_model("trtpose", backend, model);
                let objects = "attach=new batch-size=4 inference-region=objects object-classes=person";
                around(backend, &format!("{persons} ! {pose} head={head} {objects}"))
            };
            let (cpu, gpu) = (objects(&chain("cpu"), &pictures), objects(&chain("tensorrt"), &pictures));
            assert!(cpu.iter().all(|found| found.len() == 1 && found[0].keypoints.len() == 3), "{model}: {cpu:?}");
            assert_same(&format!("{model} head={head}"), &cpu, &gpu, near());
        }
    }
}

/// The name and values of the single output on a buffer.
fn raw_output(buffer: &gst::Buffer) -> (String, Vec<f32>) {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, "TrtOutputTensors").unwrap();
    let tensors = meta.structure().get::<gst::Array>("tensors").unwrap();
    let [tensor] = tensors.as_slice() else { panic!("{} outputs", tensors.len()) };
    let tensor = tensor.get::<gst::Structure>().unwrap();
    let bytes = tensor.get::<gst::glib::Bytes>("data").unwrap();
    (tensor.get("name").unwrap(), bytes.as_chunks().0.iter().map(|b| f32::from_ne_bytes(*b)).collect())
}

on_gpu! {
    /// Raw outputs are downloaded and counted; apart from them only the results are.
    fn raw_outputs_are_the_cpus_and_their_bytes_are_counted() {
        let tensors = |backend: &str| {
            let detect = with_model("trtdetect", backend, "yolo") + " precision=PRECISION output-tensors=true";
            let precision = if backend == "cpu" { "auto" } else { "fp32" };
            let (buffers, running) = run(&around(backend, &detect.replace("PRECISION", precision)), &numbered(3));
            let outputs: Vec<_> = buffers.iter().map(raw_output).collect();
            let to_host = running.stats("d").get::<u64>("service-bytes-to-host").ok();
            (outputs, to_host)
        };
        let ((cpu, none), (gpu, to_host)) = (tensors("cpu"), tensors("tensorrt"));
        assert_eq!(none, None);
        assert_eq!((cpu.len(), gpu.len()), (3, 3));
        for ((name, cpu), (other, gpu)) in cpu.iter().zip(&gpu) {
            let near = cpu.iter().zip(gpu).all(|(a, b)| (a - b).abs() <= 1e-3 * a.abs().max(1.0));
            assert!(near && (name, cpu.len()) == (other, gpu.len()) && cpu.len() == 7 * 126);
        }
        // [7, 126] of f32 per frame, and some objects.
        let raw = 3 * 7 * 126 * 4;
        let to_host = to_host.unwrap();
        assert!(to_host > raw && to_host < raw + 3 * 1024, "{to_host}");
    }
}

on_gpu! {
    /// Without raw outputs only the results cross the bus.
    fn few_bytes_cross_the_bus() {
        let (_, running) = run(&around("tensorrt", &with_model("trtdetect", "tensorrt", "yolo")), &numbered(10));
        let stats = running.stats("d");
        let (to_device, to_host): (u64, u64) =
            (stats.get("service-bytes-to-device").unwrap(), stats.get("service-bytes-to-host").unwrap());
        assert!((1..10 * 512).contains(&to_host), "{stats}");
        assert!((1..10 * 1024).contains(&to_device), "{stats}");
    }
}

on_gpu! {
    /// Streams of two pipelines share batches, and each gets its own results.
    fn streams_share_a_service_and_its_batches() {
        // This doesn't test the rounding of whichever kernel TensorRT chooses.
        let detect = with_model("trtdetect", "tensorrt", "slow").replace("name=d", "precision=fp32");
        let stream = |k: usize| {
            format!(
                "appsrc name=in{k} format=time ! cudaupload ! {detect} name=d{k} batch-size=6 max-in-flight=8 ! \
                 appsink name=out{k} sync=false "
            )
        };
        let running: Vec<Running> =
            [[0, 1], [2, 3]].map(|pair| Running::playing(&pair.map(stream).concat())).into_iter().collect();
        let pipeline = |k: usize| &running[k / 2];
        const FRAMES: usize = 12;
        // Each stream has different pictures.
        let shown = |k: usize, n: usize| Picture::numbered(7 * k + n);
        for k in 0..4 {
            let source = pipeline(k).source(&format!("in{k}"));
            source.set_caps(Some(&crate::common::running::caps(&shown(0, 0), gst_video::VideoFormat::Rgba)));
            for n in 0..FRAMES {
                source.push_buffer(crate::common::running::frame(&shown(k, n), gst_video::VideoFormat::Rgba, n)).unwrap();
            }
            source.end_of_stream().unwrap();
        }
        for k in 0..4 {
            let sink = pipeline(k).sink(&format!("out{k}"));
            for n in 0..FRAMES {
                let buffer = pull(&sink).expect("a frame");
                let wanted = shown(k, n).detections();
                let found = found_by(&buffer, &format!("d{k}"));
                crate::common::picture::assert_found(&format!("stream {k}, frame {n}"), &found, &wanted, Tolerance::EXACT);
            }
        }
        let stats = pipeline(0).stats("d0");
        let (fill, graphs): (f64, u32) = (stats.get("batch-fill").unwrap(), stats.get("graphs").unwrap());
        assert!(fill > 1.5, "{stats}");
        assert_eq!(graphs, 2 * 5, "1, 2, 3, 4, 6 on two lanes");
        let service = |k: usize| pipeline(k).stats(&format!("d{k}")).get::<String>("service").unwrap();
        assert!((1..4).all(|k| service(k) == service(0)));
    }
}
