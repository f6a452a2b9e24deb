//! Kernels: correct code works, and errors are detected.

use super::probe::{COUNT, Mode, Probe, THREADS, is};
use cudarc::driver::sys::CUresult;

#[test]
#[ignore = "for the test of main.rs"]
fn correct() {
    let probe = Probe::new();
    let old: Vec<u32> = (0..COUNT as u32).map(|number| 3 * number).collect();
    let added: Vec<u32> = old.iter().zip(0..).map(|(old, index)| old + index).collect();
    assert_eq!(probe.run(Mode::Add).unwrap(), added);
    let neighbours =
        |numbers: &[u32], distance: usize| (0..COUNT).map(|index| numbers[index ^ distance]).collect::<Vec<_>>();
    let crossed = neighbours(&added, 33);
    assert_eq!(probe.run(Mode::Neighbour).unwrap(), crossed);
    assert_eq!(probe.run(Mode::Warp).unwrap(), neighbours(&crossed, 1));
    assert_eq!(probe.run(Mode::Count).unwrap(), vec![THREADS; COUNT]);
    assert!(probe.context.failure().is_none());
}

/// Also detected without checks, by the guard pages around memory.
#[test]
#[ignore = "for the test of main.rs"]
fn beyond() {
    let probe = Probe::new();
    let error = probe.run(Mode::Beyond).unwrap_err();
    assert!(is(&error, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS), "{error}");
    assert!(probe.context.failure().is_some());
    // Another context isn't affected.
    assert!(Probe::new().run(Mode::Add).is_ok());
}

#[test]
#[ignore = "for the test of main.rs"]
fn faults() {
    use CUresult::{CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_LAUNCH_FAILED, CUDA_ERROR_MISALIGNED_ADDRESS};
    for (mode, expected) in [
        (Mode::NeighbourRace, CUDA_ERROR_LAUNCH_FAILED),
        (Mode::OverwriteRace, CUDA_ERROR_LAUNCH_FAILED),
        (Mode::WarpRace, CUDA_ERROR_LAUNCH_FAILED),
        (Mode::CountRace, CUDA_ERROR_LAUNCH_FAILED),
        (Mode::Unwritten, CUDA_ERROR_LAUNCH_FAILED),
        (Mode::Deadlock, CUDA_ERROR_LAUNCH_FAILED),
        (Mode::WrongMask, CUDA_ERROR_LAUNCH_FAILED),
        (Mode::Beyond, CUDA_ERROR_ILLEGAL_ADDRESS),
        (Mode::Misaligned, CUDA_ERROR_MISALIGNED_ADDRESS),
    ] {
        let probe = Probe::new();
        let error = probe.run(mode).expect_err(&format!("{mode:?}"));
        assert!(is(&error, expected), "{mode:?}: {error}");
    }
}
