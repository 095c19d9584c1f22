// A user's session: login by REST, stream management with resumption (XEP-0198), requests.
import { api, key, request } from "../api.js";
import { Store } from "../store.js";
import { child, el, NS } from "./xml.js";
import { stanzaError, Stream, XmppError } from "./stream.js";

const LONGEST_WAIT = 8000;
const KEPT_FRAMES = 400;
const IDLE = 20_000;

let counter = 0;
export const newId = () => `${Date.now().toString(36)}-${(counter += 1).toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
/** After these it is no use to connect again. */
const FINAL = ["rest", "host-gone", "host-unknown", "conflict"];
const isStanza = (one) => one.namespaceURI === NS.client && ["message", "presence", "iq"].includes(one.localName);

export class Session extends Store {
  status = "offline";
  notice = "";
  frames = [];
  isFrozen = false;
  #stream; #sm; #unacked = []; #sent = 0; #handled = 0; #attempts = 0; #access; #wanted = false; #timer; #idle;

  /** `handlers`: `fresh()` after a new session, `stanza(element)` for each stanza, `acked(id)` when the server has one of ours. */
  constructor(jid, handlers) {
    super();
    this.jid = jid;
    this.handlers = handlers;
  }

  get domain() { return this.jid.slice(this.jid.lastIndexOf("@") + 1); }

  set(status, notice = "") {
    Object.assign(this, { status, notice });
    this.changed();
  }

  seen(direction, text) {
    this.frames = [...this.frames.slice(-KEPT_FRAMES), { id: newId(), at: new Date(), direction, text }];
    this.changed();
  }

  async connect() {
    this.#wanted = true;
    clearTimeout(this.#timer);
    this.set(this.#sm ? "resuming" : "connecting");
    try {
      const login = await this.#logIn();
      this.link = newId();
      const url = `ws://${location.host}/link/${this.link}?key=${encodeURIComponent(key)}&domain=${encodeURIComponent(this.domain)}`;
      const stream = this.#stream = new Stream(url, {
        seen: (...frame) => this.seen(...frame), got: (one, isExpected) => this.#got(stream, one, isExpected),
        ended: (error) => this.#ended(stream, error),
      });
      await stream.opened;
      await stream.open(this.domain);
      await stream.logIn(this.jid.slice(0, this.jid.lastIndexOf("@")), login.token);
      await stream.open(this.domain);
      if (!(this.#sm && await this.#resume(stream))) await this.#bind(stream);
      this.#attempts = 0;
      this.set("online");
    } catch (error) {
      this.#failed(error);
    }
  }

  /** A login token, by REST; with an access token that is refused, once more with a new one. */
  async #logIn() {
    this.#access ??= (await api.post("token", { user: this.jid })).token;
    let answer = await this.rest("GET", "login");
    if (answer.status === 401) {
      this.set(this.status, "The access token has expired: asking the platform for a new one");
      this.#access = (await api.post("token", { user: this.jid })).token;
      answer = await this.rest("GET", "login");
    }
    const content = await answer.json();
    if (!answer.ok) throw new XmppError(content.detail ?? content.error ?? `login answers ${answer.status}`, "rest");
    return content;
  }

  /** A call of the service's REST API, as this user. */
  async rest(method, path) {
    const answer = await request(`/rest/sapi/xmpp/${path}`, { method, headers: { Authorization: `Bearer ${this.#access}` } });
    const challenge = answer.headers.get("WWW-Authenticate");
    this.seen("rest", `${method} /sapi/xmpp/${path} → ${answer.status}${challenge ? `  ${challenge}` : ""}`);
    return answer;
  }

  /** The same, with a new access token if the one that there is has expired meanwhile; what it answers. */
  async call(method, path) {
    let answer = await this.rest(method, path);
    if (answer.status === 401) {
      this.#access = (await api.post("token", { user: this.jid })).token;
      answer = await this.rest(method, path);
    }
    const content = answer.status === 204 ? undefined : await answer.json().catch(() => ({}));
    if (!answer.ok) throw new XmppError(content.detail ?? `${path} answers ${answer.status}`, String(answer.status));
    return content;
  }

  async #bind(stream) {
    const id = newId();
    stream.send(el("iq", NS.client, { type: "set", id }, el("bind", NS.bind)));
    const answer = await stream.expect((one) => one.getAttribute("id") === id);
    if (answer.getAttribute("type") === "error") throw stanzaError(answer);
    this.full = child(child(answer, "bind", NS.bind), "jid", NS.bind).textContent;
    const lost = this.#unacked;
    Object.assign(this, { isFresh: true });
    this.#sent = this.#handled = 0;
    this.#unacked = [];
    stream.send(el("enable", NS.sm, { resume: "true" }));
    const enabled = await stream.expect((one) => one.namespaceURI === NS.sm);
    this.#sm = enabled.localName === "enabled" ? enabled.getAttribute("id") : undefined;
    await this.handlers.fresh(lost.filter((one) => one.localName === "message"));
  }

  async #resume(stream) {
    stream.send(el("resume", NS.sm, { previd: this.#sm, h: this.#handled }));
    const answer = await stream.expect((one) => ["resumed", "failed"].includes(one.localName) && one.namespaceURI === NS.sm);
    if (answer.localName === "failed") {
      this.#sm = undefined;
      return false;
    }
    this.#acked(Number(answer.getAttribute("h")));
    const again = this.#unacked;
    this.#unacked = [];
    this.#sent -= again.length;
    for (const stanza of again) this.send(stanza);
    this.seen("note", `resumed; ${again.length} stanzas were sent again`);
    return true;
  }

  /** Sends a stanza, now or when there is a connection again. */
  send(stanza) {
    if (stanza.localName !== "iq" && !stanza.hasAttribute("id")) stanza.setAttribute("id", newId());
    this.#unacked.push(stanza);
    this.#sent += 1;
    this.#stream?.send(stanza);
    if (stanza.localName === "message") this.#stream?.send(el("r", NS.sm));
  }

  /** A request's result; XmppError when it is refused. */
  async iq(type, to, payload) {
    const id = newId();
    const answered = this.#stream.expect((one) => one.localName === "iq" && one.getAttribute("id") === id);
    this.send(el("iq", NS.client, { type, to, id }, payload));
    const answer = await answered;
    if (answer.getAttribute("type") === "error") throw stanzaError(answer);
    return answer;
  }

  #got(stream, element, isExpected) {
    if (stream !== this.#stream) return;
    this.#watch();
    if (isStanza(element)) {
      this.#handled += 1;
      if (!isExpected) this.handlers.stanza(element);
    } else if (element.namespaceURI === NS.sm && element.localName === "r") {
      stream.send(el("a", NS.sm, { h: this.#handled }));
    } else if (element.namespaceURI === NS.sm && element.localName === "a") {
      this.#acked(Number(element.getAttribute("h")));
    }
  }

  #acked(count) {
    const done = this.#unacked.splice(0, Math.max(0, count - (this.#sent - this.#unacked.length)));
    for (const stanza of done) this.handlers.acked(stanza.getAttribute("id"));
  }

  /** Asks for a sign of life when nothing has come for a while. */
  #watch() {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.isFrozen || this.status !== "online") return;
      this.iq("get", undefined, el("ping", NS.ping)).catch(() => this.isFrozen || this.#stream?.drop());
    }, IDLE);
  }

  #ended(stream, error) {
    if (stream !== this.#stream) return;
    this.#stream = undefined;
    this.isFrozen = false;
    if (["reset", "conflict", "host-gone"].includes(error.condition)) this.#sm = undefined;
    if (this.status === "online") this.#failed(error);
  }

  #failed(error) {
    this.#stream?.drop();
    this.#stream = undefined;
    if (!this.#wanted || FINAL.includes(error.condition)) {
      this.#wanted = false;
      this.set("offline", this.status === "offline" ? "" : error.message);
      return;
    }
    const wait = Math.min(500 * 2 ** this.#attempts++, LONGEST_WAIT) * (0.5 + Math.random());
    this.set("lost", `${error.message}; connecting again`);
    this.#timer = setTimeout(() => this.connect(), wait);
  }

  async act(action) {
    await api.post("link", { link: this.link, action });
    if (action !== "cut") this.isFrozen = action === "freeze";
    this.seen("note", `the console has ${{ cut: "cut", freeze: "frozen", thaw: "thawed" }[action]} the connection`);
  }

  /** The access token runs out, and the connection is lost: the next login is refused. */
  async expire() {
    this.#access = (await api.post("token", { user: this.jid, isExpired: true })).token;
    this.seen("note", "the access token has expired");
    await this.act("cut");
  }

  logOut() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#idle);
    this.#sm = this.#access = undefined;
    this.#unacked = [];
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.close();
    this.set("offline");
  }
}
