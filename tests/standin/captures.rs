//! Work that a capture accepts, calls that end it, and the work of its graph.

use super::probe::{COUNT, Mode, Probe};
use cuda::Error;
use cuda::{CudaStream, DeviceBuffer, Event, MappedBuffer};
use cudarc::driver::sys::{self, CUresult, CUstreamCaptureMode, CUstreamCaptureStatus};

use CUresult::*;

const THREAD_LOCAL: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;

/// The result of `work` within a capture, and of ending the capture.
fn in_capture(probe: &Probe, work: impl FnOnce(&CudaStream) -> CUresult) -> (CUresult, CUresult) {
    let _current = probe.context.enter().unwrap();
    let stream = probe.stream.handle().cast();
    let mut graph = std::ptr::null_mut();
    // SAFETY: a live stream of the current context.
    unsafe {
        sys::cuStreamBeginCapture_v2(stream, THREAD_LOCAL).result().unwrap();
        let said = work(&probe.stream);
        let ended = sys::cuStreamEndCapture(stream, &mut graph);
        assert_eq!(graph.is_null(), ended != CUDA_SUCCESS, "a graph only if it went well");
        if !graph.is_null() {
            sys::cuGraphDestroy(graph).result().unwrap();
        }
        (said, ended)
    }
}

#[test]
#[ignore = "for the test of main.rs"]
fn rules() {
    let probe = Probe::new();
    let own = probe.stream.handle().cast();
    let (before, inside) = (Event::new(&probe.context).unwrap(), Event::new(&probe.context).unwrap());
    before.record(&probe.stream).unwrap();
    let aside = CudaStream::new(&probe.context).unwrap();
    let invalid = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    let unsupported = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    let mut byte = [0u8];
    let (byte, address) = (byte.as_mut_ptr(), probe.memory.address());
    let raw = |outcome: Result<(), Error>| if outcome.is_ok() { CUDA_SUCCESS } else { CUDA_ERROR_UNKNOWN };

    assert_eq!(in_capture(&probe, |_| probe.launch(Mode::Add)), (CUDA_SUCCESS, CUDA_SUCCESS));
    // SAFETY: live handles and a real byte; the invalid calls are the subject of the test.
    unsafe {
        assert_eq!(in_capture(&probe, |_| sys::cuStreamSynchronize(own)), (unsupported, invalid));
        assert_eq!(in_capture(&probe, |_| sys::cuStreamQuery(own)), (unsupported, invalid));
        assert_eq!(in_capture(&probe, |_| sys::cuCtxSynchronize()), (unsupported, invalid));
        let mut place = 0;
        assert_eq!(in_capture(&probe, |_| sys::cuMemAlloc_v2(&mut place, 16)), (unsupported, invalid));
        assert_eq!(in_capture(&probe, |_| sys::cuMemcpyHtoD_v2(address, byte.cast(), 1)), (unsupported, invalid));
        let pageable = |_: &CudaStream| sys::cuMemcpyHtoDAsync_v2(address, byte.cast(), 1, own);
        assert_eq!(in_capture(&probe, pageable), (unsupported, invalid), "pageable memory");
        let wait = |_: &CudaStream| raw(probe.stream.wait(&before));
        assert_eq!(in_capture(&probe, wait), (CUDA_ERROR_UNKNOWN, invalid), "an event from outside");
        let ask = |stream: &CudaStream| {
            inside.record(stream).unwrap();
            raw(inside.synchronise())
        };
        assert_eq!(in_capture(&probe, ask), (CUDA_ERROR_UNKNOWN, invalid), "an event from inside");
        // A stream that joins, and rejoins the origin or not.
        let fork = |stream: &CudaStream| {
            inside.record(stream).unwrap();
            aside.wait(&inside).unwrap();
            probe.launch_at(Mode::Add, address, &aside)
        };
        assert_eq!(in_capture(&probe, fork), (CUDA_SUCCESS, CUDA_ERROR_STREAM_CAPTURE_UNJOINED));
        let fork_and_join = |stream: &CudaStream| {
            let said = fork(stream);
            inside.record(&aside).unwrap();
            stream.wait(&inside).unwrap();
            said
        };
        assert_eq!(in_capture(&probe, fork_and_join), (CUDA_SUCCESS, CUDA_SUCCESS));
        let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE;
        sys::cuStreamIsCapturing(aside.handle().cast(), &mut status).result().unwrap();
        assert_eq!(status, CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE, "over for all");
        // Another thread may continue the capture, but not end it.
        let elsewhere = |_: &CudaStream| {
            let (context, stream) = (&probe.context, own as usize);
            std::thread::scope(|scope| {
                let there = scope.spawn(move || {
                    let _current = context.enter().unwrap();
                    assert!(DeviceBuffer::new(context, 16).is_ok());
                    let mut graph = std::ptr::null_mut();
                    sys::cuStreamEndCapture(stream as sys::CUstream, &mut graph)
                });
                there.join().unwrap()
            })
        };
        assert_eq!(in_capture(&probe, elsewhere), (CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, invalid));
        let _current = probe.context.enter().unwrap();
        let none = std::ptr::null_mut();
        assert_eq!(sys::cuStreamBeginCapture_v2(none, THREAD_LOCAL), unsupported, "the default stream");
        let mut graph = std::ptr::null_mut();
        assert_eq!(sys::cuStreamEndCapture(own, &mut graph), CUDA_ERROR_INVALID_VALUE, "not begun");
        assert_eq!(sys::cuGraphLaunch(0x1000 as sys::CUgraphExec, own), CUDA_ERROR_INVALID_HANDLE);
    }
    assert!(probe.run(Mode::Add).is_ok(), "the stream works after all of it");
}

/// Captured work doesn't run at once; a graph reads the current memory at each launch.
#[test]
#[ignore = "for the test of main.rs"]
fn launches() {
    let probe = Probe::new();
    let mut table = MappedBuffer::new(&probe.context, 4).unwrap();
    let mut target = DeviceBuffer::new(&probe.context, 4).unwrap();
    target.fill(0, &probe.stream).unwrap();
    let mut graph = probe
        .stream
        .capture(|| {
            let stream = probe.stream.handle().cast();
            assert_eq!(probe.launch(Mode::Add), CUDA_SUCCESS);
            // SAFETY: both sides have four bytes, and outlive the graph.
            let copied = unsafe { sys::cuMemcpyDtoDAsync_v2(target.address(), table.address(), 4, stream) };
            assert_eq!(copied, CUDA_SUCCESS);
            Ok(())
        })
        .and_then(|captured| captured.instantiate())
        .unwrap();
    let read = |buffer: &DeviceBuffer| {
        let mut number = [0u32];
        buffer.download(&mut number, &probe.stream).unwrap();
        number[0]
    };
    assert_eq!(read(&target), 0, "captured, not run");
    for number in [7u32, 8, 9] {
        table.write(0, &[number]).unwrap();
        // SAFETY: the buffers are alive.
        unsafe { graph.launch(&probe.stream).unwrap() };
        assert_eq!(read(&target), number);
    }
    let mut numbers = vec![0u32; COUNT];
    probe.memory.download(&mut numbers, &probe.stream).unwrap();
    assert!(numbers.iter().zip(0u32..).all(|(number, index)| *number == 3 * index + 3 * index), "added three times");
}
