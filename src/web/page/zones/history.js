// Undo and redo.

/** Changes of one kind within this time, milliseconds, are one step: a corner that is moved by ten strokes of a key. */
const TOGETHER = 1000;

export class History {
  #past = [];
  #future = [];
  #tag = null;
  #at = 0;

  constructor(present) {
    this.present = present;
  }

  /** Goes on to a new value. A change with the same `tag` as the one just before belongs to the same step. */
  commit(value, tag = null, now = Date.now()) {
    const same = tag !== null && tag === this.#tag && now - this.#at < TOGETHER && this.#past.length > 0;
    if (!same) this.#past.push(this.present);
    this.#future = [];
    this.#tag = tag;
    this.#at = now;
    this.present = value;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  undo() {
    if (!this.canUndo) return;
    this.#future.push(this.present);
    this.present = this.#past.pop();
    this.#tag = null;
  }

  redo() {
    if (!this.canRedo) return;
    this.#past.push(this.present);
    this.present = this.#future.pop();
    this.#tag = null;
  }
}
