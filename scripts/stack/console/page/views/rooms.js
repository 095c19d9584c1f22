// The rooms: what the ledger says should be, and what the XMPP server has.
import { html, useState } from "../vendor/preact.js";
import { api } from "../api.js";
import { usePolled } from "../store.js";
import { Empty, Failure, Jid, Loaded, LogLink, Pill } from "../ui/parts.js";
import { shown } from "../xmpp/xml.js";

const LIFE = { lives: "good", ended: "", "not created": "busy" };

export function Rooms({ argument }) {
  const [filter, setFilter] = useState("");
  const rooms = usePolled(() => api.get("rooms"), 1500);
  return html`<div class="split rooms"><section class="card" aria-labelledby="rooms-title"><div class="ways-head"><h2 id="rooms-title">Rooms</h2>
      <label class="hidden" for="room-filter">Only with this text</label>
      <input id="room-filter" type="search" placeholder="Only with this text" value=${filter} onInput=${(event) => setFilter(event.target.value)} /></div>
    <${Loaded} result=${rooms} what="the rooms">${(list) => html`<${List} rooms=${list.filter((one) => `${one.jid} ${one.name}`.includes(filter))} chosen=${argument} />`}<//></section>
    ${argument ? html`<${Room} key=${argument} jid=${argument} />` : html`<div class="card"><${Empty} title="No room is chosen">Choose one to see who belongs to it, and why.<//></div>`}</div>`;
}

function List({ rooms, chosen }) {
  if (rooms.length === 0) return html`<${Empty} title="No room">Publish the creation of a group under <a href="#/events">Events</a>.<//>`;
  return html`<ul class="room-list">${rooms.map((one) => html`<li key=${one.jid}><a class="room" href=${`#/rooms/${encodeURIComponent(one.jid)}`} aria-current=${one.jid === chosen ? "true" : undefined}>
    <span class="room-name">${one.name || shown(one.jid).split("@conference.")[0]}</span><span class="room-jid">${shown(one.jid)}</span>
    <span class="room-facts"><${Pill} kind=${LIFE[one.life]}>${one.life}<//><span>${one.members} ${one.members === 1 ? "member" : "members"}</span><span>${one.invited} invited</span></span></a></li>`)}</ul>`;
}

/** A fact of the ledger: what it is, its place in the order, and the event that says so. */
function Because({ text }) {
  const [what, event] = text.split(" by event ");
  return html`<span class="why">${what}</span>${event && html` <a class="chip" href=${`#/logs/${encodeURIComponent(event)}`} title=${event}>event ${event.slice(0, 8)}</a>`}`;
}

function Room({ jid }) {
  const room = usePolled(() => api.get("room", { jid }), 1500, [jid]);
  return html`<section class="card" aria-label=${`Room ${jid}`}><${Loaded} result=${room} what="the room">${(one) => html`
    <div class="room-head"><h2>${one.name || shown(jid)}</h2><${Pill} kind=${LIFE[one.life]}>${one.life}<//>
      <${Pill} kind=${one.agrees ? "good" : "bad"}>${one.trouble ? "server not asked" : one.isThere ? "on the XMPP server" : "not on the XMPP server"}<//><span class="spacer"></span><${LogLink} name=${jid} /></div>
    <p class="room-jid">${shown(jid)}</p>
    ${one.trouble && html`<${Failure}>${one.trouble}<//>`}
    <div class="scrolled" tabindex="0" role="region" aria-label="Members"><table><thead><tr><th scope="col">User</th><th scope="col">Should belong</th><th scope="col">On the server</th><th scope="col">Invitation</th><th scope="col">Because</th></tr></thead>
      <tbody>${one.users.map((user) => html`<tr key=${user.jid} class=${user.agrees ? "" : "amiss"}><th scope="row"><a href=${`#/logs/${encodeURIComponent(user.jid)}`}><${Jid} jid=${user.jid} /></a></th>
        <td>${user.belongs ? "yes" : "no"}</td><td><${Pill} kind=${user.agrees ? (user.belongs ? "good" : "") : "bad"}>${user.affiliation}<//></td>
        <td>${user.belongs ? user.isInvited ? "sent" : "none" : "–"}</td><td class="because"><${Because} text=${user.why} /></td></tr>`)}</tbody></table></div>
    <h3>Inside now</h3><p class="occupants">${one.occupants.length ? one.occupants.join(", ") : html`<span class="hint">Nobody</span>`}</p>
    <h3>Its lives</h3>${one.history.length ? html`<ol class="history">${one.history.map((fact) => html`<li key=${fact.what + fact.by}>${fact.what}${fact.users ? ` with ${fact.users} users` : ""}: <${Because} text=${fact.by} /></li>`)}</ol>`
      : html`<p class="hint">No event has created it.</p>`}`}<//></section>`;
}
