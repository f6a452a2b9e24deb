//! The editor of zones and lines.

use crate::driver::{Screen, point};
use crate::page::{Site, with_site};
use fantoccini::key::Key;
use serde_json::{Value, json};

/// Opens the editor of a camera, once its picture is there.
#[track_caller]
fn edit(site: &Site, camera: &str) {
    site.see(&format!("camera/{camera}/zones"));
    site.browser.wait_for("document.querySelector('.stage img')?.naturalWidth > 0");
    site.browser.wait_for_element("[data-add=zone]");
}

/// A place on the picture, from fractions of it to pixels of the window.
#[track_caller]
fn on_picture(site: &Site, (x, y): (f64, f64)) -> (f64, f64) {
    let script = format!(
        "const box = document.querySelector('.drawing').getBoundingClientRect();
         return [box.left + {x} * box.width, box.top + {y} * box.height].map(Math.round)"
    );
    point(&site.browser.script(&script))
}

/// Waits until the zones are in the file.
#[track_caller]
fn save(site: &Site) {
    site.browser.press("Save");
    site.browser.wait_for_element(".success");
}

/// Zones and lines as the server reads them from the file.
#[track_caller]
fn saved(site: &Site, camera: &str) -> Value {
    site.api(&format!("cameras/{camera}/zones"))
}

/// The polygon, in hundredths of the picture.
fn hundredths(polygon: &Value) -> Vec<(i64, i64)> {
    let whole = |value: &Value| (value.as_f64().unwrap() * 100.0).round() as i64;
    polygon.as_array().unwrap().iter().map(|corner| (whole(&corner[0]), whole(&corner[1]))).collect()
}

/// Empties the field that has the focus, and writes into it.
fn write(site: &Site, text: &str) {
    site.browser.keys_with(Some(Key::Control.into()), ['a']);
    if text.is_empty() {
        site.browser.keys([Key::Delete.into()]);
    }
    site.browser.keys(text.chars());
}

/// Presses the tab key until an element that fits has the focus.
#[track_caller]
fn tab_to(site: &Site, selector: &str) {
    for _ in 0..120 {
        site.browser.keys([Key::Tab.into()]);
        if site.browser.script(&format!("return document.activeElement.matches({selector:?})")) == true {
            return;
        }
    }
    panic!("the tab key doesn't reach {selector}");
}

#[test]
fn a_zone_drawn_with_the_mouse_is_in_the_file_and_counts() {
    with_site(|site| {
        let browser = &site.browser;
        edit(site, "door");
        browser.press("Add zone");
        let corners = [(0.02, 0.03), (0.98, 0.03), (0.98, 0.97), (0.02, 0.97), (0.02, 0.03)];
        for corner in corners {
            let at = on_picture(site, corner);
            browser.mouse(&[at]);
        }
        browser.wait_for("document.activeElement.name === 'name'");
        write(site, "hall");
        browser.script("document.querySelector('select[name=anchor]').focus()");
        browser.keys("C".chars());
        browser.wait_for("document.querySelector('select[name=anchor]').value === 'centre'");
        browser.screenshot("editor-mouse");
        save(site);

        let zones = saved(site, "door");
        assert_eq!((&zones["ZONES"][0]["NAME"], &zones["ZONES"][0]["ANCHOR"]), (&json!("hall"), &json!("centre")));
        assert_eq!(hundredths(&zones["ZONES"][0]["POLYGON"]), [(2, 3), (98, 3), (98, 97), (2, 97)]);
        let file = site.file();
        assert!(file.contains("\"hall\""), "{file}");
        for comment in ["# All cameras of the yard: this comment must stay.", "// It moves:", "// the old one"] {
            assert!(file.contains(comment), "{comment} is gone: {file}");
        }
        site.see("camera/door");
        browser.wait_for("Number(document.querySelector('[data-zone=hall] td:nth-of-type(2)')?.innerText) > 0");
    });
}

#[test]
fn a_zone_is_drawn_with_the_keyboard_alone() {
    with_site(|site| {
        let browser = &site.browser;
        site.wait_for_state("keys", "playing");
        browser.wait_for("document.querySelector('[data-camera=keys] img')?.naturalWidth > 0");
        tab_to(site, "[data-camera=keys] a");
        browser.keys([Key::Enter.into()]);
        browser.wait_for_element("camera-live");
        tab_to(site, "a[href$='/zones']");
        browser.keys([Key::Enter.into()]);
        browser.wait_for_element("[data-add=zone]");
        tab_to(site, "[data-add=zone]");
        browser.keys([Key::Enter.into()]);
        browser.wait_for("document.activeElement.matches('.drawing')");
        let go = |key: Key, steps: usize| browser.keys_with(Some(Key::Shift.into()), vec![key.into(); steps]);
        // From the middle to four corners, 5 % a stroke.
        go(Key::Left, 8);
        go(Key::Up, 8);
        browser.keys([Key::Enter.into()]);
        go(Key::Right, 16);
        browser.keys([Key::Enter.into()]);
        go(Key::Down, 16);
        browser.keys([Key::Enter.into()]);
        go(Key::Left, 16);
        browser.screenshot("editor-keys");
        // The second time at the same place finishes.
        browser.keys([Key::Enter.into(), Key::Enter.into()]);
        browser.wait_for("document.activeElement.name === 'name'");
        write(site, "all");
        tab_to(site, "[data-point='2']");
        browser.keys([Key::Right.into(), Key::Down.into()]);
        browser.keys_with(Some(Key::Alt.into()), [Key::Down.into()]);
        assert!(
            browser
                .script("return document.activeElement.ariaLabel")
                .as_str()
                .unwrap()
                .contains("91.0 % from the left, 91.1 % from the top")
        );
        tab_to(site, "[data-action=save]");
        browser.keys([Key::Enter.into()]);
        browser.wait_for_element(".success");
        let zones = saved(site, "keys");
        assert_eq!(zones["ZONES"][0]["NAME"], "all");
        assert_eq!(zones["ZONES"][0]["POLYGON"], json!([[0.1, 0.1], [0.9, 0.1], [0.91, 0.911], [0.1, 0.9]]));
        // The key that the page doesn't know is still there.
        assert!(site.file().contains("\"COLOUR\": \"red\""));
    });
}

#[test]
fn corners_are_moved_added_and_deleted_and_all_can_be_undone() {
    with_site(|site| {
        let browser = &site.browser;
        browser.show(Screen::Phone, false);
        edit(site, "corners");
        let before = saved(site, "corners");
        let shown = || {
            browser.script(
                "return document.querySelector('.shape[data-name=old] .over').getAttribute('d').split('L').length",
            )
        };
        // A finger chooses the zone and moves a corner.
        browser.script("document.querySelector('.stage').scrollIntoView({ block: 'center', behavior: 'instant' })");
        browser.touch(&[on_picture(site, (0.5, 0.7))]);
        browser.wait_for_element("[data-point='0']");
        browser.touch(&[on_picture(site, (0.2, 0.2)), on_picture(site, (0.15, 0.15)), on_picture(site, (0.1, 0.1))]);
        browser.wait_for("document.querySelector(\"[data-point='0']\").ariaLabel.includes('20.0 %') === false");
        browser.screenshot("editor-phone");
        browser.show(Screen::Wide, false);
        browser.wait_for("document.querySelector('.drawing').viewBox.baseVal.width === document.querySelector('.drawing').clientWidth");
        // A mouse pulls a new corner out of an edge: between the second and the third, at the right.
        browser.script("document.querySelector('.stage').scrollIntoView({ block: 'center', behavior: 'instant' })");
        browser.mouse(&[on_picture(site, (0.8, 0.5)), on_picture(site, (0.85, 0.5)), on_picture(site, (0.7, 0.5))]);
        browser.wait_for("document.querySelectorAll('[data-point]').length === 5");
        assert_eq!(shown(), json!(5));
        // A key deletes the last.
        browser.script("document.querySelector(\"[data-point='4']\").focus()");
        browser.keys([Key::Delete.into()]);
        browser.wait_for("document.querySelectorAll('[data-point]').length === 4");
        let undo = |key: char| browser.keys_with(Some(Key::Control.into()), [key]);
        undo('z');
        browser.wait_for("document.querySelectorAll('[data-point]').length === 5");
        undo('y');
        browser.wait_for("document.querySelectorAll('[data-point]').length === 4");
        // The line's direction.
        browser.script("[...document.querySelectorAll('.pick')].at(-1).click()");
        browser.press("Swap direction");
        save(site);
        let after = saved(site, "corners");
        assert_eq!(hundredths(&after["ZONES"][0]["POLYGON"]), [(10, 10), (80, 20), (70, 50), (80, 80)]);
        assert_eq!((&after["LINES"][0]["FROM"], &after["LINES"][0]["TO"]), (&json!([0.9, 0.9]), &json!([0.9, 0.1])));
        for key in ["NAME", "ANCHOR", "CLASSES", "FORBIDDEN", "CROWDING", "LOITERING_S"] {
            assert_eq!(after["ZONES"][0][key], before["ZONES"][0][key], "{key}");
        }

        // All of it is undone from the file's state on: deleted, brought back.
        browser.script("document.querySelector('.pick').click()");
        browser.press("Delete zone");
        browser.wait_for("!document.querySelector('.shape[data-name=old]')");
        browser.press("Undo");
        browser.wait_for("document.querySelector('.shape[data-name=old]')");
        assert!(browser.script("return document.querySelector('[data-action=save]').disabled") == true);
    });
}

#[test]
fn forms_change_the_keys_of_a_zone() {
    with_site(|site| {
        let browser = &site.browser;
        edit(site, "corners");
        browser.script("document.querySelector('.pick').click()");
        let fill = |name: &str, text: &str| {
            browser.click(&format!("input[name={name}]"));
            write(site, text);
            browser.keys([Key::Tab.into()]);
        };
        fill("classes", "red, blue,red");
        fill("forbidden", "");
        fill("more-than", "3");
        fill("loitering", "12.5");
        browser.press("Copy as JSON");
        browser.wait_for_element("#copied");
        let text = browser.script("return document.querySelector('#copied').value");
        let copied: Value = serde_json::from_str(&format!("{{{}}}", text.as_str().unwrap())).unwrap();
        let zone = &copied["ZONES"][0];
        assert_eq!(zone["CLASSES"], json!(["red", "blue"]));
        assert_eq!(zone["CROWDING"], json!({ "MORE_THAN": 3, "FOR_S": 2.5 }));
        assert_eq!((&zone["LOITERING_S"], zone.get("FORBIDDEN")), (&json!(12.5), None));
        assert!(!site.file().contains("12.5"), "copying writes nothing");
    });
}

#[test]
fn what_is_wrong_can_not_be_saved_and_what_is_not_saved_is_asked_about() {
    with_site(|site| {
        let browser = &site.browser;
        edit(site, "corners");
        let file = site.file();
        browser.press("Add zone");
        for corner in [(0.3, 0.3), (0.6, 0.6), (0.6, 0.3), (0.3, 0.6)] {
            browser.mouse(&[on_picture(site, corner)]);
        }
        browser.press("Finish zone");
        browser.wait_for("document.querySelector('#shape-problems').innerText.includes('edges cross')");
        assert!(browser.script("return document.querySelector('[data-action=save]').disabled") == true);
        // Two corners change places: it's right, until it has another's name.
        browser.script("document.querySelector(\"[data-point='1']\").focus()");
        browser.keys_with(Some(Key::Shift.into()), vec![Key::Up.into(); 6]);
        browser.script("document.querySelector(\"[data-point='2']\").focus()");
        browser.keys_with(Some(Key::Shift.into()), vec![Key::Down.into(); 6]);
        browser.wait_for("!document.querySelector('#shape-problems').innerText");
        assert!(browser.script("return document.querySelector('[data-action=save]').disabled") == false);
        browser.click("input[name=name]");
        write(site, "way");
        browser.wait_for("document.body.innerText.includes('Another zone or line is named “way”')");
        browser.script("setTimeout(() => { location.hash = '#/events' })");
        assert!(browser.answer_prompt(false).contains("aren’t saved"));
        browser.wait_for("location.hash === '#/camera/corners/zones'");
        browser.wait_for_element("zone-editor");
        browser.script("setTimeout(() => { location.hash = '#/events' })");
        browser.answer_prompt(true);
        browser.wait_for_element("event-list");
        assert_eq!(site.file(), file);
    });
}

#[test]
fn a_file_that_has_changed_meanwhile_is_not_written_over() {
    with_site(|site| {
        let browser = &site.browser;
        edit(site, "keys");
        browser.press("Add line");
        browser.mouse(&[on_picture(site, (0.4, 0.2))]);
        browser.mouse(&[on_picture(site, (0.6, 0.8))]);
        browser.wait_for("document.activeElement.name === 'name'");
        let changed = format!("{}// by an editor\n", site.file());
        std::fs::write(site.path("config.json"), &changed).unwrap();
        browser.press("Save");
        browser.wait_for("document.querySelector('[role=alert]')?.innerText.includes('config.json has changed')");
        assert_eq!(site.file(), changed);
        browser.screenshot("editor-changed");
        browser.press("Keep mine, write over the file’s");
        browser.wait_for_element(".success");
        assert!(site.file().contains("// by an editor"));
        let lines = saved(site, "keys");
        assert_eq!(lines["LINES"][0]["NAME"], "line-1");
        assert_eq!(hundredths(&json!([lines["LINES"][0]["FROM"], lines["LINES"][0]["TO"]])), [(40, 20), (60, 80)]);
    });
}

#[test]
fn zones_that_can_not_be_saved_here_can_be_copied() {
    with_site(|site| {
        let browser = &site.browser;
        site.wait_for_state("gate", "playing");
        edit(site, "gate");
        browser.wait_for("document.body.innerText.includes('These zones can’t be saved here')");
        browser.script("document.querySelector('.pick').click()");
        browser.click("input[name=name]");
        write(site, "way out");
        assert!(browser.script("return document.querySelector('[data-action=save]').disabled") == true);
        browser.press("Copy as JSON");
        browser.wait_for("document.querySelector('#copied')?.value.includes('\"NAME\": \"way out\"')");
    });
}
