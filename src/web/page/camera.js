// One camera: its live picture, what is in it, and what is counted.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import * as api from './api.js';
import { figures } from './cameras.js';
import { Component } from './component.js';
import { eventItem } from './events.js';
import { feed } from './feed.js';
import { count, number } from './format.js';
import { address } from './route.js';
import { badge } from './states.js';
import './picture.js';

/** Seconds from one look at the objects to the next. */
const PERIOD = 1;
const EVENTS_SHOWN = 5;

class OneCamera extends Component {
  #name = '';
  #classes = null;

  set name(name) {
    if (name === this.#name) return;
    this.#name = name;
    this.#classes = null;
    this.update();
  }

  connected() {
    this.listen(feed, 'change', () => this.update());
    this.poll(PERIOD, (signal) => this.#read(signal));
    this.poll(2 * PERIOD, (signal) => feed.readEvents(signal).catch(() => {}));
  }

  async #read(signal) {
    const name = this.#name;
    if (feed.cameras && feed.camera(name)?.state !== 'playing') {
      this.#classes = null;
      return;
    }
    try {
      const { objects } = await api.objects(name, signal);
      if (name === this.#name) this.#classes = classes(objects);
    } catch {
      this.#classes = null;
    }
    this.update();
  }

  template() {
    const name = this.#name;
    const camera = feed.camera(name);
    const path = html`<nav class="breadcrumb" aria-label="Path"><a href=${address.cameras}>Cameras</a><span aria-hidden="true">/</span><span aria-current="page">${name}</span></nav>`;
    if (feed.cameras === null) return html`${path}<div class="notice" aria-busy="true"><h1>${name}</h1><p>Loading …</p></div>`;
    if (!camera) {
      return html`${path}<div class="notice"><h1>There is no camera “${name}”</h1><p>It may have been removed, or has another name.</p><a class="button" href=${address.cameras}>All cameras</a></div>`;
    }
    return html`
      ${path}
      <div class="heading">
        <div class="row"><h1>${name}</h1>${badge(camera.state)}</div>
        <a class="button" href=${address.zones(name)}>Edit zones and lines</a>
      </div>
      <div class="split">
        <div class="stack">
          <camera-live class="large" .name=${name}></camera-live>
          ${camera.reason ? html`<p class="problem">${camera.reason}</p>` : nothing}
          ${recent(name)}
        </div>
        <div class="stack">
          <section class="panel" aria-labelledby="figures-title"><h2 id="figures-title">Now</h2>${figures(camera)}</section>
          ${seen(this.#classes)}
          ${zones(camera.zones)}
          ${lines(camera.lines)}
          ${about(camera)}
        </div>
      </div>`;
  }
}

/** How many objects of each class there are, most first. */
function classes(objects) {
  const counts = new Map();
  for (const { label } of objects) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

function seen(counts) {
  return html`
    <section class="panel" aria-labelledby="seen-title">
      <h2 id="seen-title">In the picture</h2>
      ${counts === null ? html`<p class="muted">Not known while no frame comes.</p>` : nothing}
      ${counts?.length === 0 ? html`<p class="muted">Nothing is found.</p>` : nothing}
      ${counts?.length
        ? html`<table class="counts"><thead><tr><th scope="col">Class</th><th scope="col" class="number">Objects</th></tr></thead>
          <tbody>${counts.map(([label, amount]) => html`<tr><th scope="row">${label}</th><td class="number">${number(amount)}</td></tr>`)}</tbody></table>`
        : nothing}
    </section>`;
}

function zones(zones) {
  if (!zones.length) return nothing;
  return html`
    <section class="panel" aria-labelledby="zones-title">
      <h2 id="zones-title">Zones</h2>
      <table class="counts">
        <thead><tr><th scope="col">Zone</th><th scope="col" class="number">Inside</th><th scope="col" class="number">Entered</th><th scope="col" class="number">Left</th></tr></thead>
        <tbody>${zones.map(({ name, occupancy, entered, left }) => html`<tr data-zone=${name}><th scope="row">${name}</th><td class="number">${number(occupancy)}</td><td class="number">${number(entered)}</td><td class="number">${number(left)}</td></tr>`)}</tbody>
      </table>
    </section>`;
}

function lines(lines) {
  if (!lines.length) return nothing;
  return html`
    <section class="panel" aria-labelledby="lines-title">
      <h2 id="lines-title">Lines</h2>
      <table class="counts">
        <thead><tr><th scope="col">Line</th><th scope="col" class="number">In</th><th scope="col" class="number">Out</th></tr></thead>
        <tbody>${lines.map((line) => html`<tr data-line=${line.name}><th scope="row">${line.name}</th><td class="number">${number(line.in)}</td><td class="number">${number(line.out)}</td></tr>`)}</tbody>
      </table>
    </section>`;
}

function about(camera) {
  const size = camera.width ? `${camera.width} × ${camera.height}` : 'not known yet';
  const from = { config: 'config.json', api: 'stream/add; it isn’t in config.json', fleet: 'the fleet' }[camera.from] ?? camera.from;
  return html`
    <section class="panel" aria-labelledby="about-title">
      <h2 id="about-title">Camera</h2>
      <table class="counts"><tbody>
        <tr><th scope="row">Address</th><td class="break">${camera.source ?? 'not configured any more'}</td></tr>
        <tr><th scope="row">Picture</th><td>${size}</td></tr>
        ${camera.models.map(({ element, file }) => html`<tr><th scope="row">${element[0].toUpperCase()}${element.slice(1)}</th><td class="break">${file}</td></tr>`)}
        <tr><th scope="row">Comes from</th><td>${from}</td></tr>
        ${camera.clips ? html`<tr><th scope="row">Clips</th><td>${count(camera.clips.written, 'clip')} written${camera.clips.lost ? `, ${number(camera.clips.lost)} lost` : ''}</td></tr>` : nothing}
        ${camera.lines_dropped ? html`<tr><th scope="row">Lines dropped</th><td>${number(camera.lines_dropped)}</td></tr>` : nothing}
      </tbody></table>
    </section>`;
}

function recent(name) {
  const events = feed.events.filter((event) => event.camera === name).slice(0, EVENTS_SHOWN);
  if (!events.length) return nothing;
  return html`
    <section class="stack" aria-labelledby="recent-title">
      <div class="heading"><h2 id="recent-title">Last events</h2><a href=${address.events}>All events</a></div>
      <ul class="list">${events.map((event) => eventItem(event, false))}</ul>
    </section>`;
}

customElements.define('one-camera', OneCamera);
