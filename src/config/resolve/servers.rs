//! Servers that outputs send to: MQTT, Kafka and Redis.

use super::super::delivery::{Format, is_kafka_topic};
use super::super::file;
use super::super::plan::{Broker, Content, Kafka, Mqtt, Qos, Redis, Server};
use super::super::secret::Secret;
use super::super::text::join;
use super::Context;
use super::address::{self, Address};
use super::outputs::{Keys, credential, is_loopback, tls};
use std::time::Duration;

/// What the settings of all have in common.
struct Common<'a> {
    enabled: Option<bool>,
    url: &'a Option<String>,
    /// The names of the variables with user name and password, and those that are read otherwise.
    credentials: [(&'static str, &'a Option<String>, &'static str); 2],
    /// Authorities, certificate, key.
    files: [&'a Option<String>; 3],
    offline_queue: Option<u32>,
}

/// How addresses are written.
struct Form {
    scheme: &'static str,
    secure: &'static str,
    /// The ports without and with TLS.
    ports: [u16; 2],
    several: bool,
    example: &'static str,
}

const MQTT: Form = Form {
    scheme: "mqtt",
    secure: "mqtts",
    ports: [1883, 8883],
    several: false,
    example: "write mqtt://HOST or mqtts://HOST for TLS; :PORT defaults to 1883 or 8883",
};

const KAFKA: Form = Form {
    scheme: "kafka",
    secure: "kafkas",
    ports: [::fleet::default_port(false), ::fleet::default_port(true)],
    several: true,
    example: "write kafka://HOST or kafkas://HOST for TLS, with commas between several; :PORT defaults to 9092 or 9093",
};

const REDIS: Form = Form {
    scheme: "redis",
    secure: "rediss",
    ports: [6379, 6379],
    several: false,
    example: "write redis://HOST or rediss://HOST for TLS; :PORT defaults to 6379",
};

/// The rule that an address with an account breaks.
const NO_USER: &str = "the address has no user: credentials come from the environment";

/// `content`, `format`: what messages are of and how they are written, unless their own keys say so. `cameras`: how many
/// cameras there are.
pub fn mqtt(
    ctx: &mut Context,
    keys: &Keys,
    (settings, (content, format)): (&file::Mqtt, (Content, Format)),
    name: &str,
    cameras: usize,
) -> Option<Mqtt> {
    let common = Common {
        enabled: settings.enabled,
        url: &settings.url,
        credentials: [
            ("USERNAME_ENV", &settings.username_env, "MQTT_USERNAME"),
            ("PASSWORD_ENV", &settings.password_env, "MQTT_PASSWORD"),
        ],
        files: [&settings.ca_file, &settings.cert_file, &settings.key_file],
        offline_queue: settings.offline_queue,
    };
    let server = server(ctx, keys, &MQTT, &common)?;
    needs_user(ctx, keys, &server, "MQTT", "MQTT_USERNAME");
    let template = settings.topic.as_deref().unwrap_or("gst-trt/{camera}/objects");
    let events_template = settings.events_topic.as_deref().unwrap_or("gst-trt/{camera}/events");
    for (name, template) in [("TOPIC", template), ("EVENTS_TOPIC", events_template)] {
        let key = keys.key(ctx, name);
        check_mqtt_topic(ctx, &key, template);
        let is_own = ctx.is_written(&join(keys.camera, &format!("OUTPUTS.MQTT.{name}")));
        if cameras > 1 && !template.contains("{camera}") && !is_own {
            ctx.warning(&key, "all cameras share one topic", "put {camera} into it, unless this is intended");
        }
    }
    let status_topic = settings.status_topic.clone().unwrap_or_else(|| "gst-trt/status".into());
    let status_key = keys.key(ctx, "STATUS_TOPIC");
    check_mqtt_topic(ctx, &status_key, &status_topic);
    if status_topic.contains("{camera}") {
        ctx.error(&status_key, "it is one for all cameras of a connection", "remove {camera}");
    }
    let broker = Broker {
        server,
        client_id: settings.client_id.clone(),
        status_topic,
        keep_alive: Duration::from_secs(settings.keep_alive_s.unwrap_or(30).into()),
    };
    let qos = match settings.qos.unwrap_or(1) {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        _ => Qos::ExactlyOnce,
    };
    Some(Mqtt {
        broker,
        topic: template.replace("{camera}", name),
        events_topic: events_template.replace("{camera}", name),
        content: settings.content.unwrap_or(content),
        format: settings.format.unwrap_or(format),
        qos,
        retain: settings.retain.unwrap_or(false),
    })
}

/// MQTT 5, 4.7
pub(super) fn check_mqtt_topic(ctx: &mut Context, key: &str, topic: &str) {
    let forbidden = |c: char| matches!(c, '+' | '#') || c.is_control();
    if topic.is_empty() || topic.contains(forbidden) || topic.starts_with('$') || topic.len() > 65_000 {
        ctx.error(
            key,
            "messages go to a topic without +, # and control characters, which doesn't begin with $",
            "for example gst-trt/{camera}/objects",
        );
    }
}

/// `content`, `format`: what messages are of and how they are written, unless their own keys say so.
pub fn kafka(
    ctx: &mut Context,
    keys: &Keys,
    settings: &file::Kafka,
    (content, format): (Content, Format),
) -> Option<Kafka> {
    let common = Common {
        enabled: settings.enabled,
        url: &settings.url,
        credentials: [
            ("USERNAME_ENV", &settings.username_env, "KAFKA_USERNAME"),
            ("PASSWORD_ENV", &settings.password_env, "KAFKA_PASSWORD"),
        ],
        files: [&settings.ca_file, &settings.cert_file, &settings.key_file],
        offline_queue: settings.offline_queue,
    };
    let brokers = server(ctx, keys, &KAFKA, &common)?;
    needs_user(ctx, keys, &brokers, "Kafka", "KAFKA_USERNAME");
    let topic = settings.topic.clone().unwrap_or_else(|| "gst-trt.objects".into());
    let events_topic = settings.events_topic.clone().unwrap_or_else(|| "gst-trt.events".into());
    for (name, topic) in [("TOPIC", &topic), ("EVENTS_TOPIC", &events_topic)] {
        check_kafka_topic(ctx, &keys.key(ctx, name), topic);
    }
    Some(Kafka {
        brokers,
        mechanism: settings.sasl_mechanism.unwrap_or_default(),
        topic,
        events_topic,
        content: settings.content.unwrap_or(content),
        format: settings.format.unwrap_or(format),
    })
}

fn check_kafka_topic(ctx: &mut Context, key: &str, topic: &str) {
    if topic.contains("{camera}") {
        ctx.error(key, "the topic is one for all cameras: a message's key is the camera's name", "remove {camera}");
    } else if !is_kafka_topic(topic) {
        ctx.error(
            key,
            "a topic has up to 249 letters, digits, dots, hyphens and underscores",
            "for example gst-trt.objects",
        );
    }
}

/// `content`, `format`: what entries are of and how they are written, unless their own keys say so.
pub fn redis(
    ctx: &mut Context,
    keys: &Keys,
    settings: &file::Redis,
    (content, format): (Content, Format),
    name: &str,
) -> Option<Redis> {
    let common = Common {
        enabled: settings.enabled,
        url: &settings.url,
        credentials: [
            ("USERNAME_ENV", &settings.username_env, "REDIS_USERNAME"),
            ("PASSWORD_ENV", &settings.password_env, "REDIS_PASSWORD"),
        ],
        files: [&settings.ca_file, &settings.cert_file, &settings.key_file],
        offline_queue: settings.offline_queue,
    };
    let server = server(ctx, keys, &REDIS, &common)?;
    let mut stream = |key: &str, set: &Option<String>, usual: &str| {
        let template = set.as_deref().unwrap_or(usual);
        if template.is_empty() {
            let key = keys.key(ctx, key);
            ctx.error(&key, "it's empty", format!("for example {usual}"));
        }
        template.replace("{camera}", name)
    };
    Some(Redis {
        stream: stream("STREAM", &settings.stream, "gst-trt:{camera}:objects"),
        events_stream: stream("EVENTS_STREAM", &settings.events_stream, "gst-trt:{camera}:events"),
        server,
        content: settings.content.unwrap_or(content),
        format: settings.format.unwrap_or(format),
        max_length: settings.max_length.unwrap_or(100_000),
    })
}

fn server(ctx: &mut Context, keys: &Keys, form: &Form, settings: &Common) -> Option<Server> {
    if !settings.enabled.unwrap_or(settings.url.is_some()) {
        return None;
    }
    let key = keys.key(ctx, "URL");
    let Some(url) = settings.url else {
        if !ctx.written.was_rejected(&key) {
            ctx.error(&key, "the address is missing", form.example);
        }
        return None;
    };
    let (hosts, encrypted) = match hosts(form, url) {
        Ok(found) => found,
        Err(rule) => {
            let [(_, _, user), (_, _, password)] = settings.credentials;
            let variables = format!("set {user} and {password} there");
            ctx.error(&key, &rule, if rule == NO_USER { &variables } else { form.example });
            return None;
        }
    };
    let tls = tls(ctx, keys, settings.files, encrypted);
    let [username, password] = settings.credentials.map(|(name, variable, usual)| {
        let key = keys.key(ctx, name);
        credential(ctx, &key, variable.as_deref(), usual)
    });
    if password.is_some() && !encrypted && !hosts.iter().all(|(host, _)| is_loopback(host)) {
        let remedy = format!("use {}://", form.secure);
        ctx.warning(&key, "the password may go over the network unencrypted, and what is sent does", remedy);
    }
    Some(Server {
        hosts,
        tls,
        username,
        password: password.map(Secret::new),
        offline_queue: settings.offline_queue.unwrap_or(1000) as usize,
    })
}

/// Redis alone has a password without a user.
fn needs_user(ctx: &mut Context, keys: &Keys, server: &Server, what: &str, variable: &str) {
    if server.password.is_some() && server.username.is_none() {
        let key = keys.key(ctx, "USERNAME_ENV");
        ctx.error(&key, format!("{what} has no password without a user"), format!("set {variable} in the environment"));
    }
}

/// Hosts with their ports, and whether there is TLS.
fn hosts(form: &Form, url: &str) -> Result<(Vec<(String, u16)>, bool), String> {
    let (scheme, rest) = url.split_once("://").ok_or("an address has the form SCHEME://HOST")?;
    let encrypted = scheme == form.secure;
    if !encrypted && scheme != form.scheme {
        return Err(format!("{scheme} isn't a scheme of this server"));
    }
    let texts: Vec<&str> = if form.several { rest.trim_end_matches('/').split(',').collect() } else { vec![rest] };
    let mut hosts = Vec::new();
    for text in texts {
        match address::split(&format!("{scheme}://{text}"))? {
            Address { user: Some(_), .. } => {
                return Err(NO_USER.into());
            }
            Address { host, .. } if host.contains(',') => {
                return Err("there is one server, and not several with commas between".into());
            }
            Address { host, port, rest: "" | "/", .. } => {
                hosts.push((host.to_owned(), port.unwrap_or(form.ports[usize::from(encrypted)])));
            }
            _ => return Err("the address ends after the port: topics and streams have keys of their own".into()),
        }
    }
    Ok((hosts, encrypted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_hosts_and_nothing_else() {
        let of = |form, url| hosts(form, url).map(|(hosts, tls)| (hosts.len(), hosts.last().unwrap().1, tls));
        assert_eq!(of(&KAFKA, "kafkas://a,b:1,[::1]"), Ok((3, 9093, true)));
        assert_eq!(of(&KAFKA, "kafka://a/"), Ok((1, 9092, false)));
        assert_eq!(of(&REDIS, "rediss://a"), Ok((1, 6379, true)));
        assert_eq!(of(&MQTT, "mqtt://a"), Ok((1, 1883, false)));
        assert_eq!(of(&MQTT, "mqtts://[::1]/"), Ok((1, 8883, true)));
        for (form, url, words) in [
            (&KAFKA, "mqtt://a", "scheme"),
            (&KAFKA, "kafka://a,,b", "missing"),
            (&KAFKA, "kafka://me:secret@a", "environment"),
            (&KAFKA, "kafka://a/topic", "keys of their own"),
            (&REDIS, "redis://a/0", "keys of their own"),
            (&REDIS, "redis://a:0", "port"),
            (&MQTT, "http://a", "scheme"),
            (&MQTT, "mqtt://a,b", "one server"),
            (&REDIS, "redis://a,b:1", "one server"),
            (&MQTT, "mqtt://a/topic", "keys of their own"),
            (&MQTT, "mqtts://me:secret@a", "environment"),
        ] {
            let error = hosts(form, url).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
