//! Redis: order, outages, errors, accounts.

use crate::common::publish::{Publish, number};
use crate::common::redis::{PASSWORD, Redis};
use crate::common::tls::make_certificates;
use gst::prelude::*;
use std::time::{Duration, Instant};

/// The frame numbers in a stream.
fn numbers(redis: &Redis, stream: &str) -> Vec<u64> {
    let entries = redis.cli(&["XRANGE", stream, "-", "+"]);
    entries.lines().filter(|line| line.starts_with('{')).map(number).collect()
}

#[test]
fn lines_keep_their_order_over_an_outage_and_what_is_lost_is_counted() {
    let Some(mut redis) = Redis::open() else { return };
    let location = format!("location=redis://127.0.0.1:{}/objects:{{stream-id}}", redis.port);
    let options = "stream-id=door host=gpu-7 epoch=12 overflow=drop-oldest max-queue=100 drain-timeout=20000000000";
    let mut publish = Publish::new(&format!("{location} {options}"));
    publish.push(50);
    publish.eos();
    assert_eq!(numbers(&redis, "objects:door"), (0..50).collect::<Vec<_>>());
    let entry = redis.cli(&["XRANGE", "objects:door", "-", "+", "COUNT", "1"]);
    let fields: Vec<_> = entry.lines().skip(1).take(9).collect();
    assert_eq!(fields, ["camera", "door", "kind", "objects", "host", "gpu-7", "epoch", "12", "data"]);
    redis.stop();
    let start = Instant::now();
    publish.push(500);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let (kind, error) = publish.message();
    assert!(kind == gst::MessageType::Warning && error.message().contains("redis://"), "{error}");
    redis.start();
    publish.eos();
    publish.quiet();
    assert_eq!(publish.stat("lines") + publish.stat("dropped"), 550);
    let found = numbers(&redis, "objects:door");
    assert_eq!(found.len() as u64, publish.stat("lines"));
    assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
    assert_eq!(found[found.len() - 100..], (450..550).collect::<Vec<_>>(), "what the queue holds");

    redis.stop();
    publish.push(20);
    publish.element.emit_by_name::<()>("purge", &[]);
    redis.start();
    publish.push(20);
    publish.eos();
    assert_eq!(numbers(&redis, "objects:door").len(), found.len(), "nothing comes after a purge");
}

#[test]
fn a_stream_has_about_its_greatest_length() {
    let Some(redis) = Redis::open() else { return };
    let location = format!("location=redis://127.0.0.1:{}/lines redis-max-length=200", redis.port);
    let mut publish = Publish::new(&location);
    publish.push(1000);
    publish.eos();
    let length: u64 = redis.cli(&["XLEN", "lines"]).parse().unwrap();
    // Redis removes whole nodes of up to 100 entries.
    assert!((200..=300).contains(&length), "{length}");
    assert_eq!(numbers(&redis, "lines").last(), Some(&999));
}

#[test]
fn mistakes_are_named() {
    let Some(redis) = Redis::open() else { return };
    redis.cli(&["SET", "taken", "x"]);
    let mut wrong = Publish::new(&format!("location=redis://127.0.0.1:{}/taken", redis.port));
    wrong.push(3);
    let (kind, error) = wrong.message();
    assert!(kind == gst::MessageType::Warning && error.message().contains("isn't a stream"), "{error}");
    wrong.eos();
    assert_eq!((wrong.stat("lines"), wrong.stat("dropped")), (0, 3));

    let Some(redis) = Redis::with_password() else { return };
    let of = |account: &str, more: &str| {
        Publish::new(&format!("location=redis://{account}127.0.0.1:{}/lines {more}", redis.port))
    };
    for account in ["", ":wr0ng-w0rd@", "who:wr0ng-w0rd@"] {
        let mut refused = of(account, "");
        refused.push(1);
        let (kind, error) = refused.message();
        assert_eq!(kind, gst::MessageType::Error);
        assert!(error.matches(gst::ResourceError::NotAuthorized) && !error.message().contains("wr0ng"), "{error}");
    }
    let mut patient = of(":wr0ng-w0rd@", "on-error=retry drain-timeout=1000000");
    patient.push(1);
    assert_eq!(patient.message().0, gst::MessageType::Warning);
    let mut allowed = of(&format!(":{PASSWORD}@"), "");
    allowed.push(2);
    allowed.eos();
    allowed.quiet();
    assert_eq!(redis.cli(&["XLEN", "lines"]), "2");
}

#[test]
fn tls_checks_the_server() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let path = |file: &str| folder.path().join(file).display().to_string();
    let tls_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (cert, key, ca) = (path("broker.pem"), path("broker.key"), path("ca.pem"));
    let options =
        ["--tls-port", &tls_port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let Some(redis) = Redis::with(&[&options[..], &["--tls-auth-clients", "no"]].concat()) else { return };
    let of = |ca: &str| Publish::new(&format!("location=rediss://localhost:{tls_port}/lines tls-ca-file={ca}"));
    let mut publish = of(&ca);
    publish.push(200);
    publish.eos();
    publish.quiet();
    assert_eq!(numbers(&redis, "lines"), (0..200).collect::<Vec<_>>());
    let mut stranger = of(&path("other.pem"));
    stranger.push(1);
    let (kind, error) = stranger.message();
    assert!(kind == gst::MessageType::Error && error.message().contains("tls-ca-file"), "{error}");
}
