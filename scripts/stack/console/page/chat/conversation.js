// What was said with one person or in one room.
const ORDER = ["", "failed", "sending", "sent", "delivered", "read"];
const TYPING_LASTS = 10_000;

export class Conversation {
  messages = [];
  unread = 0;
  occupants = new Set();
  isInside = false;
  #typing = new Map();

  constructor(jid, isRoom) {
    Object.assign(this, { jid, isRoom });
  }

  /** Adds a message unless it is there already, by sender and id; whether it was new. */
  add(message) {
    const known = this.messages.find((one) => one.id === message.id && (one.from === message.from || one.isMine && message.isMine));
    if (known) {
      if (known.isMine && message.isMine && known.state === "sending") known.state = "sent";
      return false;
    }
    this.messages.push(message);
    this.messages.sort((a, b) => a.at - b.at);
    this.#typing.delete(message.nick ?? this.jid);
    return true;
  }

  note(text) {
    this.messages.push({ id: `note-${this.messages.length}-${Date.now()}`, isNote: true, body: text, at: new Date() });
  }

  /** How far one of our messages has come; whether it is here. */
  mark(id, state, reason) {
    const index = this.messages.findIndex((one) => one.isMine && one.id === id);
    if (index < 0) return false;
    // Who has read a message has read all before it.
    const passed = state === "read" ? this.messages.slice(0, index + 1).filter((one) => one.isMine) : [this.messages[index]];
    for (const one of passed) {
      if (state === "failed" || ORDER.indexOf(state) > ORDER.indexOf(one.state)) Object.assign(one, { state, reason });
    }
    return true;
  }

  types(who, isTyping) {
    if (isTyping) this.#typing.set(who, Date.now());
    else this.#typing.delete(who);
  }

  get typing() {
    return [...this.#typing].filter(([, since]) => Date.now() - since < TYPING_LASTS).map(([who]) => who);
  }
}
