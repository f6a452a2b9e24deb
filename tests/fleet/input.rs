//! Large and bad input.

use crate::common::fleet::{Fleet, SECOND};
use crate::common::kafka::{Kafka, PASSWORD, USER};
use crate::common::running::register;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn end_offsets(kafka: &Kafka, topic: &str, partitions: i32) -> Vec<i64> {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let consumer: BaseConsumer = kafka.client().create().unwrap();
    (0..partitions).map(|n| consumer.fetch_watermarks(topic, n, 10 * SECOND).unwrap().1).collect()
}

/// A host knows its cameras soon, however many there are, and an unchanged file writes nothing.
fn a_thousand_cameras(fleet: &mut Fleet) {
    let mut config = fleet.config(1000);
    config["outputs"] = json!({ "JSON_LINES": "{camera}.jsonl" });
    let said = fleet.apply(&config, &[]);
    assert_eq!(said.lines().filter(|line| line.ends_with(": added")).count(), 1000);
    let ends = |fleet: &Fleet| {
        let of = |ending: &str, count| end_offsets(&fleet.kafka, &fleet.topic(ending), count);
        (of("cameras", 256), of("config", 1), of("claims", 256))
    };
    let before = ends(fleet);
    assert_eq!(before.0.iter().sum::<i64>(), 1000);
    let each: Vec<i64> = before.0.iter().copied().filter(|count| !(3..=4).contains(count)).collect();
    assert!(each.is_empty(), "partitions have 3 or 4 cameras each: {each:?}");
    assert_eq!(fleet.apply(&config, &[]), "nothing has changed, nothing was written\n");
    assert_eq!(fleet.apply(&config, &["--respread"]), "nothing has changed, nothing was written\n");
    assert_eq!(ends(fleet), before);

    // It takes two, so that the others are only known.
    fleet.start("a", &["--max-cameras", "2"]);
    fleet.wait_for_line("a", "host a of");
    let start = Instant::now();
    let unserved = |fleet: &Fleet| {
        let metrics = fleet.get("a", "/metrics");
        metrics.lines().filter(|line| line.starts_with("gst_trt_camera_unserved{") && line.ends_with(" 1")).count()
    };
    while fleet.said("a").iter().filter(|line| line.contains("doesn't run: this host takes 2")).count() < 998 {
        assert!(start.elapsed() < 60 * SECOND, "{:#?}", fleet.said("a").len());
        std::thread::sleep(SECOND / 50);
    }
    let knows = start.elapsed();
    println!("a host knows 1,000 cameras {knows:?} after it began to join");
    assert!(knows < Duration::from_secs(3), "{knows:?}");
    while unserved(fleet) != 998 {
        assert!(start.elapsed() < 60 * SECOND, "{}", unserved(fleet));
        std::thread::sleep(SECOND / 10);
    }

    let more =
        fleet.command(&["apply", "--config", fleet.path("config.json").to_str().unwrap(), "--partitions", "300"]);
    let error = String::from_utf8_lossy(&more.stderr);
    assert!(!more.status.success() && error.contains("256 partitions") && error.contains("fixed"), "{error}");
}

/// Records that aren't cameras, cameras that can't run, other data: the rest runs.
fn strange_records(fleet: &mut Fleet) {
    let mut config = fleet.config(3);
    let streams = config["cameras"]["RTSP_STREAMS"].as_array_mut().unwrap();
    streams.push(json!({ "NAME": "missing", "URL": "no/such/file.mp4" }));
    streams.push(json!({ "NAME": "secret", "URL": "rtsp://${NOT_SET_ANYWHERE}@127.0.0.1/1" }));
    fleet.apply(&config, &["--partitions", "4"]);
    let producer: BaseProducer = fleet.kafka.client().create().unwrap();
    let (cameras, claims, config_topic) = (fleet.topic("cameras"), fleet.topic("claims"), fleet.topic("config"));
    let write = |topic: &str, key: &str, value: &[u8]| {
        producer.send(BaseRecord::to(topic).partition(0).key(key).payload(value)).map_err(|(error, _)| error).unwrap();
    };
    write(&cameras, "broken", b"{");
    write(&cameras, "temperature", br#"{"celsius": 21}"#);
    write(&claims, "c0", b"\xff\xfe");
    write(&config_topic, "drain/a", b"nonsense");
    // The brokers refuse records without a key.
    let other = BaseRecord::<[u8], [u8]>::to(&cameras).partition(1).key(b"\xff").payload(b"{}");
    producer.send(other).map_err(|(error, _)| error).unwrap();
    producer.flush(10 * SECOND).unwrap();
    fleet.start("a", &[]);
    fleet.wait_for_all(3, 90 * SECOND);
    for text in [
        "\"broken\", is left out",
        "\"temperature\", is left out",
        "\"c0\", is left out",
        "key isn't text",
        "missing: can't run: ",
        "secret: can't run: ",
    ] {
        fleet.wait_for_line("a", text);
    }
    // Settings that can't be used are said, and change nothing.
    write(&config_topic, "settings", br#"{"processing": {"MAX_QUEUE_SIZE": "many"}}"#);
    producer.flush(10 * SECOND).unwrap();
    fleet.wait_for_line("a", "settings weren't applied");
    std::thread::sleep(SECOND);
    fleet.wait_for_all(3, 20 * SECOND);

    let status = fleet.command(&["status"]);
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.contains("3 of 5 cameras run") && text.contains("no camera: \"broken\""), "{text}");
    assert!(text.contains("NOT_SET_ANYWHERE") && text.contains("no/such/file.mp4"), "{text}");
    let removed = fleet.command(&["remove", "broken", "missing", "nobody"]);
    assert!(!removed.status.success());
    assert_eq!(String::from_utf8(removed.stdout).unwrap(), "broken: removed\nmissing: removed\n");
    assert!(String::from_utf8_lossy(&removed.stderr).contains("no such cameras: nobody"));
    let drained = fleet.command(&["drain", "z"]);
    assert!(String::from_utf8_lossy(&drained.stderr).contains("no host z runs in this fleet; running: a"));
    let released = fleet.command(&["release", "c0"]);
    assert!(String::from_utf8_lossy(&released.stderr).contains("c0 isn't in quarantine"));
}

#[test]
fn large_and_strange_topics_are_read() {
    register();
    let Some(mut fleet) = Fleet::open() else { return };
    a_thousand_cameras(&mut fleet);
    fleet.next("strange");
    strange_records(&mut fleet);
}

/// Probes are answered before there is a configuration: a host that waits works, and isn't ready.
#[test]
fn a_host_without_a_configuration_waits_and_says_so() {
    register();
    let Some(mut fleet) = Fleet::open() else { return };
    fleet.start("a", &[]);
    fleet.wait_for_line("a", "has no configuration yet");
    let healthy = fleet.get("a", "/healthz");
    assert!(healthy.starts_with("HTTP/1.1 200"), "{healthy}");
    let ready = fleet.get("a", "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("waits for the fleet's configuration"), "{ready}");
    fleet.apply(&fleet.config(2), &["--partitions", "2"]);
    fleet.wait_for_all(2, 60 * SECOND);
    let start = Instant::now();
    while !fleet.get("a", "/readyz").starts_with("HTTP/1.1 200") {
        assert!(start.elapsed() < 60 * SECOND, "{}", fleet.get("a", "/readyz"));
        std::thread::sleep(SECOND / 10);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn tool(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(crate::common::find::gst_trt()).args(arguments).envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn brokers_that_are_not_there_and_addresses_that_are_none_are_said() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("kafka://127.0.0.1:{port}");
    let away = tool(&["fleet", "status", "--brokers", &address], &[]);
    assert!(!away.status.success() && text(&away).contains("no broker answers"), "{}", text(&away));
    for (address, says) in [("mqtt://a", "mqtt"), ("kafka://a:b", "a:b"), ("kafka://u:secret@a", "KAFKA_USERNAME")] {
        let output = tool(&["fleet", "status", "--brokers", address], &[]);
        assert!(!output.status.success() && text(&output).contains(says), "{}", text(&output));
        assert!(!text(&output).contains("secret"));
    }
    let output = tool(&["fleet", "status"], &[]);
    assert!(text(&output).contains("GST_TRT_BROKERS"), "{}", text(&output));
}

#[test]
fn a_wrong_account_is_refused_with_the_remedy() {
    let Some(kafka) = Kafka::secure() else { return };
    let address = format!("kafkas://localhost:{}", kafka.secure_port.unwrap());
    let ca = kafka.path("ca.pem").display().to_string();
    let with = |password: &str, ca: &str| {
        let account = [
            ("KAFKA_USERNAME", USER),
            ("KAFKA_PASSWORD", password),
            ("KAFKA_CA_FILE", ca),
            ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256"),
        ];
        tool(&["fleet", "status", "--brokers", &address], &account)
    };
    let wrong = text(&with("wrong-password", &ca));
    assert!(wrong.contains("refuse the account") && wrong.contains("KAFKA_PASSWORD"), "{wrong}");
    assert!(!wrong.contains("wrong-password"), "{wrong}");
    let other = text(&with(PASSWORD, &kafka.path("other.pem").display().to_string()));
    assert!(other.contains("TLS") && other.contains("KAFKA_CA_FILE"), "{other}");
    let right = text(&with(PASSWORD, &ca));
    assert!(right.contains("there is no such fleet"), "{right}");
    let half = tool(&["fleet", "status", "--brokers", &address], &[("KAFKA_USERNAME", USER)]);
    assert!(text(&half).contains("go together"), "{}", text(&half));
}
