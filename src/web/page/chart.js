// A chart of values over time, as SVG.
import { html, nothing, svg } from './vendor/lit-html/lit-html.js';
import { Component } from './component.js';
import { clock, quantity, UNKNOWN } from './format.js';

/** One unit is a pixel of the screen. The height is that of `.chart` in style.css. */
const HEIGHT = 208;
const LEFT = 46;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 24;
/** Minutes from one mark of the axis to the next. */
const MINUTES = 3;
const MARKS = 4;
/** Classes `series-1` and so on of style.css. */
const COLOURS = 6;

/** The distance of marks on an axis up to a value: 1, 2, 2.5 or 5 times a power of ten. */
export function step(greatest, marks = MARKS) {
  const rough = greatest / marks;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
}

/** The runs of points that have a value: where it isn't known, the line has a gap. */
export function runs(times, values) {
  const found = [];
  let run = [];
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      if (run.length) found.push(run);
      run = [];
    } else {
      run.push([times[index], value]);
    }
  });
  return run.length ? [...found, run] : found;
}

/** How many decimals the marks of an axis need. */
export function decimals(distance) {
  return [0, 1, 2].find((digits) => Math.abs(distance * 10 ** digits - Math.round(distance * 10 ** digits)) < 1e-6) ?? 3;
}

let made = 0;

/**
 * `data` has `title`, `unit`, `digits`, `times` (milliseconds since 1970, ascending), `span` (milliseconds that are shown), `least` (the
 * value up to which the axis goes at least), `most` (at most, if there is a limit) and `series`: `{ name, values }` each.
 */
class TimeChart extends Component {
  #data = null;
  #cursor = null;
  #width = 640;
  #id = `chart-${(made += 1)}`;

  connected() {
    const observer = new ResizeObserver(() => this.#measure());
    observer.observe(this);
    this.leaving.addEventListener('abort', () => observer.disconnect());
  }

  updated() {
    this.#measure();
  }

  #measure() {
    const width = this.querySelector('.chart')?.clientWidth;
    if (!width || width === this.#width) return;
    this.#width = width;
    this.update();
  }

  set data(data) {
    this.#data = data;
    this.update();
  }

  template() {
    const data = this.#data;
    if (!data) return nothing;
    const { title, unit, times, series } = data;
    const empty = series.every(({ values }) => values.every((value) => value === null || value === undefined));
    const shown = this.#cursor === null ? null : nearest(times, this.#cursor);
    const at = shown ?? times.length - 1;
    return html`
      <figure class="panel stack" aria-labelledby=${this.#id}>
        <div>
          <h2 id=${this.#id}>${title}${unit ? html` <span class="muted small">${unit}</span>` : nothing}</h2>
          <ul class="legend">
            ${series.map(({ name, values }, index) => html`<li><svg viewBox="0 0 16 8" class="series-${(index % COLOURS) + 1}" aria-hidden="true"><path d="M0 4h16" /></svg>${name} <b>${quantity(values[at], unit, data.digits)}</b></li>`)}
            <li class="muted">${times.length ? clock(times[at]) : UNKNOWN}</li>
          </ul>
        </div>
        ${empty ? html`<p class="muted">No values yet.</p>` : this.#drawing(data, shown)}
        ${empty ? nothing : html`<details><summary>Values as a table</summary>${table(data)}</details>`}
      </figure>`;
  }

  #drawing(data, shown) {
    const { times, series, span, digits, unit } = data;
    const width = this.#width;
    const end = times.at(-1);
    const begin = end - span;
    const known = series.flatMap(({ values }) => values.filter((value) => value !== null && value !== undefined));
    const greatest = Math.max(data.least ?? 0, ...known) || 1;
    const distance = step(greatest);
    const top = Math.min(data.most ?? Infinity, Math.ceil((greatest * 0.9999) / distance) * distance);
    const x = (time) => LEFT + ((time - begin) / span) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
    const path = (run) => run.map(([time, value], index) => `${index ? 'L' : 'M'}${x(time).toFixed(1)} ${y(value).toFixed(1)}`).join('') + (run.length === 1 ? 'h1' : '');
    const marks = [];
    for (let value = 0; value <= top * 1.0001; value += distance) marks.push(value);
    const fraction = { minimumFractionDigits: decimals(distance), maximumFractionDigits: decimals(distance) };
    const minutes = [];
    const each = MINUTES * 60_000;
    for (let time = Math.ceil(begin / each) * each; time <= end; time += each) minutes.push(time);
    const latest = series.map(({ name, values }) => `${name} ${quantity(values.at(-1), unit, digits)}`).join(', ');
    return html`
      <svg class="chart" viewBox="0 0 ${width} ${HEIGHT}" tabindex="0" role="img" aria-label=${`${data.title} over ${Math.round(span / 60_000)} minutes. Now: ${latest}. The arrow keys show earlier values.`}
        @pointermove=${(event) => this.#point(event, begin, span)} @pointerdown=${(event) => this.#point(event, begin, span)}
        @pointerleave=${() => this.#show(null)} @blur=${() => this.#show(null)} @keydown=${(event) => this.#key(event)}>
        ${marks.map((value) => svg`<path class="grid" d="M${LEFT} ${y(value).toFixed(1)}H${width - RIGHT}" /><text class="axis" x=${LEFT - 8} y=${y(value) + 4} text-anchor="end">${value.toLocaleString('en', fraction)}</text>`)}
        ${minutes.map((time) => svg`<text class="axis" x=${x(time).toFixed(1)} y=${HEIGHT - 6} text-anchor=${x(time) > width - 30 ? 'end' : x(time) < LEFT + 12 ? 'start' : 'middle'}>${clock(time, false)}</text>`)}
        ${series.map(({ values }, index) => runs(times, values).map((run) => svg`<path class="line series-${(index % COLOURS) + 1}" d=${path(run)} />`))}
        ${shown === null ? nothing : svg`<path class="cursor" d="M${x(times[shown]).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}" />${series.map(({ values }, index) => (values[shown] === null || values[shown] === undefined ? nothing : svg`<circle class="dot series-${(index % COLOURS) + 1}" cx=${x(times[shown])} cy=${y(values[shown])} r="4" />`))}`}
      </svg>
      <p class="unseen" role="status">${shown === null ? '' : `${clock(times[shown])}: ${series.map(({ name, values }) => `${name} ${quantity(values[shown], unit, digits)}`).join(', ')}`}</p>`;
  }

  #point(event, begin, span) {
    const box = event.currentTarget.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * this.#width;
    this.#show(begin + ((at - LEFT) / (this.#width - LEFT - RIGHT)) * span);
  }

  #key(event) {
    const { times } = this.#data;
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -times.length, End: times.length };
    if (event.key === 'Escape') return this.#show(null);
    if (!(event.key in moves)) return;
    event.preventDefault();
    const now = this.#cursor === null ? times.length - 1 : nearest(times, this.#cursor);
    this.#show(times[Math.min(times.length - 1, Math.max(0, now + moves[event.key]))]);
  }

  #show(time) {
    this.#cursor = time;
    this.update();
  }
}

function nearest(times, time) {
  let best = times.length - 1;
  times.forEach((each, index) => {
    if (Math.abs(each - time) < Math.abs(times[best] - time)) best = index;
  });
  return best;
}

/** One row for each half minute, the newest first: what the chart shows, for those who don't see it. */
function table({ times, series, unit, digits, title }) {
  const rows = [];
  let last = Infinity;
  for (let index = times.length - 1; index >= 0; index -= 1) {
    if (last - times[index] < 30_000) continue;
    last = times[index];
    rows.push(index);
  }
  return html`
    <div class="scroller" tabindex="0" role="region" aria-label=${`${title}, as a table`}>
      <table class="counts">
        <thead><tr><th scope="col">Time</th>${series.map(({ name }) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
        <tbody>${rows.map((index) => html`<tr><th scope="row">${clock(times[index])}</th>${series.map(({ values }) => html`<td class="number">${quantity(values[index], unit, digits)}</td>`)}</tr>`)}</tbody>
      </table>
    </div>`;
}

customElements.define('time-chart', TimeChart);
