// State that changes outside of a component, and what has components follow it.
import { useEffect, useState } from "./vendor/preact.js";
import { ApiError } from "./api.js";

export class Store {
  #listeners = new Set();
  #isDue = false;

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Says that something has changed; those who follow are told once for all changes of a turn. */
  changed() {
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      for (const listener of this.#listeners) listener();
    });
  }
}

/** Has a component be drawn again whenever the store changes. */
export function useStore(store) {
  const [, redraw] = useState(0);
  useEffect(() => store.subscribe(() => redraw((count) => count + 1)), [store]);
  return store;
}

/** What `load` answers, again every `every` ms while the component is there, and at once when `keys` change. */
export function usePolled(load, every, keys = []) {
  const [result, setResult] = useState({ isLoading: true });
  useEffect(() => {
    let isOver = false, timer;
    const look = async () => {
      try {
        const value = await load();
        if (!isOver) setResult({ value });
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (!isOver) setResult((last) => ({ value: last.value, error: error.message }));
      } finally {
        if (!isOver) timer = setTimeout(look, every);
      }
    };
    setResult({ isLoading: true });
    look();
    return () => { isOver = true; clearTimeout(timer); };
  }, keys);
  return result;
}
