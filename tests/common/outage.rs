//! Servers that are away while `gst-trt run` publishes to them.

use super::find;
use super::kafka::Kafka;
use super::operator::Operator;
use super::publish::number;
use super::redis::Redis;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// Lines that an output keeps.
const QUEUE: u32 = 50;
const FPS: u32 = 25;
/// Each publishes to the server of its name, and to a file, which loses nothing.
const CAMERAS: [&str; 2] = ["kafka", "redis"];

/// Kafka and Redis are away for `time`: cameras go on, the newest lines arrive in order afterwards, the others are counted.
pub fn kafka_and_redis_are_away(time: Duration) {
    let (Some(mut kafka), Some(mut redis)) = (Kafka::open(), Redis::open()) else { return };
    kafka.create_topic("lines", 3, &[]);
    let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let camera = |name: &str, output| json!({ "NAME": name, "URL": "test:ball", "WIDTH": 32, "HEIGHT": 32, "FPS": FPS, "OUTPUTS": output });
    let to_kafka = json!({ "URL": format!("kafka://{}", kafka.brokers()), "TOPIC": "lines", "OFFLINE_QUEUE": QUEUE });
    let to_redis =
        json!({ "URL": format!("redis://127.0.0.1:{}", redis.port), "STREAM": "lines", "OFFLINE_QUEUE": QUEUE });
    let mut operator = Operator::new();
    operator.write(&json!({
        "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "THREAD_PRIORITY": "LOW" },
        "models": { "DETECTION": { "ONNX": find::test_model("yolo") }, "POSE": { "ENABLED": false } },
        "cameras": {
            "RTSP_STREAMS": [camera("kafka", json!({ "KAFKA": to_kafka })), camera("redis", json!({ "REDIS": to_redis }))]
        },
        "outputs": { "JSON_LINES": "{camera}.jsonl" },
        "monitoring": { "METRICS": format!("127.0.0.1:{metrics}") }
    }));
    operator.run(&[]);
    for camera in CAMERAS {
        operator.wait_for("lines", || operator.lines(camera) > 2 * FPS as usize);
    }

    kafka.stop();
    redis.stop();
    let (before, start) = (CAMERAS.map(|camera| operator.lines(camera)), Instant::now());
    std::thread::sleep(time);
    let least = start.elapsed().as_secs_f64() * f64::from(FPS) * 0.7;
    for (camera, before) in CAMERAS.into_iter().zip(before) {
        let lines = operator.lines(camera) - before;
        println!("{camera}: {lines} lines while its server was away for {:?}", start.elapsed());
        assert!(lines as f64 >= least, "{camera} goes on: {lines} lines, {least} at least");
        assert!(dropped(metrics, camera) > 0, "{camera}: a queue of {QUEUE} doesn't hold {lines} lines");
    }

    kafka.start();
    redis.start();
    let back = CAMERAS.map(|camera| operator.lines(camera));
    // What comes now is written: what waited has been written before it.
    let consumer: BaseConsumer = kafka.client().create().unwrap();
    let written = |camera: &str| -> usize {
        if camera == "redis" {
            return redis.cli(&["XLEN", "lines"]).parse().unwrap();
        }
        let end = |partition| consumer.fetch_watermarks("lines", partition, 10 * SECOND).map_or(0, |(_, end)| end);
        usize::try_from((0..3).map(end).sum::<i64>()).unwrap()
    };
    for (camera, back) in CAMERAS.into_iter().zip(back) {
        operator.wait_for("lines of afterwards", || {
            let lost = usize::try_from(dropped(metrics, camera)).unwrap();
            operator.lines(camera) > back + FPS as usize && written(camera) + lost > back + FPS as usize
        });
    }
    let dropped = CAMERAS.map(|camera| dropped(metrics, camera));
    operator.stop();

    let of_kafka: Vec<u64> =
        kafka.read_for("lines", written("kafka"), 60 * SECOND).iter().map(|record| number(record.text())).collect();
    let of_redis = redis.cli(&["XRANGE", "lines", "-", "+"]);
    let of_redis: Vec<u64> = of_redis.lines().filter(|line| line.starts_with('{')).map(number).collect();
    for ((camera, numbers), (dropped, before)) in
        CAMERAS.into_iter().zip([of_kafka, of_redis]).zip(dropped.into_iter().zip(before))
    {
        let published = operator.lines(camera);
        println!("{camera}: {published} lines were published, {} arrived, {dropped} were dropped", numbers.len());
        assert!(numbers.is_sorted_by(|a, b| a < b), "{camera}: {numbers:?}");
        assert_eq!(numbers.len() as u64 + dropped, published as u64, "{camera}: {:#?}", operator.path(""));
        // After the last gap there is what the queue held, and everything since.
        let gap = numbers.windows(2).rposition(|pair| pair[1] != pair[0] + 1).expect("some were dropped");
        let kept = published as u64 - numbers[gap + 1];
        assert!(kept >= u64::from(QUEUE), "{camera}: {kept} since {}", numbers[gap + 1]);
        assert!(numbers[gap + 1] > before as u64, "{camera}: the oldest are dropped first");
    }
}

/// The lines of a camera that its outputs have dropped.
fn dropped(metrics: u16, camera: &str) -> u64 {
    let mut stream = TcpStream::connect(("127.0.0.1", metrics)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let series = format!("gst_trt_camera_dropped_lines_total{{camera=\"{camera}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}
