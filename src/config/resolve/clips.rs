//! Clips of events.

use super::super::file;
use super::super::finding::Severity;
use super::super::plan::{Camera, CameraSource, ClipEvent, ClipRule, Clips, Mqtt, Pictures, Segments};
use super::super::text::join;
use super::Context;
use super::cameras::is_name;
use super::outputs::{Keys, MIB, folder};
use super::servers::check_mqtt_topic;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// The rule of a file without rules, and the name of a rule without one.
const EVERY_EVENT: &str = "event";
const DAY: f64 = 86_400.0;

/// The outputs of a camera that concern its clips.
pub struct Others<'a> {
    pub mqtt: Option<&'a Mqtt>,
    pub pictures: Option<&'a Pictures>,
    pub segments: Option<&'a Segments>,
}

/// The clips of the camera called `name`.
pub fn clips(
    ctx: &mut Context,
    keys: &Keys,
    settings: &file::Clips,
    name: &str,
    source: Option<&CameraSource>,
    others: &Others,
) -> Option<Clips> {
    if !settings.enabled.unwrap_or(settings.folder.is_some()) {
        return None;
    }
    let folder = folder(ctx, keys, settings.folder.as_deref())?;
    let taken = [
        ("PICTURES", others.pictures.map(|other| &other.folder)),
        ("SEGMENTS", others.segments.map(|other| &other.folder)),
    ];
    for (other, path) in taken {
        if path.is_some_and(|path| same(path, &folder)) {
            let rule = format!("{other} has the same folder, and each removes the oldest files there");
            ctx.error(&keys.key(ctx, "FOLDER"), rule, "name another");
        }
    }
    let seconds = |seconds: Option<f64>, default: f64| Duration::from_secs_f64(seconds.unwrap_or(default));
    let (before, after) = (seconds(settings.before_s, 5.0), seconds(settings.after_s, 10.0));
    let longest = seconds(settings.max_s, 120.0);
    if before + after > longest {
        let least = (before + after).as_secs_f64();
        let rule = format!("a clip of one event has {least} s, BEFORE_S and AFTER_S");
        ctx.error(&keys.key(ctx, "MAX_S"), rule, format!("set it to {least} or more, or make these smaller"));
    }
    let rules = rules(ctx, keys, settings.rules.as_deref());
    let command_topic = settings.command_topic.as_deref().filter(|topic| !topic.is_empty()).map(|template| {
        let key = keys.key(ctx, "COMMAND_TOPIC");
        check_mqtt_topic(ctx, &key, template);
        if others.mqtt.is_none() {
            ctx.error(&key, "there is no broker", "set outputs.MQTT.URL, or remove this key");
        }
        template.replace("{camera}", name)
    });
    // Test pictures aren't coded.
    if matches!(source, Some(CameraSource::Test { .. })) {
        let rule = format!("{name} has no clips: a test picture isn't coded");
        ctx.warning(&keys.key(ctx, "FOLDER"), rule, "set OUTPUTS.CLIPS.ENABLED of this camera to false");
        return None;
    }
    Some(Clips {
        folder,
        before,
        after,
        longest,
        rules,
        command_topic,
        memory: u64::from(settings.buffer_mb.unwrap_or(64)) * MIB,
        limit: u64::from(settings.max_mb.unwrap_or(10_240)) * MIB,
        files: settings.max_files,
        age: settings.max_days.map(|days| Duration::from_secs_f64(days * DAY)),
    })
}

/// Whether two paths name one folder, which needn't exist.
fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.components().collect());
    real(one) == real(other)
}

fn rules(ctx: &mut Context, keys: &Keys, rules: Option<&[file::ClipRule]>) -> Vec<ClipRule> {
    let Some(rules) = rules else { return vec![ClipRule { name: EVERY_EVENT.into(), ..ClipRule::default() }] };
    let key = keys.key(ctx, "RULES");
    (0..).zip(rules).map(|(index, rule)| one(ctx, &ctx.written.item(&key, index), rule)).collect()
}

fn one(ctx: &mut Context, key: &str, rule: &file::ClipRule) -> ClipRule {
    let resolved = ClipRule {
        name: rule.name.clone().unwrap_or_else(|| EVERY_EVENT.into()),
        zones: rule.zones.clone().unwrap_or_default(),
        lines: rule.lines.clone().unwrap_or_default(),
        events: rule.events.clone().unwrap_or_default(),
        direction: rule.direction,
        classes: rule.classes.clone().unwrap_or_default(),
    };
    let at = |name: &str| format!("{key}.{name}");
    let name = &resolved.name;
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_name) {
        let text = "a name has 1 to 64 letters, digits, -, _ and .: it becomes part of file names";
        ctx.error(&at("NAME"), text, "for example intruder");
    }
    for (list, written, empty) in [
        ("ZONES", rule.zones.is_some(), resolved.zones.is_empty()),
        ("LINES", rule.lines.is_some(), resolved.lines.is_empty()),
        ("EVENTS", rule.events.is_some(), resolved.events.is_empty()),
        ("CLASSES", rule.classes.is_some(), resolved.classes.is_empty()),
    ] {
        if written && empty {
            ctx.error(&at(list), "it is empty: nothing fits", "remove the key for all, or the rule");
        }
    }
    // Lines have crossings, and zones everything else.
    let (only_lines, only_zones) = (
        resolved.zones.is_empty() && !resolved.lines.is_empty(),
        !resolved.zones.is_empty() && resolved.lines.is_empty(),
    );
    for event in &resolved.events {
        let crossed = *event == ClipEvent::Crossed;
        let (place, happens) = if crossed { ("lines", "on lines") } else { ("zones", "in zones") };
        if (crossed && only_zones) || (!crossed && only_lines) {
            let rule = format!("{} happens {happens}, and the rule names none", event.name());
            ctx.error(&at("EVENTS"), rule, format!("name them in {}, or remove it", place.to_uppercase()));
        }
    }
    if resolved.direction.is_some()
        && (only_zones || !(resolved.events.is_empty() || resolved.events.contains(&ClipEvent::Crossed)))
    {
        ctx.error(
            &at("DIRECTION"),
            "only lines are crossed in a direction",
            "add crossed to EVENTS, or remove the key",
        );
    }
    resolved
}

/// The zones and lines of the cameras that share rules.
#[derive(Default)]
struct Places<'a> {
    rules: &'a [ClipRule],
    cameras: Vec<&'a str>,
    zones: BTreeSet<&'a str>,
    lines: BTreeSet<&'a str>,
    /// Zones of theirs are wrong, which has been reported: what there is isn't known.
    unsure: bool,
}

/// Checks that rules name zones and lines that there are: a camera's own rules those of the camera, and rules in `outputs`
/// those of any camera that they apply to. `list` is the key of the cameras.
pub fn check_places(ctx: &mut Context, list: &str, cameras: &[Camera]) {
    let mut sharing: BTreeMap<String, Places> = BTreeMap::new();
    for (index, camera) in cameras.iter().enumerate() {
        let Some(clips) = &camera.outputs.clips else { continue };
        let path = ctx.written.item(list, index);
        let places = sharing.entry(Keys { camera: &path, section: "CLIPS" }.key(ctx, "RULES")).or_default();
        places.rules = &clips.rules;
        places.cameras.push(&camera.name);
        let zones = camera.zones.iter().flat_map(|zones| &zones.config.zones);
        places.zones.extend(zones.map(|zone| zone.name.as_str()));
        let lines = camera.zones.iter().flat_map(|zones| &zones.config.lines);
        places.lines.extend(lines.map(|line| line.name.as_str()));
        let keys = ["ZONES", "LINES", "ZONES_FILE"].map(|key| join(&path, key));
        let mut errors = ctx.findings.list.iter().filter(|finding| finding.severity == Severity::Error);
        places.unsure |= errors.any(|error| keys.iter().any(|key| error.key.starts_with(key)));
    }
    for (key, places) in sharing {
        let is_of_others = ctx.is_part && key.starts_with("outputs.");
        if !places.unsure && !is_of_others {
            check_rules(ctx, &key, &places);
        }
    }
}

fn check_rules(ctx: &mut Context, key: &str, places: &Places) {
    let Places { rules, zones, lines, .. } = places;
    if zones.is_empty() && lines.is_empty() && rules.iter().any(|rule| rule.zones.is_empty() && rule.lines.is_empty()) {
        let whose = places.cameras.join(", ");
        let rule = format!("{whose}: there are no zones or lines, so that only SIGUSR1 and COMMAND_TOPIC start clips");
        ctx.warning(key, rule, "give the camera ZONES or LINES, or set RULES to []");
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = ctx.written.item(key, index);
        for (list, kind, named, known) in [("ZONES", "zone", &rule.zones, zones), ("LINES", "line", &rule.lines, lines)]
        {
            for name in named.iter().filter(|name| !known.contains(name.as_str())) {
                let whose = match places.cameras[..] {
                    [one] => format!("{one} has no {kind} {name:?}"),
                    _ => format!("no camera has a {kind} {name:?}"),
                };
                let known: Vec<_> = known.iter().copied().collect();
                let remedy = match known.is_empty() {
                    true => format!("write it into {list} of a camera, or remove it here"),
                    false => format!("the names are {}", known.join(", ")),
                };
                ctx.error(&format!("{at}.{list}"), whose, remedy);
            }
        }
    }
}
