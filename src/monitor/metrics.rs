//! The metrics for Prometheus, and the server that it scrapes.

use super::cpu::{process_cpu, process_memory};
use super::sample::Sample;
use super::snapshot::{BUCKETS, Camera, CameraState, ClipCounts, Count};
use crate::error::{Error, ErrorKind};
use crate::http::{self, Body, Handler, Limits};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Metrics in Prometheus' text format (0.0.4), of the cameras as they are now and of the last sample of everything
/// else.
///
/// Labels are the cameras' names and states, the names of their zones and lines, the GPUs' numbers and the version: the number
/// of series is proportional to that of cameras, zones, lines and GPUs.
pub fn text(cameras: Vec<Camera>, sample: Option<Sample>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Numbers { cameras, sample }));
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

/// No labels.
const NONE: [(&str, &str); 0] = [];

#[derive(Debug)]
struct Numbers {
    cameras: Vec<Camera>,
    sample: Option<Sample>,
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.cameras(&mut encoder)?;
        self.places(&mut encoder)?;
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1_u64)];
        gauges(&mut encoder, "gst_trt_build_info", "Version of the program", version)?;
        counters(
            &mut encoder,
            "process_cpu_seconds",
            "CPU time of all threads, user and system",
            [(NONE, process_cpu().as_secs_f64())],
        )?;
        let memory = process_memory().map(|bytes| (NONE, bytes));
        gauges(&mut encoder, "process_resident_memory_bytes", "Memory in RAM", memory)?;
        if let Some(sample) = &self.sample {
            machine(&mut encoder, sample)?;
        }
        Ok(())
    }
}

impl Numbers {
    fn places(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let places = || {
            self.cameras.iter().flat_map(|camera| {
                camera.places.iter().map(|place| (camera.name.as_str(), place.name.as_str(), place.count))
            })
        };
        let zones = |value: fn(u32, u64, u64) -> u64| {
            places().filter_map(move |(camera, zone, count)| match count {
                Count::Zone { occupancy, entered, left } => {
                    Some(([("camera", camera), ("zone", zone)], value(occupancy, entered, left)))
                }
                Count::Line { .. } => None,
            })
        };
        let occupancy = zones(|occupancy, _, _| occupancy.into());
        gauges(encoder, "gst_trt_zone_occupancy", "Objects that are in the zone", occupancy)?;
        counters(
            encoder,
            "gst_trt_zone_entered",
            "Objects that have entered the zone",
            zones(|_, entered, _| entered),
        )?;
        counters(encoder, "gst_trt_zone_left", "Objects that have left the zone", zones(|_, _, left| left))?;
        let crossings = places().filter_map(|(camera, line, count)| match count {
            Count::Line { inwards, outwards } => Some(
                [("in", inwards), ("out", outwards)]
                    .map(|(direction, count)| ([("camera", camera), ("line", line), ("direction", direction)], count)),
            ),
            Count::Zone { .. } => None,
        });
        counters(encoder, "gst_trt_line_crossings", "Objects that have crossed the line", crossings.flatten())
    }

    fn cameras(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        type Count = fn(&Camera) -> u64;
        let counts: [(&str, &str, Count); 5] = [
            ("gst_trt_camera_frames", "Frames that came out at the pipeline's end", |c| c.frames),
            ("gst_trt_camera_objects", "Objects found in those frames", |c| c.objects),
            ("gst_trt_camera_dropped_frames", "Frames left out on the way", |c| c.drops),
            ("gst_trt_camera_dropped_lines", "Lines of JSON that outputs dropped", |c| c.lines_dropped),
            ("gst_trt_camera_reconnects", "Connections after the first", |c| c.reconnects),
        ];
        for (name, help, count) in counts {
            let values = self.cameras.iter().map(|camera| ([("camera", camera.name.as_str())], count(camera)));
            counters(encoder, name, help, values)?;
        }
        let states = self.cameras.iter().flat_map(|camera| {
            CameraState::ALL.map(|state| {
                ([("camera", camera.name.as_str()), ("state", state.name())], u64::from(camera.state == state))
            })
        });
        gauges(encoder, "gst_trt_camera_state", "1 for the state that the camera is in, 0 for the others", states)?;
        let unserved =
            self.cameras.iter().map(|camera| ([("camera", camera.name.as_str())], u64::from(camera.unserved)));
        gauges(encoder, "gst_trt_camera_unserved", "1 if this host of a fleet has no room for the camera", unserved)?;
        self.clips(encoder)?;
        let mut family = encoder.encode_descriptor(
            "gst_trt_camera_latency_seconds",
            "From a frame's arrival to the pipeline's end",
            None,
            MetricType::Histogram,
        )?;
        for camera in &self.cameras {
            let latency = &camera.latency;
            let bounds = BUCKETS.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(latency.counts).collect();
            family.encode_family(&[("camera", camera.name.as_str())])?.encode_histogram::<NoLabelSet>(
                latency.sum,
                latency.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}

impl Numbers {
    /// Cameras without clips have no series.
    fn clips(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let of = |value: fn(&ClipCounts) -> f64| {
            let values = move |camera: &Camera| camera.clips.as_ref().map(value);
            self.cameras.iter().filter_map(move |camera| Some(([("camera", camera.name.as_str())], values(camera)?)))
        };
        let (bytes, seconds) = (of(|clips| clips.buffer_bytes as f64), of(|clips| clips.buffer_s));
        gauges(
            encoder,
            "gst_trt_camera_clip_buffer_bytes",
            "Memory of the coded stream that is kept for clips",
            bytes,
        )?;
        gauges(encoder, "gst_trt_camera_clip_buffer_seconds", "Length of the stream that is kept for clips", seconds)?;
        let count = |value: fn(&ClipCounts) -> u64| {
            let values = move |camera: &Camera| camera.clips.as_ref().map(value);
            self.cameras.iter().filter_map(move |camera| Some(([("camera", camera.name.as_str())], values(camera)?)))
        };
        counters(encoder, "gst_trt_camera_clips", "Clips of events that were written", count(|clips| clips.written))?;
        counters(
            encoder,
            "gst_trt_camera_clips_lost",
            "Events and commands whose clip wasn't written, or not to its end",
            count(|clips| clips.lost),
        )
    }
}

fn machine(encoder: &mut DescriptorEncoder, sample: &Sample) -> fmt::Result {
    const MIB: f64 = 1048576.0;
    let busy = sample.machine.cpu_percent.map(|percent| (NONE, percent / 100.0));
    gauges(encoder, "gst_trt_machine_cpu_ratio", "Share of all cores that is busy", busy)?;
    type Value = fn(&super::Gpu) -> Option<f64>;
    let values: [(&str, &str, Value); 5] = [
        ("gst_trt_gpu_utilization_ratio", "Share of the time in which a kernel ran", |g| Some(g.gpu_percent? / 100.0)),
        ("gst_trt_gpu_decoder_utilization_ratio", "Share of NVDEC's time", |g| Some(g.decoder_percent? / 100.0)),
        ("gst_trt_gpu_memory_utilization_ratio", "Share of the time in which memory was used", |g| {
            Some(g.memory_percent? / 100.0)
        }),
        ("gst_trt_gpu_memory_used_bytes", "Memory in use, by all programs", |g| Some(g.memory_used_mib? * MIB)),
        ("gst_trt_gpu_memory_bytes", "Memory that the GPU has", |g| Some(g.memory_total_mib? * MIB)),
    ];
    for (name, help, value) in values {
        // Figures that the library doesn't have get no series.
        gauges(encoder, name, help, sample.gpus.iter().filter_map(|gpu| Some(([("gpu", gpu.index)], value(gpu)?))))?;
    }
    Ok(())
}

/// A family of counters; the encoder adds `_total` to the name.
fn counters<S: EncodeLabelSet, V: EncodeCounterValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (S, V)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
    }
    Ok(())
}

fn gauges<S: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (S, V)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

/// Answers `GET` of `/metrics`, `/healthz` and `/readyz` on its own thread, until dropped.
pub struct Server(http::Server);

/// Whether something is as it should be, or what isn't.
pub type Probe = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the server answers with.
#[derive(Clone)]
pub struct Pages {
    /// Renders the metrics.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// `/healthz`: whether the process works; if it doesn't, a restart is the remedy.
    pub healthy: Probe,
    /// `/readyz`: whether it does what it's there for.
    pub ready: Probe,
}

impl Server {
    /// Concurrent connections; others wait.
    const CONNECTIONS: usize = 8;
    const LIMITS: Limits = Limits {
        connections: Self::CONNECTIONS,
        head: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        blocking_threads: 1,
    };

    /// # Errors
    /// The address can't be bound.
    pub fn start(address: SocketAddr, source: Pages) -> Result<Self, Error> {
        let handler: Handler = Arc::new(move |request| Box::pin(std::future::ready(answer(&request, &source))));
        let server = http::Server::start(address, "metrics", Self::LIMITS, handler).map_err(|error| {
            let message = format!("metrics can't be served at {address}: {error}; choose another address or port");
            Error::new(ErrorKind::Setting, message)
        })?;
        Ok(Self(server))
    }

    /// The address, with the port that was assigned if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

fn answer(request: &Request<Incoming>, source: &Pages) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let mut response = http::whole(StatusCode::OK, (source.metrics)());
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        (&Method::GET | &Method::HEAD, "/healthz") => probe(&source.healthy),
        (&Method::GET | &Method::HEAD, "/readyz") => probe(&source.ready),
        (_, "/metrics" | "/healthz" | "/readyz") => {
            let mut response = http::whole(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        _ => http::whole(StatusCode::NOT_FOUND, "metrics are at /metrics, probes at /healthz and /readyz\n"),
    }
}

fn probe(probe: &Probe) -> Response<Body> {
    match probe() {
        Ok(()) => http::whole(StatusCode::OK, "ok\n"),
        Err(reason) => http::whole(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Gpu, Meter, Place, Sampler};
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn cameras() -> Vec<Camera> {
        let meter = Meter::new("door \"1\"");
        meter.frame(Duration::from_millis(7), 3);
        meter.frame(Duration::from_secs(9), 1);
        meter.set_state(CameraState::Playing, None);
        meter.dropped(4);
        let place = |name: &str, count| Place { name: name.into(), count };
        let places = vec![
            place("hall", Count::Zone { occupancy: 2, entered: 5, left: 3 }),
            place("a \"line\"", Count::Line { inwards: 7, outwards: 8 }),
        ];
        let recorded = Meter::new("yard");
        recorded.clip_buffer(3 << 20, Duration::from_millis(5500));
        recorded.clip_written();
        recorded.clips_lost(2);
        vec![Camera { places, ..meter.snapshot() }, recorded.snapshot()]
    }

    #[test]
    fn names_and_units_are_as_prometheus_has_them() {
        let mut sample = Sampler::new(15.0, false).sample(cameras());
        sample.gpus = vec![Gpu { index: 1, gpu_percent: Some(50.0), memory_used_mib: Some(2.0), ..Gpu::default() }];
        let text = text(cameras(), Some(sample));
        for line in [
            "# TYPE gst_trt_camera_frames_total counter",
            "gst_trt_camera_frames_total{camera=\"door \\\"1\\\"\"} 2",
            "gst_trt_camera_objects_total{camera=\"door \\\"1\\\"\"} 4",
            "gst_trt_camera_dropped_frames_total{camera=\"door \\\"1\\\"\"} 4",
            "gst_trt_camera_state{camera=\"door \\\"1\\\"\",state=\"playing\"} 1",
            "gst_trt_camera_state{camera=\"door \\\"1\\\"\",state=\"stalled\"} 0",
            "# TYPE gst_trt_camera_clip_buffer_bytes gauge",
            "gst_trt_camera_clip_buffer_bytes{camera=\"yard\"} 3145728.0",
            "gst_trt_camera_clip_buffer_seconds{camera=\"yard\"} 5.5",
            "gst_trt_camera_clips_total{camera=\"yard\"} 1",
            "gst_trt_camera_clips_lost_total{camera=\"yard\"} 2",
            "gst_trt_camera_unserved{camera=\"door \\\"1\\\"\"} 0",
            "# TYPE gst_trt_zone_occupancy gauge",
            "gst_trt_zone_occupancy{camera=\"door \\\"1\\\"\",zone=\"hall\"} 2",
            "gst_trt_zone_entered_total{camera=\"door \\\"1\\\"\",zone=\"hall\"} 5",
            "gst_trt_zone_left_total{camera=\"door \\\"1\\\"\",zone=\"hall\"} 3",
            "# TYPE gst_trt_line_crossings_total counter",
            "gst_trt_line_crossings_total{camera=\"door \\\"1\\\"\",line=\"a \\\"line\\\"\",direction=\"out\"} 8",
            "# TYPE gst_trt_camera_latency_seconds histogram",
            "# TYPE process_cpu_seconds_total counter",
            "# TYPE process_resident_memory_bytes gauge",
            "gst_trt_gpu_memory_used_bytes{gpu=\"1\"} 2097152.0",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
        // The encoder decides the order of labels.
        let bucket = |le: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with("gst_trt_camera_latency_seconds_bucket") && line.contains(le));
            line.unwrap_or_else(|| panic!("{le}: {text}")).rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!([bucket("\"0.005\""), bucket("\"0.01\""), bucket("\"+Inf\"")], ["0", "1", "2"]);
        assert!(text.contains("gst_trt_gpu_utilization_ratio{gpu=\"1\"} 0.5"), "{text}");
        assert!(!text.contains("gst_trt_gpu_decoder_utilization_ratio{"), "{text}");
        assert!(!text.contains("clips_total{camera=\"door"), "{text}");
    }

    fn ask(server: &Server, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_server_answers_what_it_has_and_ends() {
        let pages = Pages {
            metrics: Arc::new(|| text(cameras(), None)),
            healthy: Arc::new(|| Ok(())),
            ready: Arc::new(|| Err("door hasn't started".to_owned())),
        };
        let server = Server::start("127.0.0.1:0".parse().unwrap(), pages.clone()).unwrap();
        let end = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = ask(&server, &format!("GET /metrics {end}"));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("content-type: text/plain; version=0.0.4")
                && answer.contains("gst_trt_camera_frames_total")
        );
        assert!(ask(&server, &format!("GET / {end}")).starts_with("HTTP/1.1 404"));
        assert!(ask(&server, &format!("GET /healthz {end}")).starts_with("HTTP/1.1 200"));
        let unready = ask(&server, &format!("GET /readyz {end}"));
        assert!(unready.starts_with("HTTP/1.1 503") && unready.ends_with("door hasn't started\n"), "{unready}");
        assert!(ask(&server, &format!("POST /metrics {end}")).starts_with("HTTP/1.1 405"));
        assert!(ask(&server, "what?\r\n\r\n").starts_with("HTTP/1.1 400"));
        // Silent clients block neither others, up to the limit, nor the end.
        let _silent: Vec<_> =
            (0..Server::CONNECTIONS - 1).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
        assert!(ask(&server, &format!("GET /metrics {end}")).starts_with("HTTP/1.1 200"));
        let taken = Server::start(server.address(), pages).err().unwrap();
        assert!(taken.message.contains(&server.address().to_string()), "{taken}");
        let (address, start) = (server.address(), std::time::Instant::now());
        drop(server);
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!(TcpStream::connect(address).is_err());
    }
}
