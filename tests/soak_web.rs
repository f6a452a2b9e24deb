//! What the web page costs, and what its clients can do to cameras:
//!
//!     cargo test --release --test soak_web -- --ignored --nocapture --test-threads=1

mod common;

use common::web::{Site, camera, config, memory, never_reading, send_damaged};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CAMERAS: [&str; 2] = ["door", "yard"];

fn site(arguments: &[&str]) -> Site {
    let operator = common::operator::Operator::new();
    operator.write(&config(&CAMERAS.map(camera)));
    let site = Site::of(operator, arguments, |_| ());
    site.wait_until_playing(&CAMERAS);
    site
}

/// The latencies of all cameras' last seconds, the 99th percentile each, as often as they are new.
fn p99(site: &Site, time: Duration) -> f64 {
    let begin = Instant::now();
    let mut all = Vec::new();
    while begin.elapsed() < time {
        std::thread::sleep(Duration::from_secs(5));
        for name in CAMERAS {
            all.extend(site.camera(name)["latency_ms"]["p99"].as_f64());
        }
    }
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Without clients, with them, without them: what the machine does meanwhile is in both.
#[test]
#[ignore = "two minutes: cargo test --release --test soak_web -- --ignored"]
fn clients_do_not_touch_a_camera() {
    if !common::running::start() {
        return;
    }
    const TIME: Duration = Duration::from_secs(30);
    let site = site(&["--web", "127.0.0.1:0"]);
    std::thread::sleep(Duration::from_secs(10));
    let before = p99(&site, TIME);
    let start_memory = memory(&site);
    let silent = never_reading(&site, 200);
    let is_over = AtomicBool::new(false);
    let mut sent = 0;
    let with = std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            // 10,000 in the time that is measured.
            let mut seed = 0;
            while !is_over.load(Ordering::SeqCst) {
                send_damaged(&site.address, seed, 100);
                seed += 1;
                std::thread::sleep(Duration::from_millis(200));
            }
            seed * 100
        });
        let with = p99(&site, TIME);
        is_over.store(true, Ordering::SeqCst);
        sent += clients.join().unwrap();
        with
    });
    drop(silent);
    std::thread::sleep(Duration::from_secs(15));
    let after = p99(&site, TIME);
    let without = (before + after) / 2.0;
    let grown = memory(&site).saturating_sub(start_memory);
    eprintln!(
        "p99 {before:.2} ms, {with:.2} ms with {sent} malformed requests and 200 silent clients, {after:.2} ms; {grown} MiB more"
    );
    assert!(with <= 1.2 * without.max(1.0), "{with} ms with clients, {without} ms without");
    assert!(grown < 64, "{grown} MiB");
    let said = site.operator.said();
    assert!(!said.iter().any(|line| line.contains("panicked") || line.contains("lost")), "{said:#?}");
}

/// CPU time of a whole process.
fn cpu(id: u32) -> Duration {
    let stat = procfs::process::Process::new(i32::try_from(id).unwrap()).unwrap().stat().unwrap();
    Duration::from_secs_f64((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

/// One process with the page and one without, at the same time.
#[test]
#[ignore = "two minutes: cargo test --release --test soak_web -- --ignored"]
fn a_page_that_nobody_looks_at_costs_nothing() {
    if !common::running::start() {
        return;
    }
    let with = site(&["--web", "127.0.0.1:0"]);
    let mut without = common::operator::Operator::new();
    without.write(&config(&CAMERAS.map(camera)));
    without.run(&[]);
    for name in CAMERAS {
        without.wait_for("lines", || without.lines(name) > 100);
    }
    std::thread::sleep(Duration::from_secs(10));
    let start = (cpu(with.operator.id()), cpu(without.id()));
    let begin = Instant::now();
    std::thread::sleep(Duration::from_secs(90));
    let seconds = begin.elapsed().as_secs_f64();
    let share = |now: Duration, start: Duration| (now - start).as_secs_f64() / seconds * 100.0;
    let (with, without) = (share(cpu(with.operator.id()), start.0), share(cpu(without.id()), start.1));
    eprintln!("{with:.2} % of a core with the page, {without:.2} % without");
    // The measure's own noise is that of two processes that do the same.
    assert!(with - without < 0.2 + 0.02 * without, "{with} % with the page, {without} % without");
}
