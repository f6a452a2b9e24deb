//! Kafka and Redis.

use super::super::delivery::{Format, is_kafka_topic};
use super::super::file;
use super::super::plan::{Content, Kafka, Redis, Server};
use super::super::secret::Secret;
use super::Context;
use super::address::{self, Address};
use super::outputs::{Keys, credential, is_loopback, tls};

/// What the settings of both have in common.
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

const KAFKA: Form = Form {
    scheme: "kafka",
    secure: "kafkas",
    ports: [9092, 9093],
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
    if brokers.password.is_some() && brokers.username.is_none() {
        let key = keys.key(ctx, "USERNAME_ENV");
        ctx.error(&key, "Kafka has no password without a user", "set KAFKA_USERNAME in the environment");
    }
    let topic = settings.topic.clone().unwrap_or_else(|| "gst-trt.objects".into());
    let events_topic = settings.events_topic.clone().unwrap_or_else(|| "gst-trt.events".into());
    for (name, topic) in [("TOPIC", &topic), ("EVENTS_TOPIC", &events_topic)] {
        check_topic(ctx, &keys.key(ctx, name), topic);
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

fn check_topic(ctx: &mut Context, key: &str, topic: &str) {
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
            ctx.error(&key, rule, form.example);
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
                return Err("the address has no user: credentials come from the environment".into());
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
        for (form, url, words) in [
            (&KAFKA, "mqtt://a", "scheme"),
            (&KAFKA, "kafka://a,,b", "missing"),
            (&KAFKA, "kafka://me:secret@a", "environment"),
            (&KAFKA, "kafka://a/topic", "keys of their own"),
            (&REDIS, "redis://a/0", "keys of their own"),
            (&REDIS, "redis://a:0", "port"),
        ] {
            let error = hosts(form, url).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
