// Numbers and times as text.

/** What stands for a value that isn't known. */
export const UNKNOWN = '–';

export function number(value, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** With a unit behind a no-break space. */
export function quantity(value, unit, digits = 0) {
  const text = number(value, digits);
  return text === UNKNOWN || !unit ? text : `${text}\u00a0${unit}`;
}

const CLOCK = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };

/** The time of day, of milliseconds since 1970. */
export function clock(time, seconds = true) {
  return new Date(time).toLocaleTimeString('en', seconds ? CLOCK : { ...CLOCK, second: undefined });
}

/** The time of day, and the date where it isn't today. */
export function moment(time, now = Date.now()) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return UNKNOWN;
  if (date.toDateString() === new Date(now).toDateString()) return clock(time);
  return `${date.toLocaleDateString('en', { day: 'numeric', month: 'short', year: 'numeric' })}, ${clock(time)}`;
}

/** `1 camera`, `2 cameras`. */
export function count(amount, one, many = `${one}s`) {
  return `${number(amount)} ${amount === 1 ? one : many}`;
}
