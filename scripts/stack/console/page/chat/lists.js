// The chat list and the rooms of a device.
import { html, useState } from "../vendor/preact.js";
import { Button } from "../ui/parts.js";
import { shown, userName } from "../xmpp/xml.js";

function Entry({ device, jid, name, isRoom, onRemove }) {
  const unread = device.conversations.get(jid)?.unread ?? 0;
  const isCurrent = device.current === jid;
  return html`<li><button type="button" class="entry" aria-current=${isCurrent ? "true" : undefined} title=${jid} onClick=${() => device.open(jid, isRoom)}>
      <span class="entry-name">${isRoom ? "# " : ""}${name}</span>${unread > 0 && html`<span class="count">${unread}<span class="hidden"> unread</span></span>`}</button>
    ${onRemove && html`<button type="button" class="entry-remove" aria-label=${`Remove ${shown(jid)} from the chat list`} onClick=${onRemove}>×</button>`}</li>`;
}

export function Lists({ device, seat }) {
  const [jid, setJid] = useState("");
  const others = [...device.conversations.values()].filter((one) => !one.isRoom && !device.contacts.includes(one.jid));
  const rooms = [...device.rooms, ...[...device.conversations.values()].filter((one) => one.isRoom && !device.rooms.some((room) => room.jid === one.jid))];
  const add = (event) => {
    event.preventDefault();
    const given = event.target.elements.jid.value.trim();
    device.changeContact("PUT", given.includes("@") ? given : `${given}@${device.session.domain}`);
    setJid("");
  };
  return html`<div class="lists">
    <h3 id=${`contacts-${seat.id}`}>Chat list</h3>
    <ul aria-labelledby=${`contacts-${seat.id}`}>${device.contacts.map((one) => html`<${Entry} key=${one} device=${device} jid=${one} name=${userName(one)}
      onRemove=${() => device.changeContact("DELETE", one)} />`)}
      ${device.contacts.length === 0 && html`<li class="hint">Nobody yet</li>`}</ul>
    <form class="add" onSubmit=${add}><label class="hidden" for=${`add-${seat.id}`}>Add to the chat list</label>
      <input id=${`add-${seat.id}`} name="jid" list="people" placeholder="Add a user" value=${jid} onInput=${(event) => setJid(event.target.value)} required disabled=${!device.isOnline} autocomplete="off" />
      <${Button} type="submit" aria-label="Add" disabled=${!device.isOnline}>+<//></form>
    ${others.length > 0 && html`<h3 id=${`others-${seat.id}`}>Others</h3><ul aria-labelledby=${`others-${seat.id}`}>${others.map((one) =>
      html`<${Entry} key=${one.jid} device=${device} jid=${one.jid} name=${userName(one.jid)} />`)}</ul>`}
    <h3 id=${`rooms-${seat.id}`}>Rooms</h3>
    <ul aria-labelledby=${`rooms-${seat.id}`}>${rooms.map((one) => html`<${Entry} key=${one.jid} device=${device} jid=${one.jid} name=${one.name || userName(one.jid)} isRoom />`)}
      ${rooms.length === 0 && html`<li class="hint">None yet: publish the creation of a group under Events</li>`}</ul></div>`;
}
