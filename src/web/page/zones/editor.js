// The editor of a camera's zones and lines.
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import * as api from '../api.js';
import { finding } from '../check.js';
import { Component } from '../component.js';
import { feed } from '../feed.js';
import { count } from '../format.js';
import { address } from '../route.js';
import { overlay, position } from './drawing.js';
import { form, list } from './form.js';
import { History } from './history.js';
import { problems } from './rules.js';
import { freeName, fromConfig, insertPoint, inside, moveBy, movePoint, points, removePoint, shape, toConfig, toText } from './shapes.js';

/** How far an arrow key moves a point, fractions of the picture: with Alt, alone, with Shift. */
const STEPS = { fine: 0.001, plain: 0.01, coarse: 0.05 };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** A pointer that moves less, pixels, only chooses. */
const STILL = 3;
/** A point this near to the first or the last one, pixels, ends the drawing. */
const NEAR = 10;
const LEAST = { zone: 3, line: 2 };
/** Where the cursor begins. */
const CENTRE = [0.5, 0.5];

class ZoneEditor extends Component {
  #name = '';
  #history = new History([]);
  /** As they are in the file. */
  #saved = [];
  /** The version of the file; `null` where zones aren't in it. */
  #version = null;
  #known = false;
  #editable = false;
  #whyNot = null;
  #loading = true;
  /** The id of the shape that is being edited. */
  #chosen = null;
  /** The shape that is being drawn: `{ kind, points, cursor }`. */
  #pending = null;
  /** What a pointer moves. */
  #drag = null;
  #size = [640, 360];
  #picture = null;
  #pictureNote = 'Taking a picture …';
  #message = null;
  #busy = false;
  #changedFile = false;
  #copied = null;
  #announcement = '';
  /** What is to be focused after the next drawing, a selector. */
  #focus = null;

  set name(name) {
    this.#name = name;
  }

  connected() {
    this.#load();
    this.#takePicture();
    const observer = new ResizeObserver(() => this.#measure());
    observer.observe(this);
    this.leaving.addEventListener('abort', () => {
      observer.disconnect();
      if (this.#picture) URL.revokeObjectURL(this.#picture);
    });
    this.listen(this, 'keydown', (event) => this.#shortcut(event));
    this.listen(window, 'beforeunload', (event) => {
      if (this.#isChanged()) event.preventDefault();
    });
  }

  /** Whether what isn't saved may be lost; asks. */
  mayLeave() {
    return !this.#isChanged() || confirm('Zones and lines aren’t saved. Leave them?');
  }

  get #shapes() {
    return this.#history.present;
  }

  #isChanged() {
    return JSON.stringify(toConfig(this.#shapes)) !== JSON.stringify(toConfig(this.#saved));
  }

  async #load() {
    this.#loading = true;
    try {
      this.#take(await api.zones(this.#name, this.leaving));
      this.#message = null;
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.#message = failure(error);
    }
    this.#loading = false;
    this.update();
  }

  #take(answer) {
    this.#saved = fromConfig(answer);
    this.#history = new History(this.#saved);
    this.#version = answer.version;
    this.#known = true;
    this.#editable = answer.editable;
    this.#whyNot = answer.why_not;
    this.#chosen = null;
    this.#changedFile = false;
  }

  async #takePicture() {
    this.#pictureNote = 'Taking a picture …';
    this.update();
    try {
      const { blob } = await api.picture(this.#name, { plain: 1, width: 1920 }, this.leaving);
      if (this.#picture) URL.revokeObjectURL(this.#picture);
      this.#picture = URL.createObjectURL(blob);
      this.#pictureNote = null;
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.#pictureNote = error.message;
    }
    this.update();
  }

  #measure() {
    const drawing = this.querySelector('.drawing');
    if (!drawing) return;
    const { clientWidth: width, clientHeight: height } = drawing.parentElement;
    if (width && height && (width !== this.#size[0] || height !== this.#size[1])) {
      this.#size = [width, height];
      this.update();
    }
  }

  updated() {
    this.#measure();
    if (this.#focus) {
      this.querySelector(this.#focus)?.focus();
      this.#focus = null;
    }
  }

  // Changes.

  #commit(shapes, tag = null) {
    this.#history.commit(shapes, tag);
    this.#message = null;
    this.#copied = null;
    this.update();
  }

  #replace(one, tag = null) {
    this.#commit(this.#shapes.map((each) => (each.id === one.id ? one : each)), tag);
  }

  #current() {
    return this.#shapes.find(({ id }) => id === this.#chosen);
  }

  #choose(id) {
    this.#chosen = id === this.#chosen ? null : id;
    this.update();
  }

  #delete() {
    const one = this.#current();
    if (!one) return;
    this.#commit(this.#shapes.filter(({ id }) => id !== one.id));
    this.#chosen = null;
    this.#say(`${one.value.NAME} deleted. Undo brings it back.`);
    this.#focus = '[data-add="zone"]';
  }

  #undo() {
    this.#history.undo();
    this.#afterTravel();
  }

  #redo() {
    this.#history.redo();
    this.#afterTravel();
  }

  #afterTravel() {
    if (!this.#current()) this.#chosen = null;
    this.#message = null;
    this.update();
  }

  #deletePoint(index) {
    const one = this.#current();
    if (one.kind === 'line' || points(one).length <= LEAST.zone) {
      this.#say(one.kind === 'line' ? 'A line has two ends. To delete the line, use its button.' : 'A zone has at least 3 corners.');
      return;
    }
    this.#replace(removePoint(one, index));
    this.#say(`Corner ${index + 1} deleted.`);
    this.#focus = `[data-point="${Math.max(0, index - 1)}"]`;
  }

  #insertAfter(index) {
    const one = this.#current();
    if (one.kind === 'line') return;
    this.#replace(insertPoint(one, index));
    this.#focus = `[data-point="${index + 1}"]`;
  }

  #say(text) {
    this.#announcement = text;
    this.update();
  }

  // Drawing a new shape.

  #begin(kind) {
    this.#pending = { kind, points: [], cursor: CENTRE };
    this.#chosen = null;
    this.#focus = '.drawing';
    this.#say(kind === 'zone' ? 'Place the corners of the zone: with the pointer, or with arrow keys and Enter.' : 'Place the two ends of the line: with the pointer, or with arrow keys and Enter.');
  }

  #cancel() {
    const { kind } = this.#pending;
    this.#pending = null;
    this.#focus = `[data-add="${kind}"]`;
    this.#say('Drawing cancelled.');
  }

  #place(point) {
    const { kind, points: placed } = this.#pending;
    const near = (other) => other && this.#pixels(point, other) < NEAR;
    if (placed.length >= LEAST[kind] && (near(placed[0]) || near(placed.at(-1)))) return this.#finish();
    // A double click is no corner of its own.
    if (near(placed.at(-1))) return undefined;
    this.#pending = { kind, points: [...placed, point], cursor: point };
    if (kind === 'line' && placed.length === 1) return this.#finish();
    return this.#say(`${kind === 'zone' ? 'Corner' : 'End'} ${placed.length + 1} placed: ${position(point)}.`);
  }

  #finish() {
    const { kind, points: placed } = this.#pending;
    if (placed.length < LEAST[kind]) return this.#say(`A ${kind} needs ${LEAST[kind]} points.`);
    const name = freeName(kind, this.#shapes);
    const rounded = placed.map((point) => point.map((value) => Number(value.toFixed(4))));
    const value = kind === 'zone' ? { NAME: name, POLYGON: rounded } : { NAME: name, FROM: rounded[0], TO: rounded[1] };
    const made = shape(kind, value);
    this.#pending = null;
    this.#commit([...this.#shapes, made]);
    this.#chosen = made.id;
    this.#focus = 'input[name="name"]';
    return this.#say(`${name} drawn. Give it a name.`);
  }

  // Pointers.

  #at(event) {
    const box = this.querySelector('.drawing').getBoundingClientRect();
    return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
  }

  #pixels(a, b) {
    return Math.hypot((a[0] - b[0]) * this.#size[0], (a[1] - b[1]) * this.#size[1]);
  }

  #down(event) {
    if (event.button !== 0) return;
    const at = this.#at(event);
    if (this.#pending) {
      this.#pending = { ...this.#pending, cursor: at };
      this.#place(at);
      return;
    }
    const handle = event.target.closest('[data-point], [data-edge], [data-shape]');
    if (!handle) {
      this.#chosen = null;
      this.update();
      return;
    }
    event.currentTarget.setPointerCapture(event.pointerId);
    const { point, edge, shape: id } = handle.dataset;
    if (id !== undefined) {
      this.#drag = { id: Number(id), from: at, before: this.#shapes.find((one) => one.id === Number(id)), moved: false };
      return;
    }
    let index = Number(point);
    if (edge !== undefined) {
      index = Number(edge) + 1;
      this.#replace(insertPoint(this.#current(), Number(edge)), `drag ${event.timeStamp}`);
    }
    this.#drag = { id: this.#chosen, point: index, from: at, before: this.#current(), moved: false, tag: `drag ${event.timeStamp}` };
    this.update();
  }

  #move(event) {
    const at = this.#at(event);
    if (this.#pending) {
      this.#pending = { ...this.#pending, cursor: at };
      this.update();
      return;
    }
    const drag = this.#drag;
    if (!drag || (!drag.moved && this.#pixels(at, drag.from) < STILL)) return;
    // One step of undo for the whole way, however long it takes.
    if (!drag.moved && drag.point === undefined) drag.tag = `drag ${event.timeStamp}`;
    drag.moved = true;
    this.#chosen = drag.id;
    const by = [at[0] - drag.from[0], at[1] - drag.from[1]];
    if (drag.point === undefined) this.#replaceWhileDragged(moveBy(drag.before, by));
    else {
      const start = points(drag.before)[drag.point];
      this.#replaceWhileDragged(movePoint(drag.before, drag.point, [start[0] + by[0], start[1] + by[1]]));
    }
  }

  #replaceWhileDragged(one) {
    const drag = this.#drag;
    const shapes = this.#shapes.map((each) => (each.id === one.id ? one : each));
    this.#history.commit(shapes, drag.tag, drag.at);
    drag.at ??= Date.now();
    this.#message = null;
    this.update();
  }

  #up() {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    this.#chosen = drag.id;
    // The browser's own choice is suppressed: it would take the focus from where a finished drawing has put it.
    this.#focus = drag.point === undefined ? `[data-shape="${drag.id}"]` : `[data-point="${drag.point}"]`;
    this.update();
  }

  // Keys.

  #shortcut(event) {
    if (event.target.closest('input, textarea, select')) return;
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && key === 'z') {
      event.preventDefault();
      if (event.shiftKey) this.#redo();
      else this.#undo();
    } else if (command && key === 'y') {
      event.preventDefault();
      this.#redo();
    }
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey) return;
    const direction = ARROWS[event.key];
    if (this.#pending) {
      this.#keyWhileDrawing(event, direction);
      return;
    }
    const handle = event.target.closest('[data-point], [data-edge], [data-shape]');
    if (!handle) return;
    const { point, edge, shape: id } = handle.dataset;
    const isEnter = event.key === 'Enter' || event.key === ' ';
    if (direction) {
      event.preventDefault();
      this.#nudge(direction, stepOf(event), point === undefined ? undefined : Number(point), id);
    } else if (isEnter && id !== undefined) {
      event.preventDefault();
      this.#chosen = Number(id);
      this.#focus = '[data-point="0"]';
      this.update();
    } else if (isEnter && edge !== undefined) {
      event.preventDefault();
      this.#insertAfter(Number(edge));
    } else if ((event.key === 'Delete' || event.key === 'Backspace') && point !== undefined) {
      event.preventDefault();
      this.#deletePoint(Number(point));
    } else if ((event.key === 'Delete' || event.key === 'Backspace') && id !== undefined) {
      event.preventDefault();
      this.#chosen = Number(id);
      this.#delete();
    } else if ((event.key === 'Insert' || event.key === '+') && point !== undefined) {
      event.preventDefault();
      this.#insertAfter(Number(point));
    } else if (event.key === 'Escape') {
      this.#focus = `[data-shape="${this.#chosen}"]`;
      this.#chosen = null;
      this.update();
    }
  }

  #keyWhileDrawing(event, direction) {
    const { cursor } = this.#pending;
    if (direction) {
      event.preventDefault();
      const step = stepOf(event);
      const to = [inside(cursor[0] + direction[0] * step), inside(cursor[1] + direction[1] * step)];
      this.#pending = { ...this.#pending, cursor: to };
      this.#say(position(to));
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.#place(cursor);
    } else if (event.key === 'Backspace') {
      event.preventDefault();
      this.#pending = { ...this.#pending, points: this.#pending.points.slice(0, -1) };
      this.#say('The last point is taken away.');
    } else if (event.key === 'Escape') {
      event.preventDefault();
      this.#cancel();
    }
  }

  #nudge(direction, step, index, id) {
    if (id !== undefined) this.#chosen = Number(id);
    const one = this.#current();
    if (!one) return;
    const by = direction.map((part) => part * step);
    if (index === undefined) {
      if (id !== undefined) this.#replace(moveBy(one, by), `nudge ${one.id}`);
      return;
    }
    const [x, y] = points(one)[index];
    const to = [inside(x + by[0]), inside(y + by[1])];
    this.#replace(movePoint(one, index, to), `nudge ${one.id} ${index}`);
    this.#say(position(to));
  }

  // The file.

  async #save(version = this.#version) {
    this.#busy = true;
    this.#message = null;
    this.update();
    const sent = this.#shapes;
    try {
      const answer = await api.setZones(this.#name, toConfig(sent), version);
      const chosen = this.#current()?.value.NAME;
      this.#take(answer);
      this.#chosen = this.#shapes.find(({ value }) => value.NAME === chosen)?.id ?? null;
      this.#message = { success: 'Saved into config.json, and in use.' };
    } catch (error) {
      if (error.status === 412) this.#changedFile = true;
      else this.#message = failure(error);
    }
    this.#busy = false;
    this.update();
  }

  /** Writes these zones over those that have come into the file meanwhile. */
  async #overwrite() {
    try {
      const { version } = await api.zones(this.#name, this.leaving);
      this.#changedFile = false;
      await this.#save(version);
    } catch (error) {
      this.#message = failure(error);
      this.update();
    }
  }

  async #copy() {
    const text = toText(this.#shapes);
    let copied = false;
    try {
      // Browsers offer this on encrypted connections and on loopback alone.
      await navigator.clipboard.writeText(text);
      copied = true;
    } catch {
      // The text can still be copied by hand.
    }
    this.#copied = { text, copied };
    this.#focus = '#copied';
    this.update();
  }

  // What is shown.

  template() {
    const name = this.#name;
    const found = problems(this.#shapes);
    return html`
      <nav class="breadcrumb" aria-label="Path"><a href=${address.cameras}>Cameras</a><span aria-hidden="true">/</span><a href=${address.camera(name)}>${name}</a><span aria-hidden="true">/</span><span aria-current="page">Zones and lines</span></nav>
      <div class="heading">
        <h1>Zones and lines of ${name}</h1>
        ${this.#loading ? nothing : this.#fileButtons(found)}
      </div>
      <div class="unseen" role="status" aria-live="polite">${this.#announcement}</div>
      <div class="stack">
        ${this.#notes()}
        ${this.#loading ? html`<div class="notice" aria-busy="true"><p>Loading …</p></div>` : this.#known ? this.#editor(found) : nothing}
      </div>`;
  }

  #fileButtons(found) {
    if (!this.#known) return html`<button @click=${() => this.#load()}>Try again</button>`;
    const changed = this.#isChanged();
    return html`
      <div class="buttons">
        <button @click=${() => this.#copy()}>Copy as JSON</button>
        <button ?disabled=${!changed || this.#busy} @click=${() => this.#commit(this.#saved)}>Discard</button>
        <button class="primary" data-action="save" ?disabled=${!changed || this.#busy || !this.#editable || found.length > 0} @click=${() => this.#save()}>${this.#busy ? 'Saving …' : 'Save'}</button>
      </div>`;
  }

  #notes() {
    return html`
      ${this.#known && !this.#editable ? html`<p class="problem" role="note">These zones can’t be saved here: ${this.#whyNot}</p>` : nothing}
      ${this.#changedFile
        ? html`<div class="problem stack" role="alert"><p><b>config.json has changed</b> since these zones were read. Nothing was written.</p>
            <div class="buttons"><button @click=${() => this.#load()}>Read the file’s zones, leave mine</button><button @click=${() => this.#overwrite()}>Keep mine, write over the file’s</button></div></div>`
        : nothing}
      ${this.#message?.success ? html`<p class="success" role="status">${this.#message.success}</p>` : nothing}
      ${this.#message?.problem ? html`<div class="problem" role="alert"><p>${this.#message.problem}</p></div>` : nothing}
      ${this.#message?.findings?.length ? html`<ul class="list">${this.#message.findings.map((one) => finding(one))}</ul>` : nothing}
      ${this.#copied
        ? html`<section class="panel stack" aria-labelledby="copied-title"><h2 id="copied-title">${this.#copied.copied ? 'Copied' : 'Copy this'}</h2>
            <label>For the camera in config.json <textarea id="copied" readonly rows="10" .value=${this.#copied.text} @focus=${(event) => event.target.select()}></textarea></label>
            <div class="buttons"><button @click=${() => { this.#copied = null; this.update(); }}>Close</button></div></section>`
        : nothing}`;
  }

  #editor(found) {
    const wrong = new Set(found.map(({ id }) => id));
    return html`<div class="split">
      <div class="stack">
        ${this.#tools()}
        ${this.#stage(wrong)}
        ${help(this.#pending)}
      </div>
      <div class="stack">${this.#side(found, wrong)}</div>
    </div>`;
  }

  #tools() {
    if (this.#pending) {
      const { kind, points: placed } = this.#pending;
      return html`<div class="buttons" role="toolbar" aria-label="Drawing">
        <button class="primary" ?disabled=${placed.length < LEAST[kind]} @click=${() => this.#finish()}>Finish ${kind}</button>
        <button ?disabled=${!placed.length} @click=${() => { this.#pending = { ...this.#pending, points: placed.slice(0, -1) }; this.update(); }}>Take back a point</button>
        <button @click=${() => this.#cancel()}>Cancel</button>
      </div>`;
    }
    const one = this.#current();
    return html`<div class="buttons" role="toolbar" aria-label="Tools">
      <button data-add="zone" @click=${() => this.#begin('zone')}>Add zone</button>
      <button data-add="line" @click=${() => this.#begin('line')}>Add line</button>
      <button ?disabled=${!this.#history.canUndo} @click=${() => this.#undo()}>Undo</button>
      <button ?disabled=${!this.#history.canRedo} @click=${() => this.#redo()}>Redo</button>
      ${one ? html`<button class="danger" @click=${() => this.#delete()}>Delete ${one.kind}</button>` : nothing}
      <button @click=${() => this.#takePicture()}>New picture</button>
    </div>`;
  }

  #stage(wrong) {
    const [width, height] = this.#size;
    const pending = this.#pending;
    const label = pending ? `Drawing a ${pending.kind} on the picture of ${this.#name}` : `Zones and lines on the picture of ${this.#name}`;
    return html`<div class="stage">
      ${this.#picture ? html`<img src=${this.#picture} alt="" @load=${() => this.#measure()}>` : html`<div class="blank">${this.#shaped()}<div class="picture-note">${this.#pictureNote}</div></div>`}
      <svg class="drawing ${pending ? 'placing' : ''}" viewBox="0 0 ${width} ${height}" tabindex=${pending ? '0' : '-1'} role="application" aria-label=${label} aria-describedby="keys"
        @mousedown=${(event) => event.preventDefault()} @pointerdown=${(event) => this.#down(event)} @pointermove=${(event) => this.#move(event)} @pointerup=${() => this.#up()} @pointercancel=${() => this.#up()} @keydown=${(event) => this.#key(event)}>
        ${overlay({ size: this.#size, shapes: this.#shapes, wrong, chosen: this.#chosen, held: this.#drag?.point, pending })}
      </svg>
    </div>
    ${this.#picture && this.#pictureNote ? html`<p class="muted small" role="status">${this.#pictureNote}</p>` : nothing}`;
  }

  /** Nothing, of the shape of the camera's pictures. */
  #shaped() {
    const { width, height } = feed.camera(this.#name) ?? {};
    return html`<svg viewBox="0 0 ${width || 16} ${height || 9}" aria-hidden="true"></svg>`;
  }

  #side(found, wrong) {
    const shapes = this.#shapes;
    const one = this.#current();
    return html`
      <section class="panel" aria-labelledby="list-title">
        <h2 id="list-title">${count(shapes.filter(({ kind }) => kind === 'zone').length, 'zone')}, ${count(shapes.filter(({ kind }) => kind === 'line').length, 'line')}</h2>
        ${shapes.length ? list(shapes, wrong, this.#chosen, (id) => this.#choose(id)) : html`<p class="muted">There is none yet. Add a zone, in which objects are counted, or a line, which they cross.</p>`}
      </section>
      ${one
        ? html`<section class="panel" aria-labelledby="form-title"><h2 id="form-title">${one.kind === 'zone' ? 'Zone' : 'Line'}</h2>
            ${form(one, found.filter(({ id }) => id === one.id), (next, tag) => this.#replace(next, tag))}</section>`
        : nothing}
      ${feed.camera(this.#name)?.zones.length === 0 && feed.camera(this.#name)?.lines.length === 0 && this.#saved.length === 0
        ? html`<p class="muted small">The first zone or line of a camera makes its pipeline start anew, which takes a moment.</p>`
        : nothing}`;
  }
}

function stepOf(event) {
  if (event.altKey) return STEPS.fine;
  return event.shiftKey ? STEPS.coarse : STEPS.plain;
}

function failure(error) {
  return { problem: error.message, findings: error.findings };
}

function help(pending) {
  const keys = pending
    ? [
        ['Arrow keys', 'move the cursor; with Shift further, with Alt less far'],
        ['Enter', pending.kind === 'zone' ? 'places a corner; at the last or the first corner it finishes the zone' : 'places an end'],
        ['Backspace', 'takes the last point away'],
        ['Escape', 'cancels'],
      ]
    : [
        ['Enter', 'chooses the zone or line that is focused; on a + it adds a corner'],
        ['Arrow keys', 'move the focused corner, zone or line; with Shift further, with Alt less far'],
        ['Delete', 'removes the focused corner, zone or line'],
        ['Ctrl Z, Ctrl Y', 'undo, redo'],
      ];
  return html`<details ?open=${Boolean(pending)}><summary>Keys</summary><dl class="keys" id="keys">${keys.map(([key, text]) => html`<dt><kbd>${key}</kbd></dt><dd>${text}</dd>`)}</dl></details>`;
}

customElements.define('zone-editor', ZoneEditor);
