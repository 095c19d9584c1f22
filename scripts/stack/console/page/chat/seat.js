// One device of a user: who they are, what can be done to them, their conversations, their stanzas.
import { html, useState } from "../vendor/preact.js";
import { useStore } from "../store.js";
import { Avatar, Button, Failure, Jid, Pill } from "../ui/parts.js";
import { Drawer } from "./drawer.js";
import { Lists } from "./lists.js";
import { Talk } from "./talk.js";
import { seats } from "./seats.js";

const KINDS = { online: "good", connecting: "busy", resuming: "busy", lost: "bad", offline: "" };

export function Seat({ seat }) {
  return html`<section class="seat card" aria-label=${`Device of ${seat.device?.jid ?? seat.name}`} data-seat=${seat.id}>
    ${seat.device ? html`<${Inside} seat=${seat} />` : html`<${LogIn} seat=${seat} />`}</section>`;
}

function LogIn({ seat }) {
  const [jid, setJid] = useState(seat.name);
  const submit = (event) => {
    event.preventDefault();
    if (jid.includes("@")) seats.logIn(seat, jid);
  };
  return html`<form class="log-in" onSubmit=${submit}>
    <h2>Log in</h2>
    <p>Choose one of the stack's users, or write any name: every user of a tenant counts as existing.</p>
    <label for=${`jid-${seat.id}`}>User</label>
    <input id=${`jid-${seat.id}`} list="people" value=${jid} onInput=${(event) => setJid(event.target.value)} autocomplete="off"
      spellcheck=${false} required pattern="[^@]+@[^@]+" />
    <button type="submit" class="button primary">Log in</button></form>`;
}

function Inside({ seat }) {
  const device = useStore(seat.device);
  const { session } = device;
  const { isDrawerOpen = false } = seat; // kept while another view is shown
  const toggleDrawer = () => { seat.isDrawerOpen = !isDrawerOpen; device.changed(); };
  const status = session.isFrozen ? "frozen" : session.status;
  const act = (action) => () => device.attempt(() => session.act(action));
  const isOnline = device.isOnline;
  return html`<header class="seat-head"><${Avatar} jid=${device.jid} />
      <h2><${Jid} jid=${device.jid} />${seat.number > 1 && html` <small>device ${seat.number}</small>`}</h2>
      <${Pill} kind=${session.isFrozen ? "frozen" : KINDS[session.status]} role="status">${status}<//>
      <${Button} kind="quiet" onClick=${() => seats.logOut(seat)}>Log out<//></header>
    <div class="seat-tools" role="group" aria-label="What befalls this device">
      <${Button} onClick=${act("cut")} disabled=${!isOnline} title="The network is lost at once">Cut<//>
      <${Button} onClick=${act(session.isFrozen ? "thaw" : "freeze")} disabled=${!isOnline} title="Nothing passes, and nothing is closed">
        ${session.isFrozen ? "Thaw" : "Freeze"}<//>
      <${Button} onClick=${() => device.attempt(() => session.expire())} disabled=${!isOnline || session.isFrozen} title="The access token runs out, and the network is lost">Expire<//>
      <${Button} onClick=${() => seats.addDevice(seat)} disabled=${!isOnline}>Second device<//>
      <span class="spacer"></span>
      <${Button} kind="toggle" aria-pressed=${isDrawerOpen} onClick=${toggleDrawer}>Stanzas <span class="count">${session.frames.length}</span><//></div>
    ${session.notice && html`<p class="notice" role="status">${session.notice}</p>`}
    ${device.trouble && html`<${Failure}>${device.trouble}<//>`}
    <div class="seat-body"><${Lists} device=${device} seat=${seat} /><${Talk} device=${device} seat=${seat} /></div>
    ${isDrawerOpen && html`<${Drawer} session=${session} seat=${seat} />`}`;
}
