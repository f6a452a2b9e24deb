// The keys of a zone or a line as fields.
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { points, swapDirection, withKey } from './shapes.js';

const ANCHORS = { feet: 'Feet: the middle of the lower edge', centre: 'Centre of the box', strict: 'Strict: the whole box' };

/** Fields of a shape; `change(shape, tag)` is called with what it becomes. */
export function form(one, problems, change) {
  const { kind, value } = one;
  const set = (key, content) => change(withKey(one, key, content), `${one.id} ${key}`);
  const list = (key) => (event) => set(key, parts(event.target.value));
  const wrong = problems.length ? 'true' : 'false';
  return html`
    <form class="form" @submit=${(event) => event.preventDefault()}>
      <label>Name <input name="name" maxlength="100" required aria-invalid=${wrong} aria-describedby="shape-problems" .value=${live(String(value.NAME))} @input=${(event) => set('NAME', event.target.value)}></label>
      <div id="shape-problems" role="status">${problems.map(({ text }) => html`<p class="problem">${text}</p>`)}</div>
      ${kind === 'line' ? direction(one, change) : nothing}
      <label>What counts of an object <select name="anchor" .value=${live(value.ANCHOR ?? 'feet')} @change=${(event) => set('ANCHOR', event.target.value)}>
        ${anchors(value.ANCHOR).map(([name, text]) => html`<option value=${name} ?selected=${name === (value.ANCHOR ?? 'feet')}>${text}</option>`)}
      </select></label>
      <label>Classes that count <input name="classes" placeholder="all" autocapitalize="none" .value=${live((value.CLASSES ?? []).join(', '))} @change=${list('CLASSES')}>
        <span class="field-help">Labels of the model with commas between, such as person, car. Empty: all.</span></label>
      ${kind === 'zone' ? ofZone(one, set, list) : nothing}
    </form>`;
}

function anchors(now) {
  const known = Object.entries(ANCHORS);
  return now === undefined || now in ANCHORS ? known : [...known, [now, now]];
}

function direction(line, change) {
  return html`
    <div class="field">Direction
      <button type="button" @click=${() => change(swapDirection(line))}>Swap direction</button>
      <span class="field-help">Objects that cross as the arrow points go in, the others out.</span>
    </div>`;
}

function ofZone(one, set, list) {
  const { value } = one;
  const crowding = value.CROWDING;
  const crowd = (key) => (event) => {
    const next = { ...crowding, [key]: numeral(event.target.value) };
    if (next[key] === undefined) delete next[key];
    // Without a number of objects there is no crowd.
    set('CROWDING', key === 'MORE_THAN' && next.MORE_THAN === undefined ? undefined : next);
  };
  return html`
    <label>Forbidden classes <input name="forbidden" placeholder="none" autocapitalize="none" .value=${live((value.FORBIDDEN ?? []).join(', '))} @change=${list('FORBIDDEN')}>
      <span class="field-help">Each object of these that enters is an event.</span></label>
    <div class="pair">
      <label>Crowded above <input name="more-than" type="number" inputmode="numeric" min="0" step="1" placeholder="never" .value=${live(text(crowding && (crowding.MORE_THAN ?? 0)))} @change=${crowd('MORE_THAN')}>
        <span class="field-help">objects</span></label>
      <label>For <input name="for" type="number" inputmode="decimal" min="0" step="any" placeholder="0" ?disabled=${!crowding} .value=${live(text(crowding?.FOR_S))} @change=${crowd('FOR_S')}>
        <span class="field-help">seconds</span></label>
    </div>
    <label>Loitering after <input name="loitering" type="number" inputmode="decimal" min="0" step="any" placeholder="never" .value=${live(text(value.LOITERING_S))} @change=${(event) => set('LOITERING_S', numeral(event.target.value))}>
      <span class="field-help">seconds: an object that stays longer is an event.</span></label>`;
}

/** The shapes to choose from. */
export function list(shapes, wrong, chosen, choose) {
  return html`<ul class="list">${shapes.map((one) => html`<li class="bare"><button class="pick" aria-pressed=${one.id === chosen} @click=${() => choose(one.id)}>
    ${one.kind === 'zone' ? zoneMark : lineMark}<span>${one.value.NAME || '(no name)'}</span><span class="unseen">${one.kind}, ${points(one).length} ${one.kind === 'zone' ? 'corners' : 'ends'}</span>
    ${wrong.has(one.id) ? html`<span class="state bad">Problem</span>` : nothing}</button></li>`)}</ul>`;
}

const zoneMark = html`<svg class="mark" viewBox="0 0 16 16" aria-hidden="true"><path d="M3 3l10 2-1 8-9-2z" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round" /></svg>`;
const lineMark = html`<svg class="mark" viewBox="0 0 16 16" aria-hidden="true"><path d="M3 13 13 3M9.5 8.5l4 4m0-3v3h-3" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" /></svg>`;

function parts(text) {
  const found = [...new Set(text.split(',').map((part) => part.trim()).filter(Boolean))];
  return found.length ? found : undefined;
}

function numeral(text) {
  return text.trim() === '' ? undefined : Number(text);
}

function text(value) {
  return value === undefined || value === null ? '' : String(value);
}
