// What passes between a device and the servers, as it is on the wire.
import { html, useState } from "../vendor/preact.js";
import { Button, clock, useTail } from "../ui/parts.js";
import { pretty } from "../xmpp/xml.js";

const SIGNS = { in: ["←", "received"], out: ["→", "sent"], rest: ["⇄", "REST"], note: ["•", "note"] };

export function Drawer({ session, seat }) {
  const [filter, setFilter] = useState("");
  const frames = session.frames.filter((one) => one.text.includes(filter));
  const tail = useTail(frames.length);
  const clear = () => { session.frames = []; session.changed(); };
  return html`<section class="drawer" aria-label="Raw stanzas">
    <div class="drawer-head"><h3>Stanzas</h3><label class="hidden" for=${`filter-${seat.id}`}>Only with this text</label>
      <input id=${`filter-${seat.id}`} type="search" placeholder="Only with this text" value=${filter} onInput=${(event) => setFilter(event.target.value)} />
      <${Button} kind="quiet" onClick=${clear}>Clear<//></div>
    <ol class="frames" tabindex="0" aria-label="Stanzas, newest last" ref=${tail.ref} onScroll=${tail.onScroll}>
      ${frames.map((one) => html`<li key=${one.id} class="frame ${one.direction}"><span class="frame-at">${clock(one.at, 3)}</span>
        <span class="frame-sign" title=${SIGNS[one.direction][1]} aria-hidden="true">${SIGNS[one.direction][0]}</span><span class="hidden">${SIGNS[one.direction][1]}</span>
        <code>${one.text.startsWith("<") ? pretty(one.text) : one.text}</code></li>`)}
      ${frames.length === 0 && html`<li class="hint">Nothing has passed yet.</li>`}</ol></section>`;
}
