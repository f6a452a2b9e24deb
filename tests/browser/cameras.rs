//! The grid of cameras, and one camera.

use crate::page::{CAMERAS, with_site};
use serde_json::json;

/// Counts the pixels that are the same in two pictures without boxes, and clearly others in one with boxes.
const DRAWN: &str = "
    const pixels = async (query) => {
        const image = new Image();
        image.src = `api/v1/cameras/door/picture.jpg?${query}`;
        await image.decode();
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        return context.getImageData(0, 0, canvas.width, canvas.height).data;
    };
    const [plain, again, drawn] = [await pixels('plain=1'), await pixels('plain=1&again'), await pixels('')];
    let count = 0;
    for (let at = 0; at < plain.length; at += 4) {
        const far = (a, b, least) => [0, 1, 2].some((channel) => Math.abs(a[at + channel] - b[at + channel]) > least);
        if (!far(plain, again, 10) && far(plain, drawn, 60) && far(again, drawn, 60)) count += 1;
    }
    return [count, plain.length / 4]";

#[test]
fn cameras_appear_with_state_figures_and_picture() {
    with_site(|site| {
        let browser = &site.browser;
        for camera in CAMERAS {
            site.wait_for_state(camera, "playing");
            browser.wait_for(&format!("document.querySelector('[data-camera={camera}] img')?.naturalWidth > 0"));
            browser.wait_for_element(&format!("[data-camera={camera}] time"));
        }
        browser.wait_for("Number(document.querySelector('[data-camera=yard] dd').innerText) > 5");
        let shown = || {
            browser.script("return [...document.querySelectorAll('[data-camera]')].map((card) => card.dataset.camera)")
        };
        assert_eq!(shown(), json!(CAMERAS));
        browser.click("input[type=search]");
        browser.keys("YARD.mp4".chars());
        browser.wait_for("document.querySelectorAll('[data-camera]').length === 1");
        assert_eq!(shown(), json!(["yard"]));
        assert!(browser.text("[role=search]").contains("1 of 5 cameras"));
        browser.keys("x".chars());
        browser.wait_for("document.body.innerText.includes('No camera fits')");
    });
}

#[test]
fn of_ninety_cameras_only_pictures_in_view_are_asked_for() {
    with_site(|site| {
        let browser = &site.browser;
        site.wait_for_state("door", "playing");
        browser.script(
            "window.asked = new Set();
             const own = window.fetch;
             window.fetch = async (address, options) => {
                 const picture = String(address).match(/cameras\\/(camera-.*)\\/picture/);
                 if (picture) {
                     asked.add(picture[1]);
                     return own(String(address).replace(picture[1], 'door'), options);
                 }
                 const answer = await own(address, options);
                 if (!String(address).endsWith('/cameras')) return answer;
                 const [one] = (await answer.json()).cameras.filter(({ name }) => name === 'door');
                 const many = Array.from({ length: 90 }, (_, index) => ({ ...one, name: `camera-${index}`, drops: index }));
                 return Response.json({ cameras: many });
             }",
        );
        browser.wait_for("document.querySelectorAll('[data-camera]').length === 90");
        browser.wait_for("document.querySelector('[data-camera=camera-0] img')?.naturalWidth > 0");
        let in_view = "[...document.querySelectorAll('[data-camera]')].filter((card) => card.getBoundingClientRect().top < innerHeight).length";
        browser.wait_for(&format!("asked.size >= {in_view}"));
        let asked = browser.script("return asked.size").as_u64().unwrap();
        let visible = browser.script(&format!("return {in_view}")).as_u64().unwrap();
        assert!(visible < 20 && asked == visible, "{asked} are asked for, {visible} can be seen");
        browser.script("document.querySelector('[data-camera=camera-89]').scrollIntoView()");
        browser.wait_for("asked.has('camera-89')");
        assert_eq!(browser.script("return asked.has('camera-45')"), json!(false));
        browser.script("document.querySelector('input[type=search]').focus()");
        browser.keys("camera-45".chars());
        browser.wait_for("document.querySelectorAll('[data-camera]').length === 1");
        browser.wait_for("document.querySelector('[data-camera=camera-45] img')?.naturalWidth > 0");
        // A hidden page asks for nothing.
        browser.script(
            "Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
             document.dispatchEvent(new Event('visibilitychange'));
             window.calls = 0;
             const wrapped = window.fetch;
             window.fetch = (...all) => { calls += 1; return wrapped(...all); }",
        );
        // What was on its way may still end; then there is silence for two periods of the cameras.
        std::thread::sleep(std::time::Duration::from_millis(2500));
        assert_eq!(browser.script("return calls"), json!(0));
    });
}

#[test]
fn a_killed_camera_turns_red_and_green_again() {
    with_site(|site| {
        site.wait_for_state("gate", "playing");
        let colour = |site: &crate::page::Site| {
            let badge = "document.querySelector('[data-camera=gate] [data-state]')";
            let text =
                site.browser.script(&format!("return getComputedStyle({badge}).color.match(/\\d+/g).map(Number)"));
            [0, 1, 2].map(|channel| text[channel].as_u64().unwrap())
        };
        let [red, green, _] = colour(site);
        assert!(green > 2 * red, "it isn't green");
        site.browser.wait_for("document.querySelector('[data-camera=gate] img')?.naturalWidth > 0");
        site.gate.kill();
        site.wait_for_state("gate", "reconnecting");
        let [red, green, _] = colour(site);
        assert!(red > 2 * green, "it isn't red");
        // Not by colour alone, and said to those who don't see it.
        assert!(site.browser.text("[data-camera=gate] [data-state]").contains("Reconnecting"));
        assert!(
            site.browser.script("return document.querySelector('[data-camera=gate] [data-state] svg path') !== null")
                == true
        );
        site.browser
            .wait_for("document.querySelector('gst-app > [aria-live]').innerText.includes('gate: Reconnecting')");
        site.browser.wait_for("document.querySelector('[data-camera=gate] .reason')?.innerText.length > 0");
        // The last picture stays, with its time.
        assert!(site.browser.script("return document.querySelector('[data-camera=gate] img.old') !== null") == true);
        site.browser.screenshot("cameras-lost");
        site.gate.restart();
        site.wait_for_state("gate", "playing");
        let [red, green, _] = colour(site);
        assert!(green > 2 * red, "it isn't green again");
        site.browser.wait_for("document.querySelector('gst-app > [aria-live]').innerText.includes('gate: Playing')");
        site.browser.wait_for("!document.querySelector('[data-camera=gate] .reason')");
    });
}

#[test]
fn a_picture_has_boxes() {
    with_site(|site| {
        site.wait_for_state("door", "playing");
        // A camera whose picture stands still, but for a corner of noise.
        let drawn = site.browser.asynchronous(DRAWN);
        let (count, all) = (drawn[0].as_u64().unwrap(), drawn[1].as_u64().unwrap());
        assert_eq!(all, 320 * 240);
        assert!(count > 300, "only {count} of {all} pixels differ from the plain picture");
    });
}

#[test]
fn one_camera_is_live_while_it_is_looked_at() {
    with_site(|site| {
        let browser = &site.browser;
        site.see("camera/door");
        browser.wait_for("document.querySelector('camera-live img')?.naturalWidth === 320");
        browser.wait_for("document.title.startsWith('door')");
        browser.wait_for("document.querySelector('#seen-title').parentElement.querySelectorAll('tbody tr').length > 0");
        let count = browser.text("#seen-title ~ table tbody td");
        assert!(count.parse::<u32>().unwrap() > 0, "{count}");
        browser.script("window.live = document.querySelector('camera-live img'); location.hash = '#/events'");
        browser.wait_for_element("event-list");
        assert_eq!(browser.script("return [live.isConnected, live.hasAttribute('src')]"), json!([false, false]));

        site.see("camera/yard");
        browser.wait_for("document.querySelector('camera-live img')?.naturalWidth > 0");
        browser.wait_for("Number(document.querySelector('[data-zone=left] td:nth-of-type(2)')?.innerText) > 0");
        browser.wait_for("document.querySelectorAll('one-camera .list li').length > 0");
        browser.script(
            "window.live = document.querySelector('camera-live img');
             Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
             document.dispatchEvent(new Event('visibilitychange'))",
        );
        browser.wait_for("!live.hasAttribute('src')");
        browser.script("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))");
        browser.wait_for("document.querySelector('camera-live img')?.naturalWidth > 0");

        site.see("camera/nowhere");
        browser.wait_for("document.querySelector('h1').innerText.includes('no camera “nowhere”')");
        site.see("else");
        browser.wait_for("document.querySelector('h1').innerText === 'There is nothing here'");
    });
}

#[test]
fn a_server_that_is_gone_is_said_and_found_again() {
    with_site(|site| {
        let browser = &site.browser;
        site.wait_for_state("door", "playing");
        let network = |offline: bool| {
            browser.devtools("Network.enable", json!({}));
            let conditions =
                json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
            browser.devtools("Network.emulateNetworkConditions", conditions);
        };
        network(true);
        browser.wait_for_element(".banner");
        assert!(browser.text(".connection").contains("Offline"));
        // What was known stays.
        assert!(browser.script("return document.querySelectorAll('[data-camera]').length") == 5);
        network(false);
        browser.wait_for("!document.querySelector('.banner')");
        assert!(browser.text(".connection").contains("Connected"));
    });
}
