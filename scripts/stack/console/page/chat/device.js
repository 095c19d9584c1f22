// One device of one user: their chat list, rooms and conversations, as a chat client has them.
import { Store } from "../store.js";
import { bare, child, childIn, el, NS, resource, userName } from "../xmpp/xml.js";
import { newId, Session } from "../xmpp/session.js";
import { Conversation } from "./conversation.js";
import { history, toMessage } from "./messages.js";

const TYPING_PAUSE = 3000;

export class Device extends Store {
  contacts = [];
  rooms = [];
  conversations = new Map();
  trouble = "";
  #typing;

  constructor(jid) {
    super();
    this.session = new Session(jid, {
      fresh: (lost) => this.#fresh(lost), stanza: (one) => this.#stanza(one), acked: (id) => this.#mark(id, "sent"),
    });
    this.session.subscribe(() => this.changed());
  }

  get jid() { return this.session.jid; }
  get isOnline() { return this.session.status === "online"; }

  conversation(jid, isRoom = false) {
    if (!this.conversations.has(jid)) this.conversations.set(jid, new Conversation(jid, isRoom));
    return this.conversations.get(jid);
  }

  async #fresh(lost) {
    const { session } = this;
    await session.iq("set", undefined, el("enable", NS.carbons));
    await session.iq("get", undefined, el("query", NS.roster)); // who has asked is told of changes
    session.send(el("presence", NS.client));
    await Promise.all([this.loadContacts(), this.loadRooms()]);
    const archived = await history(session);
    for (const one of archived) this.#message(one.message, { isOld: true, at: one.at });
    const known = new Set(archived.map((one) => one.message.getAttribute("id")));
    for (const message of lost) if (!known.has(message.getAttribute("id"))) session.send(message);
    for (const conversation of this.conversations.values()) if (conversation.isRoom) this.enter(conversation.jid);
  }

  /** What a person asked for and was refused is shown, and harms nothing. */
  async attempt(work) {
    try {
      this.trouble = "";
      await work();
    } catch (error) {
      if (error.name !== "XmppError" && error.name !== "ApiError") throw error;
      this.trouble = error.message;
    }
    this.changed();
  }

  loadContacts() {
    return this.attempt(async () => { this.contacts = (await this.session.call("GET", "individualChatList")).map((one) => one.jid); });
  }

  /** The rooms that the user belongs to, by the service's list, with those that they were invited to meanwhile. */
  loadRooms() {
    return this.attempt(async () => {
      const listed = await this.session.call("GET", "rooms").catch((error) => {
        // A service that does not list rooms: they are known by their invitations.
        if (error.condition !== "404") throw error;
      });
      if (listed) this.rooms = listed.map((one) => ({ jid: one.jid, name: one.name ?? "" }));
    });
  }

  changeContact(method, jid) {
    return this.attempt(async () => {
      await this.session.call(method, `individualChatList/${encodeURIComponent(jid)}`);
      await this.loadContacts();
    });
  }

  open(jid, isRoom) {
    const conversation = this.conversation(jid, isRoom);
    if (isRoom && !conversation.isInside) this.enter(jid);
    this.current = jid;
    this.read(conversation);
  }

  /** Nothing of it is unread any more; whoever wrote the last message is told. */
  read(conversation) {
    conversation.unread = 0;
    const last = conversation.messages.findLast((one) => !one.isMine);
    if (!conversation.isRoom && last && !last.isRead && this.isOnline) {
      last.isRead = true;
      this.session.send(el("message", NS.client, { type: "chat", to: conversation.jid }, el("displayed", NS.markers, { id: last.id })));
    }
    this.changed();
  }

  enter(jid) {
    const join = el("x", NS.muc, {}, el("history", NS.muc, { maxstanzas: 30 }));
    this.session.send(el("presence", NS.client, { to: `${jid}/${userName(this.jid)}` }, join));
  }

  say(conversation, body) {
    clearTimeout(this.#typing);
    this.#typing = undefined;
    const id = newId();
    const type = conversation.isRoom ? "groupchat" : "chat";
    const extras = conversation.isRoom ? [] : [el("request", NS.receipts), el("markable", NS.markers)];
    this.session.send(el("message", NS.client, { type, to: conversation.jid, id }, el("body", NS.client, {}, body), el("active", NS.states), ...extras));
    conversation.add({ id, from: this.jid, isMine: true, body, at: new Date(), state: "sending" });
    this.changed();
  }

  /** The person types, or has stopped to. */
  types(conversation) {
    if (!this.isOnline) return;
    const tell = (state) => this.session.send(el("message", NS.client, { type: conversation.isRoom ? "groupchat" : "chat", to: conversation.jid }, el(state, NS.states)));
    if (!this.#typing) tell("composing");
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => { this.#typing = undefined; if (this.isOnline) tell("paused"); }, TYPING_PAUSE);
  }

  #mark(id, state) {
    for (const conversation of this.conversations.values()) if (conversation.mark(id, state)) this.changed();
  }

  #stanza(stanza) {
    if (stanza.localName === "iq") this.#request(stanza);
    else if (stanza.localName === "presence") this.#presence(stanza);
    else {
      const carbon = childIn(stanza, NS.carbons);
      const isOwn = bare(stanza.getAttribute("from") ?? this.jid) === this.jid;
      const inner = carbon && isOwn && child(child(carbon, "forwarded", NS.forward), "message", NS.client);
      if (!carbon) this.#message(stanza, {});
      else if (inner) this.#message(inner, { isCarbon: true });
    }
    this.changed();
  }

  #message(stanza, { isOld = false, isCarbon = false, at }) {
    const message = toMessage(stanza, this.jid, at);
    if (message.invitation) this.#invited(message.invitation);
    if (!message.peer || message.peer === this.jid) return;
    // What only tells how far a message has come begins no conversation.
    if (message.body === undefined && !message.typing && !this.conversations.has(message.peer)) return;
    const conversation = this.conversation(message.peer, message.isRoom);
    if (message.receipt) this.#mark(message.receipt, "delivered");
    if (message.displayed) this.#mark(message.displayed, message.isMine ? "" : "read");
    if (message.typing !== undefined && !message.isMine && !isOld) conversation.types(message.nick ?? message.peer, message.typing);
    if (message.error) conversation.mark(message.id, "failed", message.error);
    if (message.body === undefined || message.error) return;
    const isNew = conversation.add(message);
    if (!isNew || isOld || message.isMine || message.isDelayed && message.isRoom) return;
    if (message.wantsReceipt && !isCarbon) {
      this.session.send(el("message", NS.client, { type: "chat", to: stanza.getAttribute("from") }, el("received", NS.receipts, { id: message.id })));
    }
    if (this.current === conversation.jid) this.read(conversation);
    else conversation.unread += 1;
  }

  #invited({ room, name }) {
    if (!this.rooms.some((one) => one.jid === room)) this.rooms = [...this.rooms, { jid: room, name: name ?? "" }];
    this.reloadRooms(); // old invitations may be among what comes, and the list has the names
  }

  /** Asks for the rooms again, once for all that happens in a moment. */
  reloadRooms() {
    clearTimeout(this.reload);
    this.reload = setTimeout(() => this.isOnline && this.loadRooms(), 300);
  }

  #presence(stanza) {
    const from = stanza.getAttribute("from") ?? "";
    const conversation = this.conversations.get(bare(from));
    if (!conversation?.isRoom) return;
    const x = child(stanza, "x", NS.mucUser);
    const codes = x ? [...x.children].filter((one) => one.localName === "status").map((one) => one.getAttribute("code")) : [];
    const isGone = stanza.getAttribute("type") === "unavailable", isMe = codes.includes("110");
    if (stanza.getAttribute("type") === "error") {
      conversation.note(`You cannot enter: ${child(stanza, "error", NS.client)?.firstElementChild?.localName ?? "refused"}`);
    } else if (isMe) {
      conversation.isInside = !isGone;
      if (isGone) {
        const isEnded = x && child(x, "destroy", NS.mucUser);
        conversation.note(isEnded ? "This room has ended" : codes.includes("321") || codes.includes("307") ? "You were removed from this room" : "You left the room");
        conversation.occupants.clear();
        if (isEnded || codes.includes("321")) this.rooms = this.rooms.filter((one) => one.jid !== conversation.jid);
      }
    }
    if (isGone) conversation.occupants.delete(resource(from));
    else if (stanza.getAttribute("type") !== "error") conversation.occupants.add(resource(from));
  }

  #request(iq) {
    const type = iq.getAttribute("type");
    if (type !== "get" && type !== "set") return;
    const answer = (kind, payload) => this.session.send(el("iq", NS.client,
      { type: kind, id: iq.getAttribute("id"), to: iq.getAttribute("from") ?? undefined }, payload));
    const isPush = type === "set" && child(iq, "query", NS.roster);
    if (isPush) this.loadContacts();
    if (isPush || child(iq, "ping", NS.ping)) answer("result");
    else answer("error", el("error", NS.client, { type: "cancel" }, el("service-unavailable", NS.stanzas)));
  }
}
