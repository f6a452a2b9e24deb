//! Ways of launching that no available TensorRT needs: without graphs, and with one context for every batch size.

use crate::common::engine;
use crate::common::find::test_model;
use crate::common::picture::{Picture, Tolerance, assert_found};
use crate::common::running::{Running, found_by};
use crate::frames::{around, numbered, run, with_model};
use crate::on_gpu;
use cuda::{CudaStream, Device, DeviceBuffer, Event, Kernels, SlotResult};
use gst_video::VideoFormat;
use gsttensorrt::cpu;
use gsttensorrt::gpu::{Chain, ChainOutput, ChainSpec, ReadyTensor};
use gsttensorrt::gst_cuda::SharedContext;
use gsttensorrt::infer::Tensor;
use model::{Params, Rect};
use std::sync::Arc;
use tensorrt::{BuildControl, BuildSettings, EngineCache, Library, Loader};

on_gpu! {
    /// The second enqueue is the captured one: this batch size is then launched step by step.
    fn what_cannot_be_captured_is_launched_step_by_step(STANDIN_FAIL = "enqueue=2:999") {
        let pictures = numbered(8);
        let (buffers, running) = run(&around("tensorrt", &with_model("trtdetect", "tensorrt", "yolo")), &pictures);
        for (n, buffer) in buffers.iter().enumerate() {
            assert_found(&format!("frame {n}"), &found_by(buffer, "d"), &pictures[n].detections(), Tolerance::EXACT);
        }
        assert_eq!(graphs(&running), 1, "the other lane's");
    }
}

fn graphs(running: &Running) -> u32 {
    running.stats("d").get("graphs").unwrap()
}

on_gpu! {
    /// As for TensorRT 8.5: one context, whose shape is set for each batch.
    fn one_context_serves_every_batch() {
        let (library, shared) = (Library::open(None).unwrap(), SharedContext::own(0).unwrap());
        let context = shared.context();
        let _current = context.enter().unwrap();
        let gpu = Device::open(0).unwrap().facts;
        let (model, cpu) = (test_model("yolo"), engine::open(&test_model("yolo"), 1));
        let settings = BuildSettings { batch_size: 4, ..BuildSettings::for_gpu(Some(&gpu)) };
        let cache = EngineCache::new(EngineCache::default_folder(), u64::MAX);
        let loader = Loader { library, gpu: Some(&gpu), cache: &cache, settings: &settings, allocator: None };
        let engine = loader.load(&model, None, &BuildControl::default()).unwrap().engine;

        let (spec, head) = (cpu.input().clone(), cpu.head().clone());
        let [input, output] = engine.tensors() else { panic!("{:?}", engine.tensors()) };
        let element = model::ElementType::F32;
        let outputs = [ChainOutput { name: output.name.clone(), element, shape: vec![7, 126] }];
        let chain_spec = ChainSpec {
            input: &spec,
            input_name: &input.name,
            constants: &[],
            outputs: &outputs,
            plan: &head.plan().unwrap(),
            classes: head.classes(),
            masks: head.masks(),
            needs_nms: head.needs_nms(),
            batch: (1, 4),
            scratch: engine.device_memory() as usize,
        };
        let mut chain = Chain::new(context, &Kernels::of(context).unwrap(), &chain_spec).unwrap();
        let shape = |batch: usize| vec![batch as i64, 3, i64::from(spec.height), i64::from(spec.width)];
        chain.add_reshaped(engine.create_context().unwrap(), 0, &shape(4)).unwrap();
        assert_eq!(chain.graphs(), 0);

        let stream = CudaStream::new(context).unwrap();
        let size = (96, 64);
        let region = Rect::new(0.0, 0.0, 96.0, 64.0);
        let mut found = SlotResult::default();
        for batch in [4, 1, 3, 2, 4] {
            for slot in 0..batch {
                let frame = Picture::numbered(10 * batch + slot).rgb().frame(VideoFormat::Rgb);
                let mut data = Vec::new();
                cpu::preprocess_frame(&frame, region, &spec, &mut data).unwrap();
                let mut buffer = DeviceBuffer::new(context, data.len()).unwrap();
                buffer.upload(&data, &stream).unwrap();
                let ready = Event::new(context).unwrap();
                ready.record(&stream).unwrap();
                let data = ReadyTensor { buffer, ready }.into();
                let tensor = Arc::new(Tensor { spec: spec.clone(), region, data });
                assert!(chain.show_tensor(slot, &tensor, size, &Params::default()).unwrap());
            }
            assert_eq!(chain.run(batch, shape).unwrap(), batch);
            for slot in 0..batch {
                chain.results(slot, &mut found).unwrap();
                let wanted = Picture::numbered(10 * batch + slot).detections();
                assert_found(&format!("{slot} of {batch}"), &found.detections, &wanted, Tolerance::EXACT);
            }
        }
        assert!(chain.run(5, shape).is_err(), "more than it was made for");
    }
}
