// A sample event, edited and sent: once, twice, a hundred times, or in a sequence.
import { html, useState } from "../vendor/preact.js";
import { api } from "../api.js";
import { usePolled, useStore } from "../store.js";
import { stack } from "../stack.js";
import { Action, Button, Empty, Failure, Loaded } from "../ui/parts.js";
import { draft } from "./draft.js";
import { isOtherOrder, shuffled } from "./order.js";

const DAY = 86_400_000;

export function Publish() {
  const samples = usePolled(() => api.get("samples"), DAY);
  return html`<section class="card publish" aria-labelledby="publish-title"><h2 id="publish-title">Publish</h2>
    <${Loaded} result=${samples} what="the samples">${(list) => html`<${Editor} samples=${list} />`}<//>
    <${Traffic} /></section>`;
}

/** What is wrong with a body, for people; events may be wrong on purpose. */
function complaint(body) {
  try {
    JSON.parse(body);
    return "";
  } catch (error) {
    return `${error.message}: it can be sent all the same, and becomes a dead letter`;
  }
}

function Editor({ samples }) {
  useStore(draft);
  if (!draft.body) draft.choose(samples.find((one) => one.name === "users-group-created.cloudevent") ?? samples[0]);
  const { key, body, name, sequence, sent } = draft;
  const wrong = complaint(body);
  const send = (options) => async () => draft.note(await api.post("publish", { events: [{ key, body, ...options }] }));
  const sendAll = (list) => async () => draft.note(await api.post("publish", { events: list }));
  const kinds = { cloudevent: "CloudEvents", bare: "Bare payloads" };
  return html`<div class="fields">
      <label for="sample">Sample</label>
      <select id="sample" value=${name} onChange=${(event) => draft.choose(samples.find((one) => one.name === event.target.value))}>
        ${Object.entries(kinds).map(([kind, title]) => html`<optgroup key=${kind} label=${title}>${samples.filter((one) => one.name.endsWith(`.${kind}`)).map((one) =>
          html`<option key=${one.name} value=${one.name} selected=${one.name === name}>${one.key}</option>`)}</optgroup>`)}</select>
      <label for="routing-key">Routing key</label>
      <input id="routing-key" value=${key} onInput=${(event) => draft.set({ key: event.target.value })} spellcheck=${false} autocomplete="off" />
      <label for="body">Event</label>
      <textarea id="body" rows="14" spellcheck=${false} value=${body} aria-describedby="body-hint" onInput=${(event) => draft.set({ body: event.target.value })}></textarea>
      <p id="body-hint" class="hint ${wrong ? "wrong" : ""}">${wrong || "Each gets a new id. {n} stands for the number of a copy: \"team-{n}\"."}</p></div>
    <div class="buttons"><${Action} kind="primary" work=${send({})}>Send once<//>
      <${Action} work=${send({ times: 2 })} title="The same id both times: a duplicate">Send twice<//>
      <${Action} work=${send({ count: 100 })} title="A hundred copies, each with an id of its own">Send 100<//>
      <${Button} onClick=${() => draft.add()}>Add to sequence<//></div>
    <p class="hint" role="status">${sent}</p>
    <h3>Sequence</h3>
    ${sequence.length === 0 ? html`<${Empty} title="Empty">Add some events, and send them in this or another order.<//>`
      : html`<ol class="sequence">${sequence.map((one, index) => html`<li key=${one.number}><span>${one.key}</span>
          <button type="button" class="entry-remove" aria-label=${`Take ${one.key}, number ${index + 1}, out`} onClick=${() => draft.remove(one)}>×</button></li>`)}</ol>`}
    <div class="buttons"><${Action} work=${sendAll(sequence)} disabled=${sequence.length === 0}>Send in order<//>
      <${Action} work=${async () => sendAll(shuffled(sequence))()} disabled=${!isOtherOrder(sequence)}>Send in another order<//>
      <${Button} kind="quiet" onClick=${() => draft.set({ sequence: [] })} disabled=${sequence.length === 0}>Empty it<//></div>`;
}

function Traffic() {
  const { state } = useStore(stack);
  const { isOn, count, trouble } = state.traffic;
  const change = async () => {
    await api.post("traffic", { isOn: !isOn });
    await stack.look();
  };
  return html`<h3>Random traffic</h3><div class="buttons"><${Action} kind="toggle" work=${change} aria-pressed=${isOn}>${isOn ? "Stop traffic" : "Start traffic"}<//>
    <span class="hint">${count > 0 ? `${count} events so far, in six groups` : "Creations, joins, leaves and ends, in six groups"}</span></div>
    ${trouble && html`<${Failure}>${trouble}<//>`}`;
}
