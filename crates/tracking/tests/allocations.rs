//! After the warm-up nothing is allocated per frame.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;
use tracking::zones::{Object, Zones, ZonesConfig};
use tracking::{Algorithm, Observation, Settings, tracker};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: Every call is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: The caller keeps the contract of this same method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: As above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Boxes of a frame: all of them tremble, a tenth is missing, and some leave and come back.
fn boxes(frame: u32, boxes: &mut Vec<Observation<'static>>) {
    static LOOKS: [[f32; 4]; 3] = [[1.0, 0.0, 0.0, 0.1], [0.0, 1.0, 0.2, 0.0], [0.0, 0.1, 1.0, 0.9]];
    boxes.clear();
    for index in 0..50u32 {
        let noise = (index * 7919 + frame * 104_729) % 97;
        if noise < 10 || index < 5 && frame / 60 % 2 == 1 {
            continue;
        }
        let x = (index % 10) as f32 * 120.0 + (frame % 300) as f32 + noise as f32 / 50.0;
        let rect = model::Rect::new(x, (index / 10) as f32 * 90.0, 60.0, 120.0);
        let confidence = 0.3 + noise as f32 / 150.0;
        boxes.push(Observation { rect, class_id: index % 2, confidence, embedding: Some(&LOOKS[index as usize % 3]) });
    }
}

#[test]
fn trackers_and_zones_allocate_nothing_per_frame() {
    let config = r#"{
        "zones": [{"name": "a", "polygon": [[0.1, 0.1], [0.5, 0.1], [0.5, 0.9]], "crowding": {"more_than": 3}}],
        "lines": [{"name": "b", "from": [0.3, 0], "to": [0.3, 1]}]
    }"#;
    let config = ZonesConfig::parse(config).unwrap();
    for algorithm in Algorithm::ALL {
        let mut tracker = tracker::new(Settings { algorithm, ..Settings::default() }).unwrap();
        let mut observations = Vec::with_capacity(64);
        let mut zones = Zones::new(&config, 16.0 / 9.0).unwrap();
        let mut objects = Vec::with_capacity(256);
        let (mut last, mut events) = (0, 0);
        for frame in 0..3000 {
            boxes(frame, &mut observations);
            if frame == 1500 {
                ALLOCATIONS.with(|count| count.set(0));
            }
            let time = Duration::from_millis(33) * frame;
            let tracks = tracker.update(time, &observations).iter();
            objects.clear();
            objects.extend(tracks.map(|track| Object::new(track, "person", (1600, 900))));
            events += zones.update(time, &objects).len();
            tracker.predict(time + Duration::from_millis(16));
            last = ALLOCATIONS.with(Cell::get);
        }
        assert_eq!(last, 0, "{algorithm}");
        assert!(events > 100, "{algorithm}: {events}");
    }
}
