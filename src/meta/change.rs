//! Changes of the picture by other elements, which scale, turn, crop or extend it, and what they do to what was found.

use super::{KeypointSet, Object, Record, TrackInfo};
use model::{Keypoint, Mask, Rect};

/// One of the eight ways to turn a picture by right angles and to reflect it: the axes are exchanged first, then
/// reflected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Turn {
    pub exchanged: bool,
    pub flipped_x: bool,
    pub flipped_y: bool,
}

impl Turn {
    /// Turns a point of the unit square.
    fn point(self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = if self.exchanged { (y, x) } else { (x, y) };
        (if self.flipped_x { 1.0 - x } else { x }, if self.flipped_y { 1.0 - y } else { y })
    }
}

/// What one element did to a picture. Rectangles are fractions of the frame that they belong to, and may extend beyond
/// it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    /// The size of the element's input, pixels.
    pub input: (u32, u32),
    /// The size of its output, pixels.
    pub output: (u32, u32),
    /// The part of the input that the element used.
    pub from: Rect,
    /// How it turned that part.
    pub turn: Turn,
    /// Where the part lies in the output.
    pub onto: Rect,
    /// What the output shows of it.
    pub shown: Rect,
    /// False if GStreamer doesn't say where the picture lies in the output.
    pub told: bool,
}

impl Change {
    /// The whole picture fills the output.
    pub fn scaled(input: (u32, u32), output: (u32, u32)) -> Self {
        let (from, onto, shown) = (Rect::UNIT, Rect::UNIT, Rect::UNIT);
        Self { input, output, from, turn: Turn::default(), onto, shown, told: true }
    }

    /// The output is a part of the input, given in pixels.
    pub fn cropped(input: (u32, u32), part: Rect) -> Self {
        Self { from: fractions(&part, input), ..Self::scaled(input, (part.w as u32, part.h as u32)) }
    }

    fn point(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = self.turn.point((x - self.from.x) / self.from.w, (y - self.from.y) / self.from.h);
        (self.onto.x + x * self.onto.w, self.onto.y + y * self.onto.h)
    }

    /// A velocity in the input as that in the output.
    fn velocity(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let (from, to) = (self.point(0.0, 0.0), self.point(x, y));
        (to.0 - from.0, to.1 - from.1)
    }

    /// A rectangle of the input in the output.
    pub fn rect(&self, rect: &Rect) -> Rect {
        spanned(self.point(rect.x, rect.y), self.point(rect.right(), rect.bottom()))
    }

    /// True if coordinates stay as they are, because the picture was scaled as a whole.
    pub fn is_whole(&self) -> bool {
        let Self { from, onto, shown, turn, .. } = *self;
        from == Rect::UNIT && onto == Rect::UNIT && shown == Rect::UNIT && turn == Turn::default()
    }

    /// The record of the output, with the same ids. Upright boxes are clipped to what the output shows of the picture; an object
    /// of which it shows nothing is omitted. A keypoint that it doesn't show has confidence 0.
    pub fn apply(&self, record: &Record) -> Record {
        let objects: Vec<_> = record.objects.iter().filter_map(|object| self.object(object)).collect();
        let mut now = Record { objects, ..record.without_objects() };
        for place in &mut now.places {
            place.points = place.points.iter().map(|(x, y)| self.point(*x, *y)).collect();
        }
        if now.objects.len() < record.objects.len() {
            let left: Vec<u32> = now.objects.iter().map(|object| object.id).collect();
            for object in &mut now.objects {
                object.parent = object.parent.filter(|parent| left.contains(parent));
            }
        }
        now
    }

    fn object(&self, object: &Object) -> Option<Object> {
        let rect = self.rect(&object.rect);
        let seen = rect.intersection(&self.shown);
        // At least a pixel, unless all of it is smaller.
        let is_seen =
            |seen: f32, all: f32, pixels: u32| seen * pixels as f32 >= 1.0 || (seen > 0.0 && seen >= 0.99 * all);
        if !is_seen(seen.w, rect.w, self.output.0) || !is_seen(seen.h, rect.h, self.output.1) {
            return None;
        }
        let keypoints = object.keypoints.as_ref().map(|set| {
            let points = set.points.iter().map(|point| self.keypoint(point)).collect();
            KeypointSet { points, ..set.clone() }
        });
        let oriented = object.oriented.map(|oriented| oriented.map(|x, y| self.point(x, y)));
        let mask = object.mask.as_ref().and_then(|mask| self.mask(mask, &seen));
        let track = object.track.map(|track| TrackInfo { velocity: self.velocity(track.velocity), ..track });
        Some(Object { rect: seen, oriented, keypoints, mask, track, ..object.clone() })
    }

    /// The cells of a mask that lie in `seen`, the box after the change.
    fn mask(&self, mask: &Mask, seen: &Rect) -> Option<Mask> {
        let Turn { exchanged, flipped_x, flipped_y } = self.turn;
        let turned = if self.turn == Turn::default() { None } else { mask.turned(exchanged, flipped_x, flipped_y) };
        turned.as_ref().unwrap_or(mask).moved(self.rect(&mask.area()))?.cropped(seen)
    }

    fn keypoint(&self, point: &Keypoint) -> Keypoint {
        let (x, y) = self.point(point.x, point.y);
        let seen = &self.shown;
        let is_seen = x >= seen.x && x <= seen.right() && y >= seen.y && y <= seen.bottom();
        Keypoint { x, y, confidence: if is_seen { point.confidence } else { 0.0 } }
    }
}

/// A rectangle in pixels as fractions of a frame.
pub(super) fn fractions(pixels: &Rect, (width, height): (u32, u32)) -> Rect {
    let (width, height) = (width.max(1) as f32, height.max(1) as f32);
    Rect::new(pixels.x / width, pixels.y / height, pixels.w / width, pixels.h / height)
}

fn spanned((x1, y1): (f32, f32), (x2, y2): (f32, f32)) -> Rect {
    Rect::from_corners(x1.min(x2), y1.min(y2), x1.max(x2), y1.max(y2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{Place, PlaceCount};
    use model::{KeypointLayout, OrientedBox};
    use std::sync::Arc;

    const INPUT: (u32, u32) = (320, 240);

    /// 100 pixels less at the left, 20 at the top.
    fn crop() -> Change {
        Change::cropped(INPUT, Rect::new(100.0, 20.0, 220.0, 220.0))
    }

    fn close(a: (f32, f32), b: (f32, f32)) -> bool {
        (a.0 - b.0).abs() < 1e-5 && (a.1 - b.1).abs() < 1e-5
    }

    #[test]
    fn scaling_as_a_whole_leaves_coordinates_as_they_are() {
        assert!(Change::scaled(INPUT, (97, 31)).is_whole());
        assert!(!crop().is_whole());
    }

    #[test]
    fn axes_are_exchanged_before_they_are_reflected() {
        let turned = |exchanged, flipped_x, flipped_y| {
            let change = Change { turn: Turn { exchanged, flipped_x, flipped_y }, ..Change::scaled(INPUT, INPUT) };
            assert!(!change.is_whole());
            change.rect(&Rect::new(0.125, 0.5, 0.25, 0.5))
        };
        assert_eq!(turned(false, true, false), Rect::new(0.625, 0.5, 0.25, 0.5));
        assert_eq!(turned(false, false, true), Rect::new(0.125, 0.0, 0.25, 0.5));
        assert_eq!(turned(true, false, false), Rect::new(0.5, 0.125, 0.5, 0.25));
        assert_eq!(turned(true, true, false), Rect::new(0.0, 0.125, 0.5, 0.25));
        assert_eq!(turned(true, false, true), Rect::new(0.5, 0.625, 0.5, 0.25));
    }

    #[test]
    fn zones_move_with_the_picture() {
        let points = [(100.0 / 320.0, 20.0 / 240.0), (1.0, 1.0)].into();
        let place = Place { name: "a".into(), points, count: PlaceCount::Line { inwards: 0, outwards: 0 } };
        let now = crop().apply(&Record { places: vec![place], ..Record::default() });
        let [from, to] = now.places[0].points[..] else { panic!("{now:?}") };
        assert!(close(from, (0.0, 0.0)) && close(to, (1.0, 1.0)), "{now:?}");
    }

    #[test]
    fn velocities_turn_and_scale_with_the_picture() {
        assert!(close(crop().velocity((0.22, 0.11)), (0.32, 0.12)));
        let turn = Turn { exchanged: true, flipped_x: true, flipped_y: false };
        let turned = Change { turn, ..Change::scaled(INPUT, (240, 320)) };
        assert!(close(turned.velocity((0.25, 0.5)), (-0.5, 0.25)));
    }

    fn object(id: u32, rect: Rect, parent: Option<u32>, keypoints: Vec<Keypoint>) -> Object {
        let layout = Arc::new(KeypointLayout { name: "some", names: vec![], limbs: vec![] });
        let keypoints = Some(KeypointSet { source: "pose".into(), layout, points: keypoints });
        Object {
            id,
            rect,
            class_id: None,
            label: "".into(),
            confidence: 1.0,
            source: "".into(),
            parent,
            keypoints,
            ..Object::default()
        }
    }

    /// A box of 96 × 32 pixels, turned by half a right angle less a bit.
    #[test]
    fn oriented_boxes_turn_with_the_picture() {
        let frame = (INPUT.0 as f32, INPUT.1 as f32);
        let before = OrientedBox::new(160.0, 120.0, 96.0, 32.0, 0.5).unwrap().scaled(1.0 / frame.0, 1.0 / frame.1);
        let rect = before.enclosing();
        let object = Object { oriented: Some(before), ..object(0, rect, None, vec![]) };
        let apply = |change: Change| {
            let now = change.apply(&Record { objects: vec![object.clone()], models: vec![], ..Record::default() });
            let [object] = &now.objects[..] else { panic!("{now:?}") };
            let oriented = object.oriented.unwrap().scaled(change.output.0 as f32, change.output.1 as f32);
            (object.rect.scaled(change.output.0 as f32, change.output.1 as f32), oriented)
        };
        let near = |a: f32, b: f32| (a - b).abs() < 0.01;
        let quarter = std::f32::consts::FRAC_PI_2;
        for (exchanged, flipped_x, flipped_y, angle) in [
            (false, false, false, 0.5),
            (false, true, false, -0.5),
            (false, false, true, -0.5),
            (false, true, true, 0.5),
            (true, false, false, quarter - 0.5),
            (true, true, false, quarter + 0.5),
            (true, false, true, quarter + 0.5),
            (true, true, true, quarter - 0.5),
        ] {
            let turn = Turn { exchanged, flipped_x, flipped_y };
            let output = if exchanged { (INPUT.1, INPUT.0) } else { INPUT };
            let (rect, oriented) = apply(Change { turn, ..Change::scaled(INPUT, output) });
            assert!(near(oriented.angle(), angle), "{turn:?}: {oriented:?}");
            assert!(near(oriented.size().0, 96.0) && near(oriented.size().1, 32.0), "{turn:?}: {oriented:?}");
            let around = oriented.enclosing();
            assert!(near(around.x, rect.x) && near(around.y, rect.y) && near(around.w, rect.w), "{turn:?}: {rect:?}");
        }
        // A crop through it clips only the upright box.
        let (rect, oriented) = apply(Change::cropped(INPUT, Rect::new(160.0, 120.0, 160.0, 120.0)));
        assert_eq!((rect.x, rect.y), (0.0, 0.0));
        assert!(near(oriented.centre().0, 0.0) && near(oriented.centre().1, 0.0), "{oriented:?}");
        assert!(near(oriented.size().0, 96.0) && near(oriented.angle(), 0.5), "{oriented:?}");
    }

    #[test]
    fn boxes_are_clipped_and_what_left_the_frame_is_omitted() {
        let point = |x: f32, y: f32| Keypoint { x, y, confidence: 0.5 };
        let objects = vec![
            // Left of the part.
            object(0, Rect::new(0.0, 0.2, 0.25, 0.5), None, vec![]),
            // Inside, and found in the box of the one that left.
            object(1, Rect::new(0.5, 0.5, 0.25, 0.25), Some(0), vec![point(0.5, 0.5)]),
            // Half of it inside.
            object(2, Rect::new(0.25, 0.5, 0.125, 0.25), Some(1), vec![point(0.25, 0.5), point(0.375, 0.75)]),
            // A quarter of a pixel inside.
            object(3, Rect::new(0.0, 0.5, 100.25 / 320.0, 0.25), None, vec![]),
            // Smaller than a pixel, but inside.
            object(4, Rect::new(0.5, 0.5, 0.001, 0.001), None, vec![]),
        ];
        let now = crop().apply(&Record { objects, models: vec![], ..Record::default() });
        let ids: Vec<_> = now.objects.iter().map(|o| (o.id, o.parent)).collect();
        assert_eq!(ids, [(1, None), (2, Some(1)), (4, None)]);
        let pixels = |o: &Object| o.rect.scaled(220.0, 220.0);
        let near =
            |a: Rect, b: Rect| (a.x - b.x).abs() + (a.y - b.y).abs() + (a.w - b.w).abs() + (a.h - b.h).abs() < 0.01;
        assert!(near(pixels(&now.objects[0]), Rect::new(60.0, 100.0, 80.0, 60.0)), "{now:?}");
        assert!(near(pixels(&now.objects[1]), Rect::new(0.0, 100.0, 20.0, 60.0)), "{now:?}");
        let points = &now.objects[1].keypoints.as_ref().unwrap().points;
        assert_eq!(points.iter().map(|p| p.confidence).collect::<Vec<_>>(), [0.0, 0.5], "{points:?}");
        assert!(close((points[0].x * 220.0, points[0].y * 220.0), (-20.0, 100.0)), "{points:?}");
    }

    /// An object whose mask is `#..` over `##.` in the box.
    fn masked(rect: Rect) -> Record {
        let mask = Mask::new(rect, 3, 2, [0b01_1001]).unwrap();
        let object = Object { mask: Some(mask), ..object(0, rect, None, vec![]) };
        Record { objects: vec![object], ..Record::default() }
    }

    fn cells(record: &Record) -> (Rect, Vec<String>) {
        let mask = record.objects[0].mask.as_ref().unwrap();
        let cell = |column, row| if mask.is_set(column, row) { '#' } else { '.' };
        (
            mask.area(),
            (0..mask.rows()).map(|row| (0..mask.columns()).map(|column| cell(column, row)).collect()).collect(),
        )
    }

    #[test]
    fn masks_turn_with_their_boxes() {
        let rect = Rect::new(0.125, 0.25, 0.375, 0.25);
        let turned = |exchanged, flipped_x, flipped_y| {
            let change = Change { turn: Turn { exchanged, flipped_x, flipped_y }, ..Change::scaled(INPUT, INPUT) };
            let now = change.apply(&masked(rect));
            let (area, cells) = cells(&now);
            assert_eq!(area, now.objects[0].rect);
            cells
        };
        assert_eq!(turned(false, true, false), ["..#", ".##"]);
        assert_eq!(turned(false, false, true), ["##.", "#.."]);
        assert_eq!(turned(true, false, false), ["##", ".#", ".."]);
        assert_eq!(turned(true, true, false), ["##", "#.", ".."]);
        assert_eq!(turned(true, false, true), ["..", ".#", "##"]);
    }

    #[test]
    fn masks_are_cut_to_what_is_shown_of_the_box() {
        // Half of the box is left of the part: one and a half of three columns.
        let change = Change::cropped((64, 64), Rect::new(32.0, 0.0, 32.0, 64.0));
        let now = change.apply(&masked(Rect::new(0.3125, 0.25, 0.375, 0.25)));
        assert_eq!(now.objects[0].rect, Rect::new(0.0, 0.25, 0.375, 0.25));
        assert_eq!(cells(&now), (Rect::new(-0.125, 0.25, 0.5, 0.25), vec!["..".into(), "#.".into()]));
        // Into a smaller picture, as a compositor places it.
        let onto = Rect::new(0.5, 0.5, 0.5, 0.5);
        let change = Change { onto, shown: onto, ..Change::scaled((64, 64), (64, 64)) };
        let now = change.apply(&masked(Rect::new(0.25, 0.25, 0.75, 0.5)));
        let expected = (Rect::new(0.625, 0.625, 0.375, 0.25), vec!["#..".into(), "##.".into()]);
        assert_eq!(cells(&now), expected);
    }
}
