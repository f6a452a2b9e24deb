//! Which events start a clip.

use crate::config::ClipRule;
use crate::meta::{Event, EventKind};

/// The name of the first rule that an event fits.
pub fn rule_of<'a>(rules: &'a [ClipRule], event: &Event) -> Option<&'a str> {
    rules.iter().find(|rule| fits(rule, event)).map(|rule| rule.name.as_str())
}

fn fits(rule: &ClipRule, event: &Event) -> bool {
    let places = if event.kind.is_of_line() { &rule.lines } else { &rule.zones };
    let everywhere = rule.zones.is_empty() && rule.lines.is_empty();
    let one_of = |names: &[String], name: &str| names.iter().any(|known| known == name);
    let class = event.object.as_ref().map(|object| &*object.class);
    let direction = match event.kind {
        EventKind::Crossed(direction) => Some(direction.name()),
        _ => None,
    };
    (everywhere || one_of(places, &event.place))
        && (rule.events.is_empty() || rule.events.iter().any(|kind| kind.name() == event.kind.name()))
        && (rule.classes.is_empty() || class.is_some_and(|class| one_of(&rule.classes, class)))
        && rule.direction.is_none_or(|wanted| direction.is_none_or(|direction| direction == wanted.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClipDirection, ClipEvent};
    use crate::meta::EventObject;
    use std::time::Duration;
    use tracking::zones::Direction;

    fn event(kind: EventKind, place: &str, class: Option<&str>) -> Event {
        let object = class.map(|class| EventObject { track: 1, class: class.into() });
        Event { time: Duration::ZERO, place: place.into(), kind, object, clip: None }
    }

    #[test]
    fn an_event_fits_a_rule_in_all_that_it_says() {
        let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let rule = |name: &str| ClipRule { name: name.into(), ..ClipRule::default() };
        let rules = [
            ClipRule { lines: list(&["gate"]), direction: Some(ClipDirection::In), ..rule("arrival") },
            ClipRule {
                zones: list(&["yard"]),
                classes: list(&["person"]),
                events: vec![ClipEvent::Entered],
                ..rule("intruder")
            },
            ClipRule {
                zones: list(&["yard"]),
                lines: list(&["gate"]),
                events: vec![ClipEvent::Crossed, ClipEvent::Crowded],
                ..rule("busy")
            },
        ];
        let crossed = EventKind::Crossed;
        for (event, rule) in [
            (event(crossed(Direction::In), "gate", Some("car")), Some("arrival")),
            (event(crossed(Direction::Out), "gate", Some("car")), Some("busy")),
            (event(crossed(Direction::In), "fence", Some("car")), None),
            // A zone of that name isn't the line.
            (event(EventKind::Entered, "gate", Some("person")), None),
            (event(EventKind::Entered, "yard", Some("person")), Some("intruder")),
            (event(EventKind::Entered, "yard", Some("dog")), None),
            (event(EventKind::Loitering, "yard", Some("person")), None),
            (event(EventKind::Crowded { count: 4 }, "yard", None), Some("busy")),
        ] {
            assert_eq!(rule_of(&rules, &event), rule, "{event:?}");
            assert_eq!(rule_of(&[ClipRule { name: "any".into(), ..ClipRule::default() }], &event), Some("any"));
            assert_eq!(rule_of(&[], &event), None);
        }
    }
}
