//! Zones and lines as frames carry them.

use crate::meta::{Place, PlaceCount};
use tracking::zones::{Direction, Zones, ZonesConfig};

/// The zones, then the lines, with nothing counted yet.
pub fn of(config: &ZonesConfig) -> Vec<Place> {
    let zones = config.zones.iter().map(|zone| Place {
        name: zone.name.as_str().into(),
        points: zone.polygon.iter().map(|[x, y]| (*x, *y)).collect(),
        count: PlaceCount::Zone { occupancy: 0 },
    });
    let lines = config.lines.iter().map(|line| Place {
        name: line.name.as_str().into(),
        points: [line.from, line.to].map(|[x, y]| (x, y)).into(),
        count: PlaceCount::Line { inwards: 0, outwards: 0 },
    });
    zones.chain(lines).collect()
}

/// Updates what has been counted. The places are those of the zones' configuration, or none.
pub fn count(places: &mut [Place], zones: &Zones) {
    let of_zones = zones.zones().map(|zone| PlaceCount::Zone { occupancy: zone.occupancy });
    let of_lines = zones.lines().map(|line| PlaceCount::Line {
        inwards: line.totals.of(Direction::In).total(),
        outwards: line.totals.of(Direction::Out).total(),
    });
    for (place, count) in places.iter_mut().zip(of_zones.chain(of_lines)) {
        place.count = count;
    }
}
