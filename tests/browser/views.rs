//! All views: on a phone, for those who don't see or don't use a mouse, and what each shows.

use crate::driver::{Browser, Screen};
use crate::page::{Site, barriers, with_site};
use fantoccini::key::Key;
use serde_json::json;

/// Names of screenshots, addresses, and what is there once the view is complete.
const VIEWS: [(&str, &str, &str); 6] = [
    (
        "cameras",
        "",
        "[...document.querySelectorAll('[data-camera]')].slice(0, 1).every((card) => card.querySelector('img')?.naturalWidth)",
    ),
    (
        "camera",
        "camera/yard",
        "document.querySelector('camera-live img')?.naturalWidth && document.querySelector('#zones-title')",
    ),
    (
        "editor",
        "camera/corners/zones",
        "document.querySelector('.stage img')?.naturalWidth && document.querySelector('.pick')",
    ),
    ("system", "system", "document.querySelector('time-chart svg.chart')"),
    ("events", "events", "document.querySelector('event-list .list li')"),
    ("check", "check", "document.querySelector('check-findings .list li')"),
];

/// What reaches beyond the window's right edge, and what can't be scrolled to: nothing.
const OUT_OF_REACH: &str = "
    const wide = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > wide) return ['the page scrolls sideways'];
    return [...document.querySelectorAll('a, button, input, select, summary, [tabindex=\"0\"]')]
        .filter((one) => one.checkVisibility() && !one.matches('.skip'))
        .filter((one) => {
            one.scrollIntoView({ block: 'center', behavior: 'instant' });
            const box = one.getBoundingClientRect();
            return box.left < -1 || box.right > wide + 1 || box.bottom < 0 || box.top > innerHeight;
        })
        .map((one) => one.outerHTML.slice(0, 120))";

/// Shows a view whole, the editor with a zone that is being edited.
#[track_caller]
fn show(site: &Site, (name, route, complete): (&str, &str, &str)) {
    site.see(route);
    site.browser.wait_for(complete);
    if name == "editor" {
        site.browser.script("document.querySelector('.pick').click()");
        site.browser.wait_for_element("[data-point]");
    }
}

#[track_caller]
fn no_barriers(browser: &Browser, what: &str) {
    if let Some(found) = barriers(browser) {
        assert!(found.is_empty(), "{what}: {found:#?}");
    }
}

#[test]
fn no_view_has_barriers_or_complaints_in_either_scheme() {
    with_site(|site| {
        let browser = &site.browser;
        site.wait_for_state("gate", "playing");
        for dark in [false, true] {
            browser.show(Screen::Wide, dark);
            let scheme = if dark { "dark" } else { "light" };
            for view in VIEWS {
                show(site, view);
                browser.screenshot(&format!("{}-{scheme}", view.0));
                no_barriers(browser, &format!("{}, {scheme}", view.0));
                assert_eq!(browser.complaints(), Vec::<String>::new(), "{}", view.0);
            }
            // While a zone is drawn, and where there is nothing.
            show(site, VIEWS[2]);
            browser.press("Add zone");
            browser.wait_for_element(".drawing.placing");
            no_barriers(browser, &format!("drawing, {scheme}"));
            site.see("else");
            no_barriers(browser, &format!("nowhere, {scheme}"));
            assert_eq!(browser.complaints(), Vec::<String>::new());
        }
    });
}

#[test]
fn all_can_be_reached_on_a_phone() {
    with_site(|site| {
        let browser = &site.browser;
        for dark in [false, true] {
            browser.show(Screen::Phone, dark);
            for view in VIEWS {
                show(site, view);
                assert_eq!(browser.script(OUT_OF_REACH), json!([]), "{}", view.0);
                browser.script("window.scrollTo(0, 0)");
                let scheme = if dark { "dark" } else { "light" };
                browser.screenshot(&format!("{}-phone-{scheme}", view.0));
                no_barriers(browser, &format!("{} on a phone, {scheme}", view.0));
            }
        }
        // From view to view by the bar.
        for (link, element) in [
            ("System", "system-charts"),
            ("Events", "event-list"),
            ("Check", "check-findings"),
            ("Cameras", "all-cameras"),
        ] {
            browser.click(&format!(
                "nav a[href='#/{}']",
                if link == "Cameras" { String::new() } else { link.to_lowercase() }
            ));
            browser.wait_for_element(element);
            assert!(browser.script("return document.activeElement.id") == "main", "{link}");
        }
    });
}

#[test]
fn charts_tell_their_values_to_keys_and_as_tables() {
    with_site(|site| {
        let browser = &site.browser;
        show(site, VIEWS[3]);
        let titles = "return [...document.querySelectorAll('time-chart h2')].map((title) => title.innerText)";
        let titles: Vec<String> = serde_json::from_value(browser.script(titles)).unwrap();
        for title in ["CPU", "Memory", "Frames of all cameras", "Latency"] {
            assert!(titles.iter().any(|found| found.starts_with(title)), "{titles:?}");
        }
        browser.wait_for("document.querySelector('time-chart .line')?.getAttribute('d').split('L').length > 3");
        browser.script("document.querySelector('svg.chart').focus()");
        browser.keys([Key::Home.into()]);
        browser.wait_for_element("time-chart .cursor");
        let first = browser.text("time-chart [role=status]");
        assert!(first.contains("gst-trt") && first.contains('%'), "{first}");
        browser.keys([Key::Right.into()]);
        browser.wait_for(&format!("document.querySelector('time-chart [role=status]').innerText !== {first:?}"));
        browser.keys([Key::Escape.into()]);
        browser.wait_for("!document.querySelector('time-chart .cursor')");
        browser.click("time-chart summary");
        browser.wait_for("document.querySelectorAll('time-chart tbody tr').length > 0");
        browser.script("const select = document.querySelector('select'); select.value = 'yard'; select.dispatchEvent(new Event('change'))");
        browser.wait_for("document.body.innerText.includes('Latency of yard')");
        assert_eq!(browser.complaints(), Vec::<String>::new());
    });
}

#[test]
fn events_are_listed_with_clips_and_filtered() {
    with_site(|site| {
        let browser = &site.browser;
        site.see("events");
        browser.wait_for("document.body.innerText.includes('Entered') && document.body.innerText.includes('Left')");
        browser.wait_for_element("event-list details");
        let choose = |index: usize, value: &str| {
            browser.script(&format!(
                "const select = document.querySelectorAll('select')[{index}]; select.value = {value:?}; select.dispatchEvent(new Event('change'))"
            ));
        };
        choose(1, "entered");
        browser.wait_for(
            "![...document.querySelectorAll('event-list li .state')].some((one) => one.innerText.includes('Left'))",
        );
        choose(0, "gate");
        browser.wait_for("document.body.innerText.includes('No event fits')");
        choose(0, "yard");
        // The oldest event's clip is finished: the player gets its length.
        browser.wait_for(
            "(() => { const all = document.querySelectorAll('event-list details'); const last = all[all.length - 1]; if (!last) return false;
               last.open = true; const video = last.querySelector('video');
               if (video.error) video.setAttribute('src', video.getAttribute('src')); return video.duration > 1; })()",
        );
        browser.screenshot("events-clip");
    });
}

#[test]
fn findings_come_with_remedies() {
    with_site(|site| {
        let browser = &site.browser;
        show(site, VIEWS[5]);
        let text = browser.text("check-findings");
        assert!(text.contains("cameras.RTSP_STREAMS.1.COLOUR") && text.contains("Remedy:"), "{text}");
        assert!(text.contains("config.json, line "), "{text}");
        assert!(text.contains("yolo.onnx"), "{text}");
    });
}
