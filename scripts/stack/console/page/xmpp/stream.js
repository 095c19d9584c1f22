// One connection with the XMPP server (RFC 7395): a WebSocket frame is a stanza.
import { child, childIn, el, NS, read, write } from "./xml.js";

const TIMEOUT = 15_000;
const HIDDEN = "…the login token…";

export class XmppError extends Error {
  constructor(message, condition) {
    super(message);
    Object.assign(this, { name: "XmppError", condition });
  }
}

export class Stream {
  #socket;
  #expected = [];

  /** `seen(direction, text)` gets each frame; `got(element)` what nobody waits for; `ended(reason)` comes once. */
  constructor(url, { seen, got, ended }) {
    Object.assign(this, { seen, got });
    this.#socket = new WebSocket(url, "xmpp");
    this.opened = new Promise((resolve, reject) => {
      this.#socket.onopen = resolve;
      this.#socket.onclose = (event) => {
        const error = new XmppError(this.fault ?? `the connection was lost (${event.code})`, this.condition);
        reject(error);
        for (const one of this.#expected) one.reject(error);
        this.#expected = [];
        ended(error);
      };
    });
    this.opened.catch(() => {});
    this.#socket.onmessage = (event) => this.#take(event.data);
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(element, shownAs) {
    const text = write(element);
    this.seen("out", shownAs ?? text);
    if (this.isOpen) this.#socket.send(text);
  }

  /** The next element that `matches`, in time. */
  expect(matches) {
    return new Promise((resolve, reject) => {
      const one = { matches, resolve, reject };
      this.#expected.push(one);
      setTimeout(() => {
        if (!this.#expected.includes(one)) return;
        this.#expected = this.#expected.filter((other) => other !== one);
        reject(new XmppError("the XMPP server does not answer"));
      }, TIMEOUT);
    });
  }

  /** Opens a stream, anew after a login; its features. */
  async open(domain) {
    this.send(el("open", NS.framing, { to: domain, version: "1.0" }));
    return this.expect((one) => one.localName === "features");
  }

  /** SASL PLAIN. */
  async logIn(username, token) {
    const bytes = new TextEncoder().encode(`\0${username}\0${token}`);
    const auth = el("auth", NS.sasl, { mechanism: "PLAIN" }, btoa(String.fromCharCode(...bytes)));
    this.send(auth, `<auth xmlns="${NS.sasl}" mechanism="PLAIN">${HIDDEN}</auth>`);
    const answer = await this.expect((one) => one.namespaceURI === NS.sasl);
    if (answer.localName === "success") return;
    const condition = answer.firstElementChild?.localName ?? "not-authorized";
    throw new XmppError(`the XMPP server refuses the login: ${condition}`, condition);
  }

  /** Ends the session, and then the connection. */
  close() {
    this.send(el("close", NS.framing));
    setTimeout(() => this.#socket.close(), 300);
  }

  drop() {
    this.#socket.close();
  }

  #take(text) {
    this.seen("in", text);
    const element = read(text);
    if (!element) return;
    if (element.localName === "error" && element.namespaceURI === NS.streams) {
      this.condition = element.firstElementChild?.localName;
      this.fault = `the server ended the stream: ${this.condition}`;
    } else if (element.localName === "close") {
      this.#socket.close();
    }
    const index = this.#expected.findIndex((one) => one.matches(element));
    if (index >= 0) this.#expected.splice(index, 1)[0].resolve(element);
    this.got(element, index >= 0);
  }
}

/** The condition of an error stanza, with its text. */
export function stanzaError(stanza) {
  const error = child(stanza, "error", NS.client);
  const condition = error && [...error.children].find((one) => one.namespaceURI === NS.stanzas && one.localName !== "text")?.localName;
  const text = error && child(error, "text", NS.stanzas)?.textContent;
  return new XmppError([condition ?? "refused", text].filter(Boolean).join(": "), condition);
}

export { childIn };
