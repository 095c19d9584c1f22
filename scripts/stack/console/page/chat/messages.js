// What a message stanza says, and the user's archive (XEP-0313).
import { bare, child, childIn, el, NS, resource, userName } from "../xmpp/xml.js";
import { newId } from "../xmpp/session.js";
import { stanzaError } from "../xmpp/stream.js";

const LAST = 50;

/** What a stanza means to the user `jid`; without `peer` it belongs to no conversation. */
export function toMessage(stanza, jid, at) {
  const type = stanza.getAttribute("type") ?? "normal";
  const from = stanza.getAttribute("from") ?? jid, to = stanza.getAttribute("to") ?? jid;
  const isRoom = type === "groupchat";
  const isMine = !isRoom && bare(from) === jid;
  const delay = child(stanza, "delay", NS.delay);
  const invite = child(stanza, "x", NS.invite);
  const receipt = child(stanza, "received", NS.receipts), displayed = child(stanza, "displayed", NS.markers);
  const state = childIn(stanza, NS.states)?.localName;
  const nick = isRoom ? resource(from) : undefined;
  const peer = isRoom || !isMine ? bare(from) : bare(to);
  const isAddressed = isRoom ? resource(from) !== "" : ["chat", "error"].includes(type) && !invite;
  return {
    id: stanza.getAttribute("id") ?? newId(), from: isRoom ? from : bare(from), nick, isRoom,
    isMine: isMine || isRoom && nick === userName(jid), peer: isAddressed ? peer : undefined,
    body: child(stanza, "body", NS.client)?.textContent, at: at ?? (delay ? new Date(delay.getAttribute("stamp")) : new Date()),
    isDelayed: Boolean(delay), state: isMine || isRoom && nick === userName(jid) ? "sent" : "",
    invitation: invite && { room: invite.getAttribute("jid"), name: invite.getAttribute("name") },
    receipt: receipt?.getAttribute("id"), displayed: displayed?.getAttribute("id"),
    wantsReceipt: Boolean(child(stanza, "request", NS.receipts)),
    typing: state === undefined ? undefined : state === "composing",
    error: type === "error" ? stanzaError(stanza).message : undefined,
  };
}

/** The last messages of the user's archive, with their times. */
export async function history(session) {
  const found = [], queryId = newId();
  const heard = (stanza) => {
    const result = child(stanza, "result", NS.mam);
    if (result?.getAttribute("queryid") !== queryId) return;
    const forwarded = child(result, "forwarded", NS.forward);
    found.push({ message: child(forwarded, "message", NS.client), at: new Date(child(forwarded, "delay", NS.delay).getAttribute("stamp")) });
  };
  const previous = session.handlers.stanza;
  session.handlers.stanza = (stanza) => { heard(stanza); previous(stanza); };
  try {
    const page = el("set", NS.rsm, {}, el("max", NS.rsm, {}, String(LAST)), el("before", NS.rsm));
    await session.iq("set", undefined, el("query", NS.mam, { queryid: queryId }, page));
  } finally {
    session.handlers.stanza = previous;
  }
  return found;
}
