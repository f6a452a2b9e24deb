//! Kafka: order, outages, errors, accounts.

use crate::common::find;
use crate::common::kafka::{Kafka, PASSWORD, Record, USER};
use crate::common::publish::{Publish, number};
use gst::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

/// Frame numbers by key.
fn by_key(records: &[Record]) -> BTreeMap<&str, Vec<u64>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for record in records {
        found.entry(&*record.key).or_default().push(number(record.text()));
    }
    found
}

fn publish(kafka: &Kafka, topic: &str, stream: &str, more: &str) -> Publish {
    Publish::new(&format!("location=kafka://{}/{topic} stream-id={stream} {more}", kafka.brokers()))
}

#[test]
fn lines_keep_their_order_over_outages_and_what_is_lost_is_counted() {
    let Some(mut kafka) = Kafka::open() else { return };
    kafka.create_topic("objects", 4, &[]);
    let options = "overflow=drop-oldest max-queue=100 drain-timeout=60000000000";
    let mut streams = ["door", "yard", "gate"].map(|stream| publish(&kafka, "objects", stream, options));
    for stream in &mut streams {
        stream.push(50);
    }
    let records = kafka.read("objects", 150);
    assert_eq!(by_key(&records), ["door", "gate", "yard"].map(|key| (key, (0..50).collect())).into());
    let headers = &records[0].headers;
    assert_eq!((&*headers["ce_specversion"], &headers["ce_source"]), ("1.0", &records[0].key));
    assert_eq!(headers["ce_type"], "io.github.gst-tensorrt.objects");
    assert_eq!(headers["content-type"], "application/json");
    let ids: std::collections::BTreeSet<_> = records.iter().map(|record| &record.headers["ce_id"]).collect();
    assert_eq!(ids.len(), records.len());
    for stream in &streams {
        stream.quiet();
    }

    // The broker goes away for longer than the queues hold.
    kafka.stop();
    let start = Instant::now();
    for stream in &mut streams {
        stream.push(500);
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    for stream in &streams {
        let (kind, error) = stream.message();
        assert_eq!(kind, gst::MessageType::Warning);
        assert!(error.message().contains("kafka://127.0.0.1"), "{error}");
        // The queue holds 100, the writer what it took from it, and 64 are under way.
        assert!(stream.stat("dropped") >= 500 - 2 * 100 - 64, "{}", stream.stat("dropped"));
    }
    kafka.start();
    for stream in &mut streams {
        stream.eos();
        assert_eq!(stream.stat("lines") + stream.stat("dropped"), 550);
        stream.quiet();
    }
    let lines = streams.iter().map(|stream| stream.stat("lines")).sum::<u64>();
    let records = kafka.read("objects", lines as usize);
    for numbers in by_key(&records).values() {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert_eq!(numbers[numbers.len() - 100..], (450..550).collect::<Vec<_>>(), "what the queue holds");
    }

    // A broker that is killed, or stops answering, while lines are under way.
    for outage in [Outage::Kill, Outage::Pause] {
        for _ in 0..10 {
            streams.iter_mut().for_each(|stream| stream.push(5));
            std::thread::sleep(Duration::from_millis(10));
        }
        match outage {
            Outage::Kill => kafka.kill(),
            Outage::Pause => kafka.pause(),
        }
        streams.iter_mut().for_each(|stream| stream.push(20));
        std::thread::sleep(Duration::from_secs(2));
        match outage {
            Outage::Kill => kafka.start(),
            Outage::Pause => kafka.resume(),
        }
        streams.iter_mut().for_each(Publish::eos);
    }
    let lines = streams.iter().map(|stream| stream.stat("lines")).sum::<u64>();
    let records = kafka.read_for("objects", lines as usize + 1, Duration::from_secs(20));
    assert_eq!(records.len() as u64, lines, "none is lost, none is doubled");
    for numbers in by_key(&records).values() {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert_eq!(numbers[numbers.len() - 140..], (550..690).collect::<Vec<_>>());
    }
}

#[derive(Clone, Copy)]
enum Outage {
    Kill,
    Pause,
}

#[test]
fn mistakes_are_named() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut absent = Publish::new(&format!("location=kafka://{unused}/objects drain-timeout=100000000"));
    absent.push(1);
    let (kind, error) = absent.message();
    assert!(kind == gst::MessageType::Warning && error.message().contains("refused"), "{error}");

    let binary = gst::parse::launch("trtpublish location=/tmp/x.bin format=deepstream-protobuf").unwrap();
    assert!(binary.set_state(gst::State::Paused).is_err(), "a binary format in a file of lines");

    let Some(kafka) = Kafka::open() else { return };
    kafka.create_topic("small", 1, &[("max.message.bytes", "100")]);
    for more in ["", "on-error=retry"] {
        let mut missing = publish(&kafka, "missing", "door", &format!("drain-timeout=20000000000 {more}"));
        missing.push(1);
        missing.eos();
        let (kind, error) = missing.message();
        let expected = if more.is_empty() { gst::MessageType::Error } else { gst::MessageType::Warning };
        assert_eq!(kind, expected, "{error}");
        assert!(error.message().contains("there is no topic missing"), "{error}");
    }
    let mut large = publish(&kafka, "small", "door", "");
    large.push(3);
    let (kind, error) = large.message();
    assert_eq!(kind, gst::MessageType::Warning);
    assert!(error.message().contains("max.message.bytes"), "{error}");
    large.eos();
    assert_eq!((large.stat("lines"), large.stat("dropped")), (0, 3));
    large.quiet();
}

#[test]
fn accounts_are_checked_over_tls() {
    let Some(kafka) = Kafka::secure() else { return };
    kafka.create_topic("objects", 1, &[]);
    let (port, ca) = (kafka.secure_port.unwrap(), kafka.path("ca.pem").display().to_string());
    let secure = |password: &str, mechanism: &str, ca: &str, more: &str| {
        Publish::new(&format!(
            "location=kafkas://{USER}:{password}@localhost:{port}/objects kafka-sasl-mechanism={mechanism} tls-ca-file={ca} \
             stream-id={mechanism} {more}"
        ))
    };
    for mechanism in ["plain", "scram-sha-256", "scram-sha-512"] {
        let mut publish = secure(PASSWORD, mechanism, &ca, "drain-timeout=30000000000");
        publish.push(2);
        publish.eos();
        publish.quiet();
        let mut wrong = secure("wr0ng-w0rd", mechanism, &ca, "drain-timeout=20000000000");
        wrong.push(1);
        wrong.eos();
        let (kind, error) = wrong.message();
        assert_eq!(kind, gst::MessageType::Error, "{error}");
        assert!(error.matches(gst::ResourceError::NotAuthorized), "{error}");
        assert!(error.message().contains("credentials-env") && !error.message().contains("wr0ng"), "{error}");
    }
    let mut patient = secure("wr0ng-w0rd", "plain", &ca, "on-error=retry drain-timeout=1000000");
    patient.push(1);
    assert_eq!(patient.message().0, gst::MessageType::Warning);
    let mut stranger =
        secure(PASSWORD, "plain", &kafka.path("other.pem").display().to_string(), "drain-timeout=20000000000");
    stranger.push(1);
    stranger.eos();
    let (kind, error) = stranger.message();
    assert!(kind == gst::MessageType::Error && error.message().contains("tls-ca-file"), "{error}");

    let mut unencrypted = Publish::new(&format!("location=kafka://localhost:{port}/objects drain-timeout=1000000"));
    unencrypted.push(1);
    assert!(unencrypted.message().1.message().contains("kafkas://)"));

    // From the environment, which a process has of its own.
    let library = std::env::current_exe().unwrap().with_file_name("libgsttensorrt.so");
    let launch = format!(
        "videotestsrc num-buffers=3 ! trtpublish location=kafkas://localhost:{port}/objects tls-ca-file={ca} \
         stream-id=launched drain-timeout=30000000000 ! fakesink"
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").arg(format!("--gst-plugin-load={}", library.display())).args(launch.split_whitespace());
    let output = command.env("KAFKA_USERNAME", USER).env("KAFKA_PASSWORD", PASSWORD).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let keys: Vec<_> =
        by_key(&kafka.read("objects", 9)).into_iter().map(|(key, lines)| (key.to_owned(), lines.len())).collect();
    let expected = [("launched", 3), ("plain", 2), ("scram-sha-256", 2), ("scram-sha-512", 2)];
    assert_eq!(keys, expected.map(|(key, lines)| (key.to_owned(), lines)));
}

#[test]
fn hosts_formats_and_events_have_their_places() {
    let Some(mut kafka) = Kafka::open() else { return };
    for topic in ["objects", "objects-events", "deepstream", "protobuf"] {
        kafka.create_topic(topic, 1, &[]);
    }
    let mut json = publish(&kafka, "objects", "door", "host=gpu-7 epoch=12 drain-timeout=30000000000");
    json.push(1);
    json.eos();
    let record = &kafka.read("objects", 1)[0];
    let line: Value = serde_json::from_str(record.text()).unwrap();
    assert_eq!((&line["host"], &line["epoch"]), (&"gpu-7".into(), &12.into()));
    assert_eq!((&*record.headers["host"], &*record.headers["epoch"]), ("gpu-7", "12"));

    // Another host has the stream now: nothing more comes from this one, although its broker is back.
    kafka.stop();
    json.push(20);
    json.element.emit_by_name::<()>("purge", &[]);
    json.push(20);
    kafka.start();
    json.push(20);
    json.eos();
    let element = json.element.clone();
    drop(json);
    let stat = |name: &str| element.property::<gst::Structure>("stats").get::<u64>(name).unwrap();
    assert_eq!((stat("lines"), stat("dropped")), (1, 60));
    let mut next = publish(&kafka, "objects", "door", "host=gpu-8 epoch=13 drain-timeout=30000000000");
    next.push(1);
    next.eos();
    let epochs: Vec<_> = kafka.read("objects", 2).iter().map(|record| record.headers["epoch"].clone()).collect();
    assert_eq!(epochs, ["12", "13"]);

    for (topic, format, kind) in
        [("deepstream", "deepstream", "application/json"), ("protobuf", "deepstream-protobuf", "application/protobuf")]
    {
        let more = format!("format={format} drain-timeout=30000000000");
        let mut formatted = publish(&kafka, topic, "door", &more);
        formatted.push(20);
        formatted.eos();
        let records = kafka.read(topic, 20);
        assert_eq!(records[0].headers["content-type"], kind);
        let value = |n: usize| records[n].value.clone().unwrap();
        if format == "deepstream" {
            let line: Value = serde_json::from_slice(&value(19)).unwrap();
            assert_eq!((&line["id"], &line["sensorId"]), (&"19".into(), &"door".into()));
        } else {
            // Number 10 has the length of a field, which is the byte of a newline.
            for n in 0..20 {
                assert_eq!(
                    value(n)[..7],
                    *format!("\n\u{3}4.0\u{12}{}", char::from(n.to_string().len() as u8)).as_bytes()
                );
            }
        }
    }

    // Totals of all zones come with the first frame.
    let zones = kafka.path("zones.json");
    let zone = r#"{"zones": [{"name": "hall", "polygon": [[0, 0], [1, 0], [1, 1]]}]}"#;
    std::fs::write(&zones, zone).unwrap();
    let launch = format!(
        "videotestsrc num-buffers=3 ! trtzones zones-file={} ! trtpublish content=both stream-id=yard \
         location=kafka://{}/objects drain-timeout=30000000000 ! fakesink",
        zones.display(),
        kafka.brokers()
    );
    let library = std::env::current_exe().unwrap().with_file_name("libgsttensorrt.so");
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").arg(format!("--gst-plugin-load={}", library.display())).args(launch.split_whitespace());
    let output = command.current_dir(find::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record = &kafka.read("objects-events", 1)[0];
    let line: Value = serde_json::from_str(record.text()).unwrap();
    assert_eq!((&line["type"], &line["zone"], &*record.key), (&"totals".into(), &"hall".into(), "yard"));
    assert_eq!(record.headers["ce_type"], "io.github.gst-tensorrt.totals");
    assert_eq!(kafka.read("objects", 5).len(), 5);
}
