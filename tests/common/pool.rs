//! A bounded pool of video buffers that counts its live memory.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::VideoInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct CountingPool {
        pub size: AtomicUsize,
        pub alive: Arc<Alive>,
    }

    #[derive(Default)]
    pub struct Alive {
        pub now: AtomicUsize,
        pub most: AtomicUsize,
    }

    /// The memory of one buffer.
    struct Memory(Vec<u8>, Arc<Alive>);

    impl AsRef<[u8]> for Memory {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl AsMut<[u8]> for Memory {
        fn as_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            self.1.now.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for CountingPool {
        const NAME: &'static str = "TestCountingPool";
        type Type = super::CountingPool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for CountingPool {}
    impl GstObjectImpl for CountingPool {}

    impl BufferPoolImpl for CountingPool {
        fn alloc_buffer(&self, _: Option<&gst::BufferPoolAcquireParams>) -> Result<gst::Buffer, gst::FlowError> {
            let now = self.alive.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.alive.most.fetch_max(now, Ordering::SeqCst);
            let data = vec![0; self.size.load(Ordering::SeqCst)];
            Ok(gst::Buffer::from_mut_slice(Memory(data, self.alive.clone())))
        }
    }
}

glib::wrapper! {
    pub struct CountingPool(ObjectSubclass<imp::CountingPool>) @extends gst::BufferPool, gst::Object;
}

impl CountingPool {
    /// An active pool of at most `max` buffers.
    pub fn new(info: &VideoInfo, max: u32) -> Self {
        let pool: Self = glib::Object::new();
        pool.imp().size.store(info.size(), Ordering::SeqCst);
        let mut config = pool.config();
        config.set_params(Some(&info.to_caps().unwrap()), info.size() as u32, 0, max);
        pool.set_config(config).unwrap();
        pool.set_active(true).unwrap();
        pool
    }

    /// Maximum number of buffers whose memory was alive at the same time. This includes memory of buffers that the pool has
    /// released while another reference exists.
    pub fn most_alive(&self) -> usize {
        self.imp().alive.most.load(Ordering::SeqCst)
    }
}
