//! Streams, events, memory, contexts, and sticky errors.

use super::probe::{Mode, Probe, is};
use cuda::ErrorKind;
use cuda::{Context, CudaStream, DeviceBuffer, Event, MappedBuffer};
use cudarc::driver::sys::{self, CUdeviceptr, CUresult};
use std::sync::Arc;

use CUresult::*;

/// Slow work: `STANDIN_DELAY` before each piece.
fn keep_busy(context: &Arc<Context>, stream: &CudaStream) -> DeviceBuffer {
    let mut other = DeviceBuffer::new(context, 64).unwrap();
    (0..10).for_each(|value| other.fill(value, stream).unwrap());
    other
}

fn first_byte(buffer: &DeviceBuffer, stream: &CudaStream) -> u8 {
    let mut byte = [0u8];
    buffer.download(&mut byte, stream).unwrap();
    byte[0]
}

#[test]
#[ignore = "for the test of main.rs"]
fn streams() {
    let context = Context::create(0).unwrap();
    let [first, second] = [(); 2].map(|()| CudaStream::new(&context).unwrap());
    let mut buffer = DeviceBuffer::new(&context, 64).unwrap();
    assert_eq!(first_byte(&buffer, &first), 0xff, "fresh memory isn't zero");

    // Queued work runs later and in order; an event tells when.
    let event = Event::timed(&context).unwrap();
    let _other = keep_busy(&context, &first);
    buffer.fill(1, &first).unwrap();
    buffer.fill(2, &first).unwrap();
    event.record(&first).unwrap();
    assert!(!event.is_reached().unwrap());
    assert_eq!(first_byte(&buffer, &second), 0xff, "nothing orders the streams");
    event.synchronise().unwrap();
    assert!(event.is_reached().unwrap());
    assert_eq!(first_byte(&buffer, &second), 2);

    // A stream that waits for the event sees the results of earlier work.
    let _other = keep_busy(&context, &first);
    buffer.fill(3, &first).unwrap();
    let later = Event::timed(&context).unwrap();
    later.record(&first).unwrap();
    second.wait(&later).unwrap();
    assert_eq!(first_byte(&buffer, &second), 3);
    assert!(later.milliseconds_since(&event).unwrap() > 1.0);

    // Pageable memory is staged at once, pinned memory is read when the copy runs.
    let _other = keep_busy(&context, &first);
    let mut pinned = MappedBuffer::new(&context, 1).unwrap();
    let mut pageable = [4u8];
    {
        let _current = context.enter().unwrap();
        let (stream, to) = (first.handle().cast(), buffer.address());
        pinned.write(0, &[4u8]).unwrap();
        // SAFETY: both sides have a byte; the streams are synchronised before they are dropped.
        unsafe {
            sys::cuMemcpyHtoDAsync_v2(to, pageable.as_ptr().cast(), 1, stream).result().unwrap();
            sys::cuMemcpyDtoDAsync_v2(to + 1, pinned.address(), 1, stream).result().unwrap();
        }
        pageable[0] = 5;
        pinned.write(0, &[5u8]).unwrap();
    }
    let mut bytes = [0u8; 2];
    buffer.download(&mut bytes, &first).unwrap();
    assert_eq!((bytes, pageable), ([4, 5], [5]));
}

#[test]
#[ignore = "for the test of main.rs"]
fn default_stream() {
    let context = Context::create(0).unwrap();
    let own = CudaStream::new(&context).unwrap();
    let buffer = DeviceBuffer::new(&context, 64).unwrap();
    let _current = context.enter().unwrap();
    let mut blocking = std::ptr::null_mut();
    let read = |stream: sys::CUstream| {
        let mut byte = [0u8];
        // SAFETY: both sides have a byte; a copy to pageable memory returns when it is done.
        unsafe { sys::cuMemcpyDtoHAsync_v2(byte.as_mut_ptr().cast(), buffer.address(), 1, stream) }.result().unwrap();
        byte[0]
    };
    // SAFETY: live handles, and a buffer of that size.
    unsafe {
        sys::cuStreamCreate(&mut blocking, 0).result().unwrap();
        for value in 0..8 {
            sys::cuMemsetD8Async(buffer.address(), value, 64, blocking).result().unwrap();
        }
        assert_ne!(read(own.handle().cast()), 7, "a non-blocking stream waits for none");
        assert_eq!(read(std::ptr::null_mut()), 7, "the default stream waits for a blocking one");
        for value in 10..18 {
            sys::cuMemsetD8Async(buffer.address(), value, 64, std::ptr::null_mut()).result().unwrap();
        }
        assert_eq!(read(blocking), 17, "and that for it");
        sys::cuStreamDestroy_v2(blocking).result().unwrap();
    }
}

#[test]
#[ignore = "for the test of main.rs"]
fn misuse() {
    let probe = Probe::new();
    let other = Context::create(0).unwrap();
    let theirs = DeviceBuffer::new(&other, 4096).unwrap();
    let (address, size) = (probe.memory.address(), probe.memory.bytes());
    let mut host = vec![0u8; 2 * size];
    let host = host.as_mut_ptr();
    let mut place: CUdeviceptr = 0;
    // SAFETY: the invalid calls are the subject of the test; the host addresses are real.
    unsafe {
        assert_eq!(sys::cuMemAlloc_v2(&mut place, 16), CUDA_ERROR_INVALID_CONTEXT, "none is current");
        assert_eq!(sys::cuStreamSynchronize(std::ptr::null_mut()), CUDA_ERROR_INVALID_CONTEXT);
        let _current = probe.context.enter().unwrap();
        assert_eq!(sys::cuMemcpyHtoD_v2(address, host.cast(), size), CUDA_SUCCESS);
        assert_eq!(sys::cuMemcpyHtoD_v2(address + 1, host.cast(), size), CUDA_ERROR_INVALID_VALUE, "a byte too far");
        assert_eq!(sys::cuMemcpyHtoD_v2(address - 1, host.cast(), 1), CUDA_ERROR_INVALID_VALUE);
        assert_eq!(sys::cuMemcpyHtoD_v2(host as u64, host.cast(), 1), CUDA_ERROR_INVALID_VALUE, "no device memory");
        assert_eq!(sys::cuMemcpyHtoD_v2(address, address as *const _, 1), CUDA_ERROR_INVALID_VALUE, "no host memory");
        assert_eq!(sys::cuMemcpyHtoD_v2(theirs.address(), host.cast(), 1), CUDA_ERROR_INVALID_VALUE, "another context");
        assert_eq!(sys::cuMemFree_v2(theirs.address()), CUDA_ERROR_INVALID_VALUE);
        assert_eq!(sys::cuMemFree_v2(address + 256), CUDA_ERROR_INVALID_VALUE, "not its start");
        let mut pitch = 0;
        assert_eq!(sys::cuMemAllocPitch_v2(&mut place, &mut pitch, 100, 3, 16), CUDA_SUCCESS);
        assert_eq!((pitch, place % 512), (512, 0));
        assert_eq!(sys::cuMemFree_v2(place), CUDA_SUCCESS);
        assert_eq!(sys::cuMemFree_v2(place), CUDA_ERROR_INVALID_VALUE, "freed before");
        assert_eq!(sys::cuMemsetD8Async(place, 0, 1, std::ptr::null_mut()), CUDA_ERROR_INVALID_VALUE);
        let mut stream = std::ptr::null_mut();
        assert_eq!(sys::cuStreamCreate(&mut stream, 1), CUDA_SUCCESS);
        assert_eq!(sys::cuStreamDestroy_v2(stream), CUDA_SUCCESS);
        assert_eq!(sys::cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE, "destroyed before");
        // Beyond the end of a block, before its guard page.
        assert_eq!(sys::cuMemAlloc_v2(&mut place, 100), CUDA_SUCCESS);
        (place as *mut u8).add(100).write(1);
        assert_eq!(sys::cuMemFree_v2(place), CUDA_ERROR_ILLEGAL_ADDRESS);
        let mut module = std::ptr::null_mut();
        let nonsense = c"nonsense".as_ptr().cast();
        assert_eq!(sys::cuModuleLoadData(&mut module, nonsense), CUDA_ERROR_INVALID_PTX);
        let newer = c".version 9.0\n.entry a(.param .b8 a[4]) { }".as_ptr().cast();
        assert_eq!(sys::cuModuleLoadData(&mut module, newer), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    }
    let stream = CudaStream::new(&other).unwrap();
    assert_eq!(probe.launch_at(Mode::Add, address, &stream), CUDA_ERROR_INVALID_CONTEXT, "a stream of another context");
    // Use of another context's memory is detected when the kernel runs.
    assert_eq!(probe.launch_at(Mode::Add, theirs.address(), &probe.stream), CUDA_SUCCESS);
    let error = probe.stream.synchronise().unwrap_err();
    assert!(is(&error, CUDA_ERROR_ILLEGAL_ADDRESS), "{error}");
    assert!(other.synchronise().is_ok(), "the other isn't concerned");
    let far = Context::create(7).unwrap_err();
    assert!(far.message.contains("there are 1 GPUs"), "{far}");
}

/// Memory from a pool is freed in the stream's order, not before the work that uses it.
#[test]
#[ignore = "for the test of main.rs"]
fn pools() {
    let context = Context::create(0).unwrap();
    let (stream, other) = (CudaStream::new(&context).unwrap(), CudaStream::new(&context).unwrap());
    let _current = context.enter().unwrap();
    let properties = sys::CUmemPoolProps {
        allocType: sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED,
        handleTypes: sys::CUmemAllocationHandleType::CU_MEM_HANDLE_TYPE_NONE,
        location: sys::CUmemLocation { type_: sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE, id: 0 },
        win32SecurityAttributes: std::ptr::null_mut(),
        reserved: [0; 64],
    };
    let (mut pool, mut place, mut byte) = (std::ptr::null_mut(), 0, [0u8]);
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: live handles and results in variables; the invalid calls are the subject of the test.
    unsafe {
        assert_eq!(sys::cuMemPoolCreate(&mut pool, &properties), CUDA_SUCCESS);
        let (mut kept, mut found) = (7_000_000_000u64, 0u64);
        assert_eq!(sys::cuMemPoolSetAttribute(pool, threshold, (&raw mut kept).cast()), CUDA_SUCCESS);
        assert_eq!(sys::cuMemPoolGetAttribute(pool, threshold, (&raw mut found).cast()), CUDA_SUCCESS);
        assert_eq!(found, kept);

        let queue = stream.handle().cast();
        assert_eq!(sys::cuMemAllocFromPoolAsync(&mut place, 4096, pool, queue), CUDA_SUCCESS);
        assert_eq!(sys::cuMemsetD8Async(place, 9, 4096, queue), CUDA_SUCCESS);
        assert_eq!(sys::cuMemcpyDtoHAsync_v2(byte.as_mut_ptr().cast(), place + 4095, 1, queue), CUDA_SUCCESS);
        assert_eq!(sys::cuMemFreeAsync(place, queue), CUDA_SUCCESS);
        assert!(stream.synchronise().is_ok() && byte == [9]);
        assert_eq!(sys::cuMemFreeAsync(place, queue), CUDA_ERROR_INVALID_VALUE, "freed before");
        assert_eq!(context.memory().unwrap().0, context.memory().unwrap().1, "nothing is left");
        assert_eq!(sys::cuMemPoolDestroy(pool), CUDA_SUCCESS);
        assert_eq!(sys::cuMemAllocFromPoolAsync(&mut place, 1, pool, queue), CUDA_ERROR_INVALID_HANDLE);

        // From the device's own pool; what another stream still does with it after its freeing fails.
        assert_eq!(sys::cuMemAllocAsync(&mut place, 4096, queue), CUDA_SUCCESS);
        assert_eq!(sys::cuMemFreeAsync(place, queue), CUDA_SUCCESS);
        assert!(stream.synchronise().is_ok());
        assert_eq!(sys::cuMemsetD8Async(place, 9, 1, other.handle().cast()), CUDA_ERROR_INVALID_VALUE);
    }
}

/// Lines of 1, 2 and 4 bytes, and what is between them stays.
#[test]
#[ignore = "for the test of main.rs"]
fn lines_are_set() {
    let context = Context::create(0).unwrap();
    let stream = CudaStream::new(&context).unwrap();
    let memory = DeviceBuffer::new(&context, 3 * 512).unwrap();
    let _current = context.enter().unwrap();
    let to = memory.address();
    // SAFETY: the memory has three lines of 512 bytes.
    unsafe {
        assert_eq!(sys::cuMemsetD8_v2(to, 1, 3 * 512), CUDA_SUCCESS);
        assert_eq!(sys::cuMemsetD2D8_v2(to, 512, 2, 8, 3), CUDA_SUCCESS);
        assert_eq!(sys::cuMemsetD2D16_v2(to + 8, 512, 0x0403, 4, 3), CUDA_SUCCESS);
        assert_eq!(sys::cuMemsetD2D32_v2(to + 16, 512, 0x0807_0605, 2, 3), CUDA_SUCCESS);
        assert_eq!(sys::cuMemsetD2D8_v2(to, 512, 2, 513, 3), CUDA_ERROR_INVALID_VALUE, "a byte too far");
    }
    context.synchronise().unwrap();
    let mut found = [0u8; 3 * 512];
    memory.download(&mut found, &stream).unwrap();
    for line in found.chunks(512) {
        assert_eq!(line[..24], [[2; 8], [3, 4, 3, 4, 3, 4, 3, 4], [5, 6, 7, 8, 5, 6, 7, 8]].concat());
        assert!(line[24..].iter().all(|byte| *byte == 1));
    }
}

/// A million bytes of device memory; and the fifth allocation fails on request.
#[test]
#[ignore = "for the test of main.rs"]
fn memory_ends() {
    let context = Context::create(0).unwrap();
    let most = DeviceBuffer::new(&context, 900_000).unwrap();
    let error = DeviceBuffer::new(&context, 200_000).unwrap_err();
    assert!(error.kind == ErrorKind::Memory && is(&error, CUDA_ERROR_OUT_OF_MEMORY), "{error}");
    assert_eq!(context.memory().unwrap(), (100_000, 1_000_000));
    drop(most);
    assert_eq!(context.memory().unwrap().0, 1_000_000);
    assert!(DeviceBuffer::new(&context, 200_000).is_ok());
    assert!(DeviceBuffer::new(&context, 1).is_ok());
    let error = DeviceBuffer::new(&context, 1).unwrap_err();
    assert!(error.kind == ErrorKind::Memory, "the fifth: {error}");
    assert!(DeviceBuffer::new(&context, 1).is_ok(), "only that");
}

#[test]
#[ignore = "for the test of main.rs"]
fn errors_stick() {
    let (probe, healthy) = (Probe::new(), Context::create(0).unwrap());
    assert!(probe.run(Mode::Add).is_ok());
    assert_eq!(probe.launch(Mode::Add), CUDA_SUCCESS, "it's found by who waits");
    let first = probe.stream.synchronise().unwrap_err();
    assert!(is(&first, CUDA_ERROR_ILLEGAL_ADDRESS), "{first}");
    {
        let mut place: CUdeviceptr = 0;
        let handle = probe.context.handle().cast();
        // SAFETY: a live context; the invalid calls are the subject of the test.
        unsafe {
            assert_eq!(sys::cuCtxPushCurrent_v2(handle), CUDA_SUCCESS);
            assert_eq!(sys::cuMemAlloc_v2(&mut place, 16), CUDA_ERROR_ILLEGAL_ADDRESS, "nothing works any more");
            assert_eq!(sys::cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
            let mut popped = std::ptr::null_mut();
            assert_eq!(sys::cuCtxPopCurrent_v2(&mut popped), CUDA_SUCCESS);
        }
    }
    // Events are still reached, so no wait is endless.
    assert!(DeviceBuffer::new(&probe.context, 16).is_err());
    assert!(DeviceBuffer::new(&healthy, 16).is_ok(), "another context works");
    drop(probe);
    assert!(Probe::new().run(Mode::Add).is_ok());
}
