// What is being written, kept while another view is shown.
import { Store } from "../store.js";

class Draft extends Store {
  name = "";
  key = "";
  body = "";
  sequence = [];
  sent = "";
  #numbers = 0;

  set(values) {
    Object.assign(this, values);
    this.changed();
  }

  choose(sample) {
    this.set({ name: sample.name, key: sample.key, body: sample.body.trimEnd() });
  }

  add() {
    this.set({ sequence: [...this.sequence, { number: (this.#numbers += 1), key: this.key, body: this.body }] });
  }

  remove(event) {
    this.set({ sequence: this.sequence.filter((one) => one !== event) });
  }

  note({ ids }) {
    this.set({ sent: ids.length === 1 ? `Published ${ids[0]}` : `Published ${ids.length} events` });
  }
}

export const draft = new Draft();
