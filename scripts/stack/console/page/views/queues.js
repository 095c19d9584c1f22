// Queues, and dead letters with their way back.
import { html, useState } from "../vendor/preact.js";
import { api } from "../api.js";
import { usePolled, useStore } from "../store.js";
import { stack } from "../stack.js";
import { Action, Button, Empty, Failure, Loaded, LogLink, Pill } from "../ui/parts.js";

const number = (value) => value ?? "–";

export function Queues() {
  const { state, dead } = useStore(stack);
  const letters = usePolled(() => api.get("letters"), 4000, [dead]);
  const [said, setSaid] = useState("");
  const bringBack = (body) => async () => {
    const outcomes = await api.post("redrive", body);
    setSaid(outcomes.length ? outcomes.map((one) => one.text).join("\n") : "Nothing was brought back");
    await stack.look();
  };
  return html`<div class="split queues"><section class="card" aria-labelledby="queues-title"><h2 id="queues-title">Queues</h2>
      ${state.queueTrouble && html`<${Failure}>${state.queueTrouble}<//>`}
      <div class="scrolled" tabindex="0" role="region" aria-label="Table of queues"><table><thead><tr><th scope="col">Queue</th><th scope="col" class="number">Waiting</th><th scope="col" class="number">At work</th><th scope="col" class="number">Dead</th></tr></thead>
      <tbody>${state.queues.map((one) => html`<tr key=${one.name} data-queue=${one.name} class=${one.dead ? "amiss" : ""}><th scope="row">${one.name}</th><td class="number">${number(one.waiting)}</td>
        <td class="number">${number(one.busy)}</td><td class="number">${one.dead ? html`<${Pill} kind="bad">${one.dead}<//>` : number(one.dead)}</td></tr>`)}</tbody></table></div>
      <p class="hint">At work: a function has them, or they wait for another try.</p></section>
    <section class="card" aria-labelledby="letters-title"><div class="ways-head"><h2 id="letters-title">Dead letters</h2><span class="spacer"></span>
      <${Action} work=${bringBack({})} disabled=${!letters.value?.length}>Bring all back<//></div>
      ${said && html`<p class="outcome" role="status">${said}</p>`}
      <${Loaded} result=${letters} what="the dead letters">${(list) => list.length === 0 ? html`<${Empty} title="None">What cannot be handled comes here, with the reason.<//>`
        : html`<ul class="letters">${list.map((one) => html`<${Letter} key=${one.queue + one.id + one.version} letter=${one} bringBack=${bringBack} onSaid=${setSaid} />`)}</ul>`}<//></section></div>`;
}

function Letter({ letter, bringBack, onSaid }) {
  const [isSure, setSure] = useState(false);
  const forget = async () => {
    await api.post("delete", { queue: letter.queue, version: letter.version });
    onSaid(`Deleted ${letter.id}`);
    await stack.look();
  };
  let body = letter.body;
  try { body = JSON.stringify(JSON.parse(letter.body), null, 2); } catch { /* shown as it is */ }
  return html`<li class="letter" data-id=${letter.id}><div class="event-head"><strong>${letter.key || "unknown type"}</strong><span class="event-about">${letter.subject}</span><span class="spacer"></span>
      <${Pill} kind="bad">${letter.code}<//></div>
    <p class="letter-reason">${letter.reason}</p>
    <details><summary>Body</summary><pre tabindex="0">${body}</pre></details>
    <div class="event-foot"><code>${letter.id}</code><span>${letter.queue}</span><span>${letter.age} old</span><span class="spacer"></span><${LogLink} name=${letter.id} />
      <${Action} kind="small" work=${bringBack({ queues: [letter.queue], only: [letter.version] })}>Bring back<//>
      ${isSure ? html`<${Action} kind="small danger" work=${forget}>Delete for good<//>` : html`<${Button} kind="small quiet" onClick=${() => setSure(true)}>Delete<//>`}</div></li>`;
}
