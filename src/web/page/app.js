// The page's frame: the bar with links to the views, what is said of the connection, and the view of the address.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { connection } from './api.js';
import { Component } from './component.js';
import { feed } from './feed.js';
import { address, parse } from './route.js';
import { mark, state } from './states.js';
import './cameras.js';
import './camera.js';
import './check.js';
import './events.js';
import './system.js';
import './zones/editor.js';

const LINKS = [
  ['cameras', 'Cameras'],
  ['system', 'System'],
  ['events', 'Events'],
  ['check', 'Check'],
];

/** The token of the address was wrong: a right one would have been taken out of it. */
const REFUSED = new URLSearchParams(location.search).has('token');

/** Seconds from one look at the cameras to the next. */
const PERIOD = 1;

class App extends Component {
  #route = parse(location.hash);
  #states = new Map();
  #announcement = '';

  connected() {
    this.listen(window, 'hashchange', () => this.#go());
    this.listen(connection, 'change', () => this.#connectionChanged());
    this.listen(feed, 'change', () => this.#announce());
    this.read = this.poll(PERIOD, async (signal) => {
      try {
        await feed.readCameras(signal);
      } catch {
        // The connection says so.
      }
    });
    this.#title();
    // What was typed may be a password of something else: it doesn't stay in the address.
    if (REFUSED) history.replaceState(null, '', `./${location.hash}`);
  }

  #go() {
    const next = parse(location.hash);
    const leave = document.querySelector('zone-editor')?.mayLeave() ?? true;
    if (!leave) {
      history.replaceState(null, '', address.zones(this.#route.camera));
      return;
    }
    this.#route = next;
    this.#title();
    this.update();
    // Where a screen reader and the tab key go on.
    queueMicrotask(() => {
      this.querySelector('main')?.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    });
  }

  #title() {
    const { view, camera } = this.#route;
    const names = { ...Object.fromEntries(LINKS), camera, zones: `Zones of ${camera}`, unknown: 'Not found' };
    document.title = `${names[view]} – gst-trt`;
  }

  #connectionChanged() {
    this.#announcement = { connected: 'Connected.', lost: 'The connection to the server is lost.' }[connection.state] ?? '';
    this.update();
  }

  /** Tells screen readers which cameras have changed their state. */
  #announce() {
    const changed = [];
    for (const { name, state: now } of feed.cameras ?? []) {
      const before = this.#states.get(name);
      if (before && before !== now) changed.push(`${name}: ${state(now).word}`);
      this.#states.set(name, now);
    }
    if (changed.length) {
      this.#announcement = changed.join(', ');
      this.update();
    }
  }

  template() {
    const signedOut = connection.state === 'signed-out';
    return html`
      <a class="skip" href="#main" @click=${(event) => this.#skip(event)}>Skip to the content</a>
      <header class="bar">
        <a class="brand" href=${address.cameras} aria-label="gst-trt, all cameras"><img src="assets/icon.svg" alt=""><span>gst-trt</span></a>
        <nav aria-label="Views">
          <ul>${LINKS.map(([view, title]) => html`<li><a href=${address[view]} aria-current=${this.#isCurrent(view) ? 'page' : nothing}>${title}</a></li>`)}</ul>
        </nav>
        ${connectionMark()}
      </header>
      ${connection.state === 'lost' ? html`<div class="banner">The server doesn’t answer. What is shown may be old; trying again …</div>` : nothing}
      <div class="unseen" role="status" aria-live="polite">${this.#announcement}</div>
      <main id="main" tabindex="-1">${signedOut ? signIn() : this.#view()}</main>`;
  }

  #skip(event) {
    event.preventDefault();
    this.querySelector('main').focus();
  }

  #isCurrent(view) {
    const { view: now } = this.#route;
    return now === view || (view === 'cameras' && (now === 'camera' || now === 'zones'));
  }

  #view() {
    const { view, camera } = this.#route;
    switch (view) {
      case 'cameras':
        return html`<all-cameras class="view"></all-cameras>`;
      case 'camera':
        return html`<one-camera class="view" .name=${camera}></one-camera>`;
      case 'zones':
        return html`<zone-editor class="view" .name=${camera}></zone-editor>`;
      case 'system':
        return html`<system-charts class="view"></system-charts>`;
      case 'events':
        return html`<event-list class="view"></event-list>`;
      case 'check':
        return html`<check-findings class="view"></check-findings>`;
      default:
        return html`<div class="notice"><h1>There is nothing here</h1><p>The address names no view of this page.</p><a class="button" href=${address.cameras}>All cameras</a></div>`;
    }
  }
}

function connectionMark() {
  const [kind, text] = {
    connecting: ['idle', 'Connecting'],
    connected: ['good', 'Connected'],
    lost: ['bad', 'Offline'],
    'signed-out': ['warning', 'Signed out'],
  }[connection.state];
  return html`<div class="connection">${mark(kind, html`<span class="word">${text}</span>`)}</div>`;
}

/** The server exchanges the token for a cookie, and sends the browser back to what was looked at. */
function signIn() {
  return html`
    <form class="panel stack sign-in" method="get" action=${`./${location.hash}`}>
      <h1>Sign in</h1>
      ${REFUSED ? html`<p class="problem" role="alert">The server refuses this token.</p>` : nothing}
      <p class="muted">This server asks for its token: the value of <code>GST_TRT_WEB_TOKEN</code> where it was started.</p>
      <label>Token <input type="password" name="token" required autocomplete="current-password"></label>
      <button class="primary">Sign in</button>
    </form>`;
}

customElements.define('gst-app', App);
