// What has happened in zones and on lines, with clips.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { repeat } from './vendor/lit-html/directives/repeat.js';
import { Component } from './component.js';
import { feed } from './feed.js';
import { count, moment, number, quantity } from './format.js';
import { address } from './route.js';
import { mark } from './states.js';

const PERIOD = 1;
/** More are shown on request: hundreds of players would make the page slow. */
const PAGE = 100;

/** By the event's type: its word, and the kind of its mark. */
const TYPES = {
  entered: ['Entered', 'good'],
  left: ['Left', 'idle'],
  crossed: ['Crossed', 'good'],
  loitering: ['Loitering', 'warning'],
  forbidden: ['Forbidden', 'bad'],
  crowded: ['Crowded', 'warning'],
  dispersed: ['Dispersed', 'idle'],
};

class EventList extends Component {
  #camera = '';
  #type = '';
  #amount = PAGE;
  #problem = null;

  connected() {
    this.listen(feed, 'change', () => this.update());
    this.poll(PERIOD, async (signal) => {
      try {
        await feed.readEvents(signal);
        this.#problem = null;
      } catch (error) {
        if (error.name !== 'AbortError') this.#problem = error.message;
      }
      this.update();
    });
  }

  template() {
    const cameras = [...new Set([...(feed.cameras ?? []).map(({ name }) => name), ...feed.events.map(({ camera }) => camera)])];
    const fits = ({ camera, event }) => (!this.#camera || camera === this.#camera) && (!this.#type || event.type === this.#type);
    const shown = feed.events.filter(fits);
    return html`
      <div class="heading"><h1>Events</h1></div>
      <form class="filters heading" @submit=${(event) => event.preventDefault()}>
        <label>Camera <select @change=${(event) => this.#filter(() => { this.#camera = event.target.value; })}>
          <option value="">All cameras</option>
          ${cameras.map((name) => html`<option value=${name}>${name}</option>`)}
        </select></label>
        <label>Event <select @change=${(event) => this.#filter(() => { this.#type = event.target.value; })}>
          <option value="">All events</option>
          ${Object.entries(TYPES).map(([type, [word]]) => html`<option value=${type}>${word}</option>`)}
        </select></label>
        <p class="muted small" role="status">${count(shown.length, 'event')}</p>
      </form>
      ${this.#problem && !feed.eventsKnown ? html`<p class="problem">${this.#problem}</p>` : nothing}
      ${this.#list(shown)}`;
  }

  #filter(change) {
    change();
    this.#amount = PAGE;
    this.update();
  }

  #list(shown) {
    if (!feed.eventsKnown) return this.#problem ? nothing : html`<div class="notice" aria-busy="true"><p>Loading …</p></div>`;
    if (!feed.events.length) {
      return html`<div class="notice"><strong>Nothing has happened</strong><p>Events come from zones and lines: draw them with a camera’s <em>Edit zones and lines</em>.</p></div>`;
    }
    if (!shown.length) return html`<div class="notice"><strong>No event fits</strong><p>Change the camera or the event above.</p></div>`;
    const more = shown.length - this.#amount;
    return html`
      <ul class="list">${repeat(shown.slice(0, this.#amount), ({ number: key }) => key, (event) => eventItem(event))}</ul>
      ${more > 0 ? html`<p class="heading"><button @click=${() => this.#more()}>Show ${number(Math.min(more, PAGE))} more</button></p>` : nothing}
      ${feed.missed ? html`<p class="muted small">${count(feed.missed, 'older event')} can’t be shown: the server keeps the last 1000.</p>` : nothing}`;
  }

  #more() {
    this.#amount += PAGE;
    this.update();
  }
}

/** An event as an item of a list; where all are of one camera, its name is left out. */
export function eventItem({ camera, time, event, clip_url: clip }, named = true) {
  const [word, kind] = TYPES[event.type] ?? [event.type, 'idle'];
  return html`
    <li>
      <div class="row">
        ${mark(kind, word)}
        <span class="break">${sentence(event)}</span>
        <span class="muted small end">${named ? html`<a href=${address.camera(camera)}>${camera}</a> · ` : nothing}<time datetime=${time}>${moment(time)}</time></span>
      </div>
      ${clip ? clipOf(clip, camera) : nothing}
    </li>`;
}

/** The player asks for the clip once it's unfolded. */
function clipOf(clip, camera) {
  return html`
    <details @toggle=${(toggled) => toggled.target.querySelector('video').setAttribute('src', clip)}>
      <summary>Clip</summary>
      <video controls preload="metadata" aria-label=${`Clip of ${camera}`} @error=${(failed) => failed.target.nextElementSibling.removeAttribute('hidden')}></video>
      <p class="muted small" hidden>The clip can’t be played: it may not be finished yet, or was deleted to make room, or this browser doesn’t know its codec. <a href=${clip} download>Download it</a></p>
    </details>`;
}

function sentence(event) {
  const who = event.label ? `${event.label}${event.track_id === undefined ? '' : ` ${event.track_id}`}` : null;
  switch (event.type) {
    case 'entered':
      return `${who} in ${event.zone}`;
    case 'left':
      return `${who} from ${event.zone} after ${quantity(event.dwell_s, 's', 1)}${event.vanished ? ', last seen inside' : ''}`;
    case 'crossed':
      return `${who} over ${event.line}, ${event.direction}`;
    case 'loitering':
    case 'forbidden':
      return `${who} in ${event.zone}`;
    case 'crowded':
      return `${event.zone}: ${count(event.count, 'object')}`;
    case 'dispersed':
      return `${event.zone}, after ${quantity(event.lasted_s, 's', 1)}`;
    default:
      return [who, event.zone ?? event.line].filter(Boolean).join(', ');
  }
}

customElements.define('event-list', EventList);
