// One conversation: what was said, who types, and a line to write in.
import { html, useEffect, useState } from "../vendor/preact.js";
import { clock, Empty, LogLink, useTail } from "../ui/parts.js";
import { userName } from "../xmpp/xml.js";

const STATES = { sending: "sending …", sent: "sent ✓", delivered: "delivered ✓✓", read: "read ✓✓", failed: "not delivered" };

function Message({ one }) {
  if (one.isNote) return html`<li class="said note"><span>${one.body}</span></li>`;
  return html`<li class="said ${one.isMine ? "mine" : "theirs"}" data-id=${one.id}>
    ${one.nick && !one.isMine && html`<span class="said-who">${one.nick}</span>`}
    <p class="said-body">${one.body}</p>
    <span class="said-at"><time datetime=${one.at.toISOString()}>${clock(one.at)}</time>${one.state && html` <span class="said-state ${one.state}">${STATES[one.state]}</span>`}
      ${one.reason && html` <span class="said-state failed">${one.reason}</span>`}</span></li>`;
}

/** Who types now; drawn again until nobody does. */
function Typing({ conversation }) {
  const [, redraw] = useState(0);
  const names = conversation.typing.map((who) => who.includes("@") ? userName(who) : who);
  useEffect(() => {
    if (names.length === 0) return undefined;
    const timer = setInterval(() => redraw((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, [names.length]);
  return html`<p class="typing" aria-live="polite">${names.length > 0 && html`${names.join(", ")} ${names.length > 1 ? "type" : "types"}<span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>`}</p>`;
}

export function Talk({ device, seat }) {
  const [text, setText] = useState("");
  const conversation = device.conversations.get(device.current);
  const tail = useTail(conversation?.messages.length ?? 0);
  if (!conversation) {
    return html`<div class="talk"><${Empty} title="No conversation is open">Choose somebody from the chat list, or a room.<//></div>`;
  }
  const submit = (event) => {
    event.preventDefault();
    const given = event.target.elements.text.value;
    if (!given.trim()) return;
    device.say(conversation, given);
    setText("");
  };
  const type = (event) => {
    setText(event.target.value);
    device.types(conversation);
  };
  const title = conversation.isRoom ? device.rooms.find((one) => one.jid === conversation.jid)?.name || userName(conversation.jid) : userName(conversation.jid);
  return html`<div class="talk">
    <header class="talk-head"><h3 title=${conversation.jid}>${conversation.isRoom ? "# " : ""}${title}</h3>
      ${conversation.isRoom && html`<span class="occupants">${conversation.isInside ? `${conversation.occupants.size} inside` : "outside"}</span>`}
      <span class="spacer"></span><${LogLink} name=${conversation.jid} /></header>
    <ol class="said-list" aria-live="polite" aria-label=${`Messages with ${title}`} tabindex="0" ref=${tail.ref} onScroll=${tail.onScroll}>
      ${conversation.messages.map((one) => html`<${Message} key=${`${one.from} ${one.id}`} one=${one} />`)}
      ${conversation.messages.length === 0 && html`<li class="hint">Nothing was said yet.</li>`}</ol>
    <${Typing} conversation=${conversation} />
    <form class="write" onSubmit=${submit}><label class="hidden" for=${`write-${seat.id}`}>Message to ${title}</label>
      <input id=${`write-${seat.id}`} name="text" value=${text} onInput=${type} placeholder=${`Message to ${title}`} autocomplete="off" />
      <button type="submit" class="button primary" disabled=${!text.trim()}>Send</button></form></div>`;
}
