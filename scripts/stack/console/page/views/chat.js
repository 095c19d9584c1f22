// Two users side by side, and their further devices.
import { html } from "../vendor/preact.js";
import { api } from "../api.js";
import { seats } from "../chat/seats.js";
import { usePolled, useStore } from "../store.js";
import { Seat } from "../chat/seat.js";

export function Chat() {
  const { list } = useStore(seats);
  const people = usePolled(() => api.get("people"), 5000);
  return html`<datalist id="people">${(people.value ?? []).map((jid) => html`<option key=${jid} value=${jid} />`)}</datalist>
    <div class="seats">${list.map((seat) => html`<${Seat} key=${seat.id} seat=${seat} />`)}</div>`;
}
