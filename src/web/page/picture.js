// Pictures of a camera: taken now and then while they can be seen, or live.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import * as api from './api.js';
import { Component } from './component.js';
import { feed } from './feed.js';
import { moment } from './format.js';
import { state } from './states.js';

/** Seconds from one picture of a card to the next. */
const PERIOD = 5;
/** Pixels. */
const STEP = 320;
/** Each picture is drawn and encoded for this page: not more than these at once. */
const AT_ONCE = 3;

/** Lets so many tasks run at once, the others one after the other. */
class Turns {
  #free;
  #waiting = [];

  constructor(amount) {
    this.#free = amount;
  }

  async run(task) {
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      await new Promise((start) => this.#waiting.push(start));
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

const turns = new Turns(AT_ONCE);

/** The last picture of a camera: `name`, which is in `state`. It's asked for only while it is on the screen. */
class CameraPicture extends Component {
  name = '';
  #state = 'starting';
  #read = () => {};
  #address = null;
  #time = null;
  #problem = null;
  #visible = false;

  set state(state) {
    if (state === this.#state) return;
    this.#state = state;
    if (state === 'playing') this.#read();
    this.update();
  }

  connected() {
    // In steps: one picture serves all clients that ask for the same size.
    const width = Math.min(4, Math.max(1, Math.ceil((this.clientWidth * devicePixelRatio) / STEP))) * STEP;
    this.#read = this.poll(PERIOD, (signal) => (this.#visible ? turns.run(() => this.#ask(width, signal)) : undefined));
    const observer = new IntersectionObserver((entries) => {
      const visible = entries.at(-1).isIntersecting;
      if (visible === this.#visible) return;
      this.#visible = visible;
      if (visible) this.#read();
    });
    observer.observe(this);
    this.leaving.addEventListener('abort', () => {
      observer.disconnect();
      this.#forget();
    });
  }

  #forget() {
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = null;
  }

  async #ask(width, signal) {
    // It may have left the screen while it waited for its turn, and a camera that is lost has no new picture.
    if (!this.#visible || signal.aborted || this.#state !== 'playing') return;
    try {
      const { blob, time } = await api.picture(this.name, { width }, signal);
      this.#forget();
      this.#address = URL.createObjectURL(blob);
      this.#time = time;
      this.#problem = null;
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.#problem = error.message;
    }
    this.update();
  }

  template() {
    const picture = this.#address;
    const playing = this.#state === 'playing';
    const note = playing ? (this.#problem ?? 'Taking a picture …') : `No picture: ${state(this.#state).word.toLowerCase()}`;
    return html`
      ${picture ? html`<img class=${playing ? '' : 'old'} src=${picture} alt=${`Last picture of ${this.name}`}>` : html`<div class="picture-note">${note}</div>`}
      ${picture && this.#time ? html`<time class="picture-time" datetime=${this.#time}>${moment(this.#time)}</time>` : nothing}`;
  }
}

/** Seconds after which a live picture that broke off is asked for again. */
const RETRY = 2;

/** The pictures of a camera as they come: `name`. The connection is closed while the page is hidden, and when the element leaves. */
class CameraLive extends Component {
  name = '';
  #broken = false;
  #retry;

  connected() {
    this.listen(document, 'visibilitychange', () => this.update());
    this.listen(feed, 'change', () => this.update());
    this.leaving.addEventListener('abort', () => {
      clearTimeout(this.#retry);
      // An image that is only taken out of the page would go on loading.
      this.querySelector('img')?.removeAttribute('src');
    });
  }

  #failed() {
    this.#broken = true;
    this.update();
    this.#retry = setTimeout(() => {
      this.#broken = false;
      this.update();
    }, RETRY * 1000);
  }

  template() {
    const camera = feed.camera(this.name);
    const playing = camera?.state === 'playing';
    if (document.hidden || this.#broken || !playing) {
      this.querySelector('img')?.removeAttribute('src');
      return html`<div class="picture-note">${camera && !playing ? `${state(camera.state).word}. ${camera.reason ?? ''}` : 'Connecting …'}</div>`;
    }
    // The shape of the camera's pictures, without black bars.
    if (camera.width && camera.height) this.style.aspectRatio = `${camera.width} / ${camera.height}`;
    return html`
      <img src=${api.url.live(this.name, { width: 1920 })} alt=${`Live picture of ${this.name}`} @error=${() => this.#failed()}>
      <span class="picture-time live">Live</span>`;
  }
}

customElements.define('camera-picture', CameraPicture);
customElements.define('camera-live', CameraLive);
