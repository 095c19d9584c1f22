// What the stack is doing, asked for every second: one copy for all views.
import { api } from "./api.js";
import { Store } from "./store.js";

const EVERY = 700;
const KEPT_EVENTS = 200, KEPT_POINTS = 240;

class Stack extends Store {
  state;
  error;
  events = new Map();
  points = [];
  /** How many looks have found events that are done. */
  done = 0;
  #change = 0;

  async follow() {
    for (;;) {
      await this.look();
      await new Promise((resolve) => setTimeout(resolve, document.hidden ? 4 * EVERY : EVERY));
    }
  }

  async look() {
    try {
      const state = await api.get("state", { change: this.#change, point: this.points.at(-1)?.at ?? 0 });
      // The console itself was started again: it counts from the beginning.
      if (state.change < this.#change) this.events.clear();
      this.#change = state.change;
      for (const event of state.events) this.events.set(`${event.id} ${event.times.published ?? event.times.bridge ?? event.version}`, event);
      if (state.events.some((event) => event.outcome === "done")) this.done += 1;
      const newest = [...this.events].slice(-KEPT_EVENTS);
      this.events = new Map(newest);
      this.points = [...this.points, ...state.points].slice(-KEPT_POINTS);
      Object.assign(this, { state, error: undefined });
    } catch (error) {
      this.error = error;
    }
    this.changed();
  }

  get dead() { return (this.state?.queues ?? []).reduce((sum, one) => sum + (one.dead ?? 0), 0); }
  get troubled() { return (this.state?.processes ?? []).filter((one) => one.trouble); }
}

export const stack = new Stack();
