//! trtpublish with TCP readers and MQTT brokers that appear, disappear and refuse.

use crate::common::mosquitto::{Mosquitto, PASSWORD, Subscriber, USER};
use crate::common::outputs::{Answer, Broker};
use crate::common::publish::{Publish, number};
use crate::common::running::register;
use crate::gst_launch;
use gst::prelude::*;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Frame numbers in the next lines.
fn numbers(subscriber: &Subscriber, count: usize) -> Vec<u64> {
    (0..count).map(|_| number(&subscriber.next().1)).collect()
}

#[test]
fn a_reconnecting_tcp_reader_gets_complete_lines() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut publish = Publish::new(&format!("location=tcp://{address} overflow=drop-oldest max-queue=20"));
    publish.push(10);
    let (stream, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert_eq!(
        (0..10).map(|_| number(&lines.next().unwrap().unwrap())).collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    publish.quiet();

    drop((lines, listener));
    publish.push(1);
    let (kind, error) = publish.message();
    assert_eq!(kind, gst::MessageType::Warning);
    assert!(error.message().contains(&format!("tcp://{address}")), "{error}");
    // More than the queue holds: the oldest are dropped and counted.
    publish.push(60);
    let dropped = publish.stat("dropped");
    assert!((39..=41).contains(&dropped), "{dropped}");

    let listener = TcpListener::bind(address).unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let start = Instant::now();
    publish.eos();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(publish.stat("lines") + publish.stat("dropped"), 71);
    publish.quiet();
    drop(publish);
    let text = reading.join().unwrap();
    let numbers: Vec<_> = text.split_inclusive('\n').map(|line| number(line.strip_suffix('\n').unwrap())).collect();
    assert_eq!(numbers[numbers.len() - 20..], (51..71).collect::<Vec<_>>());
}

#[test]
fn an_absent_reader_delays_eos_by_the_drain_timeout_only() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut publish = Publish::new(&format!("location=tcp://{address} drain-timeout=300000000"));
    publish.push(3);
    assert!(publish.message().1.message().contains("refused"));
    let start = Instant::now();
    publish.eos();
    let took = start.elapsed();
    assert!((Duration::from_millis(290)..Duration::from_millis(1500)).contains(&took), "{took:?}");
    assert!(publish.message().1.message().contains("drain-timeout"));
    let element = publish.element.clone();
    drop(publish);
    assert_eq!(element.property::<gst::Structure>("stats").get::<u64>("dropped").unwrap(), 3);
}

#[test]
fn lines_reach_a_broker_each_stream_under_its_topic() {
    let Some(broker) = Mosquitto::open() else { return };
    let subscriber = broker.subscribe("#");
    let location = format!("mqtt://127.0.0.1:{}/site/{{stream-id}}/objects", broker.port);
    let mut publishes = ["door", "yard/1"].map(|id| Publish::new(&format!("location={location} stream-id={id}")));
    for publish in &mut publishes {
        publish.push(100);
        publish.eos();
        publish.quiet();
        assert_eq!((publish.stat("lines"), publish.stat("dropped")), (100, 0));
    }
    let mut seen = [Vec::new(), Vec::new()];
    for _ in 0..200 {
        let (topic, line) = subscriber.next();
        let stream = match &*topic {
            "site/door/objects" => 0,
            "site/yard_1/objects" => 1,
            _ => panic!("{topic}"),
        };
        seen[stream].push(number(&line));
    }
    for numbers in seen {
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    }
    // Both use one connection.
    let log = broker.log();
    assert_eq!(
        log.matches("New client connected from 127.0.0.1").count() - log.matches("as subscriber").count(),
        1,
        "{log}"
    );
}

#[test]
fn every_quality_of_service_delivers() {
    let Some(broker) = Mosquitto::open() else { return };
    let subscriber = broker.subscribe("all/#");
    for qos in ["at-most-once", "at-least-once", "exactly-once"] {
        let location = format!("location=mqtt://127.0.0.1:{}/all/{qos}", broker.port);
        let mut publish = Publish::new(&format!("{location} mqtt-qos={qos} mqtt-retain=true"));
        publish.push(50);
        publish.eos();
        assert_eq!((publish.stat("lines"), publish.stat("dropped")), (50, 0));
        assert_eq!(numbers(&subscriber, 50), (0..50).collect::<Vec<_>>());
    }
    let log = broker.log();
    for (qos, packet) in [("at-most-once", "q0, r1"), ("at-least-once", "q1, r1"), ("exactly-once", "q2, r1")] {
        let published = |line: &&str| line.contains("Received PUBLISH") && line.contains(qos) && line.contains(packet);
        assert_eq!(log.lines().filter(published).count(), 50, "{qos}");
    }
}

/// Several streams together send more messages than mosquitto keeps track of.
#[test]
fn exactly_once_works_for_several_streams_on_one_connection() {
    let Some(broker) = Mosquitto::open() else { return };
    let subscriber = broker.subscribe("all/#");
    let location = format!("location=mqtt://127.0.0.1:{}/all", broker.port);
    let of = |name: &str| Publish::new(&format!("{location}/{name} mqtt-qos=exactly-once max-queue=1000"));
    let mut publishes = ["1", "2", "3", "4"].map(of);
    publishes.iter_mut().for_each(|publish| publish.push(50));
    publishes.iter_mut().for_each(Publish::eos);
    let mut seen = std::collections::HashMap::<String, Vec<u64>>::new();
    for _ in 0..4 * 50 {
        let (topic, line) = subscriber.next();
        seen.entry(topic).or_default().push(number(&line));
    }
    assert!(seen.len() == 4 && seen.values().all(|numbers| *numbers == (0..50).collect::<Vec<_>>()), "{seen:?}");
}

#[test]
fn nothing_is_lost_over_a_restart_of_the_broker() {
    let Some(mut broker) = Mosquitto::open() else { return };
    let subscriber = broker.subscribe("all");
    let mut publish =
        Publish::new(&format!("location=mqtt://127.0.0.1:{}/all overflow=block max-queue=1000", broker.port));
    publish.push(100);
    assert_eq!(numbers(&subscriber, 100), (0..100).collect::<Vec<_>>());
    broker.stop();
    publish.push(100);
    let (kind, error) = publish.message();
    assert_eq!(kind, gst::MessageType::Warning, "{error}");
    broker.start();
    publish.push(100);
    publish.eos();
    assert_eq!((publish.stat("lines"), publish.stat("dropped")), (300, 0));
    // At least once: messages that weren't confirmed arrive twice. New ones are in order.
    let mut newest = 99;
    while newest < 299 {
        let number = number(&subscriber.next().1);
        assert!(number <= newest + 1, "{number} after {newest}");
        newest = newest.max(number);
    }
    publish.quiet();
}

#[test]
fn the_status_says_whether_we_are_there() {
    let Some(broker) = Mosquitto::open() else { return };
    let subscriber = broker.subscribe("status/#");
    let location = format!("location=mqtt://127.0.0.1:{}/objects mqtt-status-topic=status", broker.port);
    let status = |text: &str| ("status/camera".to_owned(), text.to_owned());
    let mut publish = Publish::new(&format!("{location}/camera"));
    assert_eq!(subscriber.next(), status("online"));
    publish.push(1);
    drop(publish);
    assert_eq!(subscriber.next(), status("offline"));

    // When a process dies, its last will reports it.
    let launch = format!("videotestsrc is-live=true ! trtpublish {location}/camera ! fakesink");
    let mut child = gst_launch(&launch).spawn().unwrap();
    assert_eq!(subscriber.next(), status("online"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(subscriber.next(), status("offline"));
}

#[test]
fn the_account_is_from_the_environment_and_a_wrong_one_is_an_error() {
    let Some(broker) = Mosquitto::with_password() else { return };
    let subscriber = broker.subscribe("all");
    let location = format!("127.0.0.1:{}/all", broker.port);
    let launch = format!(
        "videotestsrc num-buffers=3 ! trtpublish location=mqtt://{location} credentials-env=CAMERAS ! fakesink"
    );
    let run = |password: &str| {
        let mut command = gst_launch(&launch);
        command.env("CAMERAS_USERNAME", USER).env("CAMERAS_PASSWORD", password).env("GST_DEBUG", "6");
        command.output().unwrap()
    };
    assert!(run(PASSWORD).status.success());
    assert_eq!(numbers(&subscriber, 3), [0, 1, 2]);
    let refused = run("wr0ng-w0rd");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(text.contains("refuses this user name and password"), "{text}");
    assert!(!text.contains("wr0ng-w0rd"));

    // It also works in the location, and is never shown.
    let mut publish = Publish::new(&format!("location=mqtt://{USER}:{PASSWORD}@{location}"));
    publish.push(3);
    publish.eos();
    publish.quiet();
    assert_eq!(publish.element.property::<String>("location"), format!("mqtt://***@{location}"));
    let bin = gst::Bin::new();
    let twin = gst::ElementFactory::make("trtpublish")
        .property("location", format!("mqtt://{USER}:{PASSWORD}@{location}"))
        .build()
        .unwrap();
    bin.add(&twin).unwrap();
    let dump = bin.debug_to_dot_data(gst::DebugGraphDetails::all());
    assert!(dump.contains("***") && !dump.contains(PASSWORD) && !dump.contains(USER), "{dump}");
    let mut publish = Publish::new(&format!("location=mqtt://{USER}:wr0ng-w0rd@{location}"));
    publish.push(1);
    let (kind, error) = publish.message();
    assert_eq!(kind, gst::MessageType::Error);
    assert!(
        !error.message().contains("w0rd") && error.message().contains(&format!("mqtt://127.0.0.1:{}", broker.port))
    );
}

#[test]
fn tls_works_only_with_the_right_authority() {
    let Some(broker) = Mosquitto::with_tls() else { return };
    let subscriber = broker.subscribe("all");
    let location = |host: &str| format!("location=mqtts://{host}:{}/all", broker.port);
    let ca = |file: &str| format!("tls-ca-file={}", broker.path(file).display());
    let mut publish = Publish::new(&format!("{} {}", location("localhost"), ca("ca.pem")));
    publish.push(3);
    publish.eos();
    publish.quiet();
    assert_eq!(numbers(&subscriber, 3), [0, 1, 2]);

    for (host, authority, words) in [
        ("localhost", Some("other.pem"), "signed by an unknown authority"),
        ("127.0.0.1", Some("ca.pem"), "for another host name"),
        ("localhost", None, "signed by an unknown authority"),
    ] {
        let mut publish = Publish::new(&format!("{} {}", location(host), authority.map(ca).unwrap_or_default()));
        publish.push(1);
        let (kind, error) = publish.message();
        assert_eq!(kind, gst::MessageType::Error, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}

impl Publish {
    /// The warnings about undeliverable messages so far.
    fn undeliverable(&self) -> Vec<String> {
        let warnings = self.bus.iter_filtered(&[gst::MessageType::Warning]);
        let text = |message: gst::Message| match message.view() {
            gst::MessageView::Warning(warning) => warning.error().message().to_owned(),
            _ => unreachable!(),
        };
        warnings.map(text).filter(|text| text.contains("can't be delivered")).collect()
    }

    /// Pushes a line of a stream whose name has this many bytes.
    fn push_long(&mut self, bytes: usize) {
        let before = self.element.property::<Option<String>>("stream-id");
        self.element.set_property("stream-id", "x".repeat(bytes));
        self.push(1);
        self.element.set_property("stream-id", before);
    }
}

/// A real broker closes the connection for a packet beyond its limit: that message is left out, counted and reported, and
/// nothing else is lost, neither of this stream nor of another on the same connection.
#[test]
fn a_message_that_is_too_large_for_the_broker_is_left_out() {
    for qos in ["at-least-once", "exactly-once"] {
        let Some(broker) = Mosquitto::with("max_packet_size 1000") else { return };
        let subscriber = broker.subscribe("all/#");
        let location = format!("location=mqtt://127.0.0.1:{}/all", broker.port);
        let more = format!("mqtt-qos={qos} max-queue=1000 drain-timeout=30000000000");
        let of = |name: &str| Publish::new(&format!("{location}/{name} stream-id={name} {more}"));
        let (mut door, mut yard) = (of("door"), of("yard"));
        for publish in [&mut door, &mut yard] {
            publish.push(20);
        }
        door.push_long(3000);
        door.push(20);
        yard.push(20);
        door.push_long(2900);
        door.push_long(4000);
        door.push(20);
        let start = Instant::now();
        door.eos();
        yard.push(20);
        yard.eos();
        assert_eq!((door.stat("lines"), door.stat("dropped")), (60, 3));
        assert_eq!((yard.stat("lines"), yard.stat("dropped")), (60, 0));
        let (mut doors, mut yards) = (Vec::new(), Vec::new());
        while doors.last() != Some(&62) || yards.last() != Some(&59) {
            let (topic, line) = subscriber.next();
            let seen = if topic == "all/door" { &mut doors } else { &mut yards };
            // Messages in flight arrive twice.
            if !seen.contains(&number(&line)) {
                seen.push(number(&line));
            }
        }
        let expected: Vec<_> = (0..63).filter(|n| ![20, 41, 42].contains(n)).collect();
        assert_eq!((doors, yards), (expected, (0..60).collect()), "{qos}");
        let told = door.undeliverable();
        assert_eq!(told.len(), 1, "{told:?}");
        for words in ["under topic all/door", "max_packet_size", "the largest that it has accepted is"] {
            assert!(told[0].contains(words), "{told:?}");
        }
        assert!(told[0].contains(" 31") || told[0].contains(" 30"), "its size: {told:?}");
        assert!(yard.undeliverable().is_empty());
        let connections = broker.log().matches("New client connected").count();
        assert!(connections <= 8, "{connections} in {:?}: {}", start.elapsed(), broker.log());
    }
}

/// A broker that closes the connection is noticed without confirmations too, and doesn't face a reconnect storm.
#[test]
fn a_message_that_is_never_taken_is_left_out_without_confirmations_too() {
    let broker = Broker::with(|_, size| if size > 1000 { Answer::Close } else { Answer::Take });
    let mut publish = Publish::new(&format!("location=mqtt://127.0.0.1:{}/all mqtt-qos=at-most-once", broker.port));
    let start = Instant::now();
    let mut told = Vec::new();
    while told.is_empty() {
        publish.push_long(3000);
        publish.push(1);
        std::thread::sleep(Duration::from_millis(50));
        told = publish.undeliverable();
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is told");
    }
    assert!(told[0].contains("under topic all") && told[0].contains("max_packet_size"), "{told:?}");
    assert!(broker.connections() <= 1 + start.elapsed().as_secs() as usize, "{}", broker.connections());
    // From then on everything that the broker accepts arrives.
    let (first, connections) = (publish.frames, broker.connections());
    for _ in 0..30 {
        publish.push_long(3000);
        publish.push(1);
    }
    publish.eos();
    let expected: Vec<_> = (0..30).map(|n| first + 2 * n + 1).collect();
    let start = Instant::now();
    while !broker.frames("all").ends_with(&expected) {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?} of {expected:?}", broker.frames("all"));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(broker.connections() <= connections + 1);
    assert!(publish.undeliverable().is_empty(), "told once");
}

/// Like brokers with access rules that close the connection.
#[test]
fn a_refused_topic_delays_no_other() {
    let broker = Broker::with(|topic, _| if topic == "secret" { Answer::Close } else { Answer::Take });
    let of = |topic: &str| {
        Publish::new(&format!(
            "location=mqtt://127.0.0.1:{}/{topic} overflow=drop-oldest max-queue=1000 mqtt-status-topic=status/x \
             drain-timeout=30000000000",
            broker.port
        ))
    };
    let (mut secret, mut open) = (of("secret"), of("open"));
    let start = Instant::now();
    for _ in 0..60 {
        secret.push(2);
        open.push(2);
        std::thread::sleep(Duration::from_millis(50));
    }
    open.eos();
    secret.eos();
    assert_eq!((open.stat("lines"), open.stat("dropped")), (120, 0));
    assert_eq!((secret.stat("lines"), secret.stat("dropped")), (0, 120));
    assert_eq!(broker.frames("open"), (0..120).collect::<Vec<_>>());
    let told = secret.undeliverable();
    assert!(told.len() == 1 && told[0].contains("topic secret") && told[0].contains("ACL"), "{told:?}");
    assert!(open.undeliverable().is_empty());
    let seconds = start.elapsed().as_secs() as usize;
    assert!(broker.connections() <= 1 + seconds, "{} in {seconds} s", broker.connections());
    // Once the broker allows it, and a trial message finds out, it gets through.
    broker.set_rule(|_, _| Answer::Take);
    broker.away(true);
    let mut publish = of("open");
    publish.push(1);
    std::thread::sleep(Duration::from_secs(3));
    broker.away(false);
    let mut secret = of("secret");
    secret.push(3);
    secret.eos();
    assert_eq!((secret.stat("lines"), secret.stat("dropped")), (3, 0));
}

#[test]
fn a_refused_status_message_delays_no_line() {
    let broker = Broker::with(|topic, _| if topic == "presence" { Answer::Close } else { Answer::Take });
    let mut publish = Publish::new(&format!(
        "location=mqtt://127.0.0.1:{}/all mqtt-status-topic=presence drain-timeout=30000000000",
        broker.port
    ));
    publish.push(10);
    publish.eos();
    assert_eq!((publish.stat("lines"), publish.stat("dropped")), (10, 0));
    let told = publish.undeliverable();
    assert!(told.len() == 1 && told[0].contains("topic presence"), "{told:?}");
    assert!(broker.connections() <= 8, "{}", broker.connections());
}

#[test]
fn a_topic_that_can_not_be_is_left_out() {
    let Some(broker) = Mosquitto::open() else { return };
    let subscriber = broker.subscribe("#");
    let location = format!("location=mqtt://127.0.0.1:{}", broker.port);
    let mut publish = Publish::new(&format!("{location}/{{stream-id}} stream-id=door"));
    publish.push(1);
    // Longer than the protocol allows; the client would send a malformed packet.
    publish.push_long(70_000);
    publish.push_long(70_000);
    // Control characters, for which mosquitto closes the connection.
    publish.element.set_property("stream-id", "a\u{1}b\u{85}c");
    publish.push(1);
    publish.element.set_property("stream-id", "$SYS");
    publish.push(1);
    publish.eos();
    assert_eq!((publish.stat("lines"), publish.stat("dropped")), (3, 2));
    let topics: Vec<_> = (0..3).map(|_| subscriber.next().0).collect();
    assert_eq!(topics, ["door", "a_b_c", "_SYS"]);
    let told = publish.undeliverable();
    assert!(told.len() == 1 && told[0].contains("65535"), "{told:?}");
    drop(publish);

    // More levels than mosquitto accepts, which closes the connection.
    let deep = vec!["x"; 300].join("/");
    let mut publish = Publish::new(&format!("{location}/{deep} drain-timeout=30000000000"));
    publish.push(5);
    publish.eos();
    assert_eq!((publish.stat("lines"), publish.stat("dropped")), (0, 5));
    let told = publish.undeliverable();
    assert!(told.len() == 1 && told[0].contains("x/x/x") && told[0].contains("bytes"), "{told:?}");
    let connections = broker.log().matches("New client connected").count();
    assert!(connections <= 8, "{connections}: {}", broker.log());
}

/// Brokers that disconnect several times in the middle of a stream: the messages aren't at fault.
#[test]
fn an_outage_is_no_reason_to_leave_anything_out() {
    // Closes the connection on every 40th message without accepting it, whichever it is; twice in a row once.
    let count = AtomicUsize::new(0);
    let broker = Broker::with(move |_, _| match count.fetch_add(1, Ordering::SeqCst) {
        41 => Answer::Close,
        n if n % 40 == 39 => Answer::Close,
        _ => Answer::Take,
    });
    let mut publish = Publish::new(&format!(
        "location=mqtt://127.0.0.1:{}/all overflow=block max-queue=1000 drain-timeout=60000000000",
        broker.port
    ));
    for _ in 0..10 {
        publish.push(20);
        broker.hang_up();
        std::thread::sleep(Duration::from_millis(300));
    }
    publish.eos();
    assert_eq!((publish.stat("lines"), publish.stat("dropped")), (200, 0));
    let mut got = broker.frames("all");
    assert_eq!(got.len(), 200);
    assert!(got.is_sorted());
    got.dedup();
    assert_eq!(got, (0..200).collect::<Vec<_>>());
    assert!(publish.undeliverable().is_empty());
}

/// With `on-error=retry`.
#[test]
fn a_broker_that_refuses_is_asked_again_if_asked_for() {
    let broker = Broker::refusing(5);
    let location = format!("location=mqtt://127.0.0.1:{}/all", broker.port);
    let mut publish = Publish::new(&format!("{location} on-error=retry overflow=drop-oldest max-queue=20"));
    publish.push(50);
    let (kind, warning) = publish.message();
    assert_eq!(kind, gst::MessageType::Warning);
    assert!(warning.message().contains("refuses this user name and password"), "{warning}");
    std::thread::sleep(Duration::from_millis(2500));
    assert!((2..=4).contains(&broker.connections()), "{}", broker.connections());
    publish.quiet();
    broker.accept();
    publish.eos();
    let (lines, dropped) = (publish.stat("lines"), publish.stat("dropped"));
    // The line being sent and the queued ones.
    assert!(lines + dropped == 50 && (20..=21).contains(&lines), "{lines} and {dropped}");
    assert_eq!(broker.frames("all").len() as u64, lines);
}

#[test]
fn what_cannot_be_a_location_is_an_error_at_start() {
    register();
    for (properties, words) in [
        ("location=tcp://nowhere", "write tcp://host:port"),
        ("location=mqtt://host/a/#", "wildcard"),
        ("location=mqtts://host/a tls-ca-file=/no/ca.pem", "/no/ca.pem"),
        ("location=mqtt://host/a mqtt-status-topic=+", "mqtt-status-topic"),
        ("location=mqtt://host/a mqtt-topic=\"a\tb\"", "control character"),
        ("location=http://me:s3cr3t@host/", "unknown scheme"),
    ] {
        let pipeline = gst::parse::launch(&format!("videotestsrc ! trtpublish {properties} ! fakesink")).unwrap();
        assert!(pipeline.set_state(gst::State::Paused).is_err(), "{properties}");
        let message = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        let text = error.error().message().to_owned();
        assert!(text.contains(words) && !text.contains("s3cr3t"), "{text}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
