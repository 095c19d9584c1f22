// Processes, what became of them, and what is measured.
import { html } from "../vendor/preact.js";
import { api } from "../api.js";
import { useStore } from "../store.js";
import { stack } from "../stack.js";
import { Action, clock, Empty, LogLink, Pill } from "../ui/parts.js";
import { Plot } from "../ui/plot.js";

const PLOTS = [["Events handled", "handled", "/s"], ["Lag, at most", "lag", "ms", 100], ["XMPP server", "server_cpu", "% CPU", 10],
  ["Functions", "functions_cpu", "% CPU", 10], ["REST calls, not refused", "calls", "/s"], ["Waiting in queues", "waiting", "", 1]];

export function System() {
  const { state, points } = useStore(stack);
  return html`<section class="plots" aria-label="Measured over the last minutes">${PLOTS.map(([title, name, unit, least]) => html`<div class="card" key=${name}>
      <${Plot} title=${title} unit=${unit} least=${least} kind=${name} points=${points.map((one) => ({ at: one.at, value: one[name] }))} /></div>`)}</section>
    <div class="split system"><section class="card" aria-labelledby="processes-title"><h2 id="processes-title">Processes</h2>
      <div class="scrolled" tabindex="0" role="region" aria-label="Table of processes"><table><thead><tr><th scope="col">Process</th><th scope="col">State</th><th scope="col" class="number">Id</th><th scope="col">Do</th></tr></thead>
      <tbody>${state.processes.map((one) => html`<${Process} key=${one.name} process=${one} bridge=${state.bridge} />`)}</tbody></table></div></section>
    ${state.tenants.length > 0 && html`<section class="card" aria-labelledby="tenants-title"><h2 id="tenants-title">Tenants</h2>
      <div class="scrolled" tabindex="0" role="region" aria-label="Table of tenants"><table><thead><tr><th scope="col">Tenant</th><th scope="col">XMPP server</th></tr></thead>
      <tbody>${state.tenants.map((one) => html`<tr key=${one.domain} data-tenant=${one.domain}><th scope="row">${one.domain}</th><td>${one.cell ?? "none yet"}</td></tr>`)}</tbody></table></div></section>`}
    <section class="card" aria-labelledby="happenings-title"><h2 id="happenings-title">What became of them</h2>
      ${state.happenings.length === 0 ? html`<${Empty} title="Nothing happened">Kill one, and see it come back.<//>`
        : html`<ol class="happenings" aria-live="polite">${state.happenings.map((one) => html`<li key=${one.at + one.process + one.text}><time>${clock(one.at, 1)}</time> <strong>${one.process}</strong> ${one.text}</li>`)}</ol>`}</section></div>`;
}

function Process({ process, bridge }) {
  const { name, what, pid, trouble, isKillable } = process;
  const send = (action) => async () => {
    await api.post("process", { name, action });
    await stack.look();
  };
  const isStopped = trouble?.startsWith("STOPPED");
  return html`<tr data-process=${name} class=${trouble ? "amiss" : ""}><th scope="row">${name}<small>${what}</small></th>
    <td><${Pill} kind=${trouble ? "bad" : "good"}>${trouble ? trouble.split(":")[0].toLowerCase() : "up"}<//>${name === "bridge" && bridge.state && html`<small>${bridge.state}, ${bridge.in} in, ${bridge.out} out</small>`}</td>
    <td class="number">${pid ?? "–"}</td>
    <td class="doing"><${Action} kind="small danger" work=${send("kill")} disabled=${!pid || !isKillable} aria-label=${`Kill ${name}`} title=${isKillable ? "" : "It would lose all queues and the ledger"}>Kill<//>
      <${Action} kind="small" work=${send(isStopped ? "continue" : "stop")} disabled=${!pid} aria-label=${`${isStopped ? "Continue" : "Stop"} ${name}`}>${isStopped ? "Continue" : "Stop"}<//>
      ${name !== "epmd" && html`<${LogLink} name=${`:${name}`} />`}</td></tr>`;
}
