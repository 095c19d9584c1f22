// XML as XMPP needs it.
export const NS = {
  client: "jabber:client", framing: "urn:ietf:params:xml:ns:xmpp-framing", sasl: "urn:ietf:params:xml:ns:xmpp-sasl",
  bind: "urn:ietf:params:xml:ns:xmpp-bind", sm: "urn:xmpp:sm:3", carbons: "urn:xmpp:carbons:2", forward: "urn:xmpp:forward:0",
  receipts: "urn:xmpp:receipts", markers: "urn:xmpp:chat-markers:0", states: "http://jabber.org/protocol/chatstates",
  muc: "http://jabber.org/protocol/muc", mucUser: "http://jabber.org/protocol/muc#user", invite: "jabber:x:conference",
  mam: "urn:xmpp:mam:2", rsm: "http://jabber.org/protocol/rsm", delay: "urn:xmpp:delay", roster: "jabber:iq:roster",
  ping: "urn:xmpp:ping", sid: "urn:xmpp:sid:0", stanzas: "urn:ietf:params:xml:ns:xmpp-stanzas",
  streams: "http://etherx.jabber.org/streams",
};

const made = document.implementation.createDocument(null, null);

/** An element with attributes and children; what is undefined or false is left out. */
export function el(name, namespace, attributes = {}, ...children) {
  const element = made.createElementNS(namespace, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value);
  for (const child of children) if (child) element.append(child);
  return element;
}

export const write = (element) => new XMLSerializer().serializeToString(element);

/** The element of a frame; undefined when it is no XML. */
export function read(text) {
  const root = new DOMParser().parseFromString(text, "application/xml").documentElement;
  return root.getElementsByTagName("parsererror").length > 0 || root.localName === "parsererror" ? undefined : root;
}

/** The first child of this name and namespace. */
export function child(element, name, namespace = element?.namespaceURI) {
  return [...(element?.children ?? [])].find((one) => one.localName === name && one.namespaceURI === namespace);
}

/** The first child in a namespace, whatever its name. */
export const childIn = (element, namespace) => [...element.children].find((one) => one.namespaceURI === namespace);

export const bare = (jid) => jid.split("/", 1)[0];
export const resource = (jid) => jid.slice(bare(jid).length + 1);

/** A JID for people: its localpart unescaped (XEP-0106). */
export const shown = (jid) => jid.replace(/\\([0-9a-f]{2})(?=.*@)/g, (_, code) => String.fromCharCode(parseInt(code, 16)));

/** The user name in a JID: also the nickname in rooms. */
export const userName = (jid) => shown(jid).slice(0, shown(jid).lastIndexOf("@"));

/** Indented, for people. */
export function pretty(text) {
  let depth = 0;
  return text.replace(/>\s*</g, ">\n<").split("\n").map((line) => {
    if (/^<\//.test(line)) depth -= 1;
    const indented = "  ".repeat(Math.max(depth, 0)) + line;
    if (/^<[^/!?]/.test(line) && !/\/>$/.test(line) && !/<\/[^>]+>$/.test(line)) depth += 1;
    return indented;
  }).join("\n");
}
