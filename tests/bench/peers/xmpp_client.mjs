// A room's members one by one, as users of @xmpp/client write it.
//
// Reads commands, a line of JSON each: {op, room, members, window}; answers with {members, seconds},
// until all are members and until all are invited as well, or {error}. `window` is how many affiliations are in flight;
// 1 awaits each.

import readline from "node:readline";
import { client, xml } from "@xmpp/client";

const OWNER = "http://jabber.org/protocol/muc#owner";
const ADMIN = "http://jabber.org/protocol/muc#admin";
const { PEER_URL, PEER_JID, PEER_PASSWORD } = process.env;
const [username, domain] = PEER_JID.split("@");

const xmpp = client({ service: PEER_URL, domain, username, password: PEER_PASSWORD });
xmpp.on("error", (error) => console.error(error));

const field = (name, value) => xml("field", { var: name }, xml("value", {}, value));

async function create(room) {
  const entered = new Promise((resolve) => {
    const seen = (stanza) => {
      if (stanza.is("presence") && stanza.attrs.from === `${room}/peer`) {
        xmpp.off("stanza", seen);
        resolve();
      }
    };
    xmpp.on("stanza", seen);
  });
  await xmpp.send(xml("presence", { to: `${room}/peer` }, xml("x", "http://jabber.org/protocol/muc")));
  await entered;
  const form = xml("x", { xmlns: "jabber:x:data", type: "submit" },
    field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"),
    field("muc#roomconfig_persistentroom", "1"), field("muc#roomconfig_membersonly", "1"),
    field("muc#roomconfig_publicroom", "0"));
  await xmpp.iqCaller.request(xml("iq", { type: "set", to: room }, xml("query", OWNER, form)), 600_000);
  await xmpp.send(xml("presence", { to: `${room}/peer`, type: "unavailable" }));
}

function affiliate(room, jid) {
  const query = xml("query", ADMIN, xml("item", { affiliation: "member", jid }));
  return xmpp.iqCaller.request(xml("iq", { type: "set", to: room }, query), 600_000);
}

async function add(room, members, window) {
  const rest = members.values();
  const worker = async () => {
    for (const jid of rest) await affiliate(room, jid);
  };
  await Promise.all(Array.from({ length: Math.min(window, members.length) }, worker));
}

async function invite(room, members) {
  for (const to of members) {
    await xmpp.send(xml("message", { to }, xml("x", { xmlns: "jabber:x:conference", jid: room, reason: "usersGroup" })));
  }
  // Answered after them: the server handles a session's stanzas in order.
  await xmpp.iqCaller.request(xml("iq", { type: "get", to: domain }, xml("ping", "urn:xmpp:ping")), 600_000);
}

// As somebody would who handles one event after the other: affiliation, then invitation.
async function join(room, members, window) {
  const rest = members.values();
  const worker = async () => {
    for (const jid of rest) {
      await affiliate(room, jid);
      await xmpp.send(xml("message", { to: jid }, xml("x", { xmlns: "jabber:x:conference", jid: room, reason: "usersGroup" })));
    }
  };
  await Promise.all(Array.from({ length: Math.min(window, members.length) }, worker));
  await invite(room, []);
}

async function run({ op, room, members, window }) {
  const begin = process.hrtime.bigint();
  const elapsed = () => Number(process.hrtime.bigint() - begin) / 1e9;
  let there;
  if (op === "group") {
    await create(room);
    await add(room, members, window);
    there = elapsed();
    await invite(room, members);
  } else {
    await join(room, members, window);
  }
  return { members: there ?? elapsed(), seconds: elapsed() };
}

await xmpp.start();
console.log(JSON.stringify({ ready: true }));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const answer = await run(JSON.parse(line)).catch((error) => ({ error: String(error) }));
  console.log(JSON.stringify(answer));
}
await xmpp.stop();
