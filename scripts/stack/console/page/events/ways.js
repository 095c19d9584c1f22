// Each event's way, drawn: where it is, and how long each step took.
import { html, useState } from "../vendor/preact.js";
import { useStore } from "../store.js";
import { stack } from "../stack.js";
import { clock, Empty, LogLink, Pill, span } from "../ui/parts.js";

const STATIONS = [["published", "broker"], ["bridge", "bridge"], ["queue", "queue"], ["taken", "poller"], ["function", "function"], ["room", "room"]];
const KINDS = { done: "good", dead: "bad", "comes again": "bad", "under way": "busy" };
const SHOWN = 60;

/** The steps that were seen, with the time since the one before. */
function steps(event) {
  const seen = STATIONS.filter(([name]) => event.times[name] !== undefined);
  return seen.map(([name, title], index) => ({ name, title, at: event.times[name],
    took: index === 0 ? 0 : Math.max(0, event.times[name] - event.times[seen[index - 1][0]]) }));
}

/** Drawn to scale, roughly: longer steps are longer, and the shortest can still be read. */
function Line({ event }) {
  const list = steps(event);
  const slowest = Math.max(...list.map((one) => one.took));
  const isOver = event.times.room !== undefined;
  const ahead = STATIONS.filter(([name]) => event.times[name] === undefined && !isOver && STATIONS.findIndex(([one]) => one === name) > STATIONS.findIndex(([one]) => one === list.at(-1)?.name));
  const width = (took) => `${1 + 3 * Math.sqrt(slowest > 0 ? took / slowest : 0)} 1 0`;
  return html`<ol class="way" aria-label="Its way">${list.map((one, index) => html`<li key=${one.name} class="step ${index > 0 && one.took === slowest ? "slowest" : ""}"
      style=${{ flex: index === 0 ? "0 0 auto" : width(one.took) }}>
      ${index > 0 && html`<span class="step-line"><span class="step-took">${span(one.took)}</span></span>`}
      <span class="step-stop ${one.name === "room" ? event.outcome : ""}"></span><span class="step-name">${one.name === "room" && event.outcome === "dead" ? "dead letter" : one.title}</span></li>`)}
    ${ahead.map(([name, title]) => html`<li key=${name} class="step ahead" style=${{ flex: "1 1 0" }}><span class="step-line"></span><span class="step-stop"></span><span class="step-name">${title}</span></li>`)}</ol>`;
}

function freshness(event) {
  if (event.stale === null || event.outcome === "dead") return "";
  if (event.stale === 0) return "not stale";
  return event.stale >= event.batch_size ? "stale" : `${event.stale} of its batch stale`;
}

function Way({ event, onBatch }) {
  const list = steps(event);
  const total = list.length > 1 ? list.at(-1).at - list[0].at : undefined;
  const stale = freshness(event);
  return html`<li class="card event" data-id=${event.id} data-outcome=${event.outcome}>
    <div class="event-head"><strong>${event.key || "unknown type"}</strong><span class="event-about">${event.room}</span><span class="spacer"></span>
      ${event.batch_size > 0 && html`<button type="button" class="pill link" onClick=${() => onBatch(event.batch)} title=${`Show the batch: invocation ${event.batch}`}>batch of ${event.batch_size}</button>`}
      ${stale && html`<${Pill} kind=${event.stale > 0 ? "stale" : ""} title="Whether a newer event had overtaken it">${stale}<//>`}
      ${event.attempts > 1 && html`<${Pill} kind="bad">attempt ${event.attempts}<//>`}
      <${Pill} kind=${KINDS[event.outcome]}>${event.outcome}<//></div>
    <${Line} event=${event} />
    <div class="event-foot"><time>${clock(list[0]?.at ?? 0, 3)}</time>${total !== undefined && html`<span>${span(total)} in all</span>`}
      <code>${event.id}</code><span class="spacer"></span><${LogLink} name=${event.id} /></div>
    ${event.notes.map((note) => html`<p key=${note} class="event-note">${note}</p>`)}</li>`;
}

export function Ways() {
  const { events } = useStore(stack);
  const [filter, setFilter] = useState("");
  const [batch, setBatch] = useState("");
  const all = [...events.values()].reverse();
  const found = all.filter((one) => (!batch || one.batch === batch) && [one.id, one.key, one.room, one.outcome].join(" ").includes(filter));
  return html`<section class="ways" aria-labelledby="ways-title"><div class="ways-head"><h2 id="ways-title">On their way</h2>
      <label class="hidden" for="way-filter">Only with this text</label>
      <input id="way-filter" type="search" placeholder="Type, room, id, outcome" value=${filter} onInput=${(event) => setFilter(event.target.value)} />
      ${batch && html`<button type="button" class="pill link" onClick=${() => setBatch("")}>one batch ×<span class="hidden"> show all again</span></button>`}</div>
    ${found.length === 0 ? html`<${Empty} title=${all.length ? "None like that" : "No event yet"}>${all.length ? "Change the filter." : "Publish one, or start the random traffic."}<//>`
      : html`<ol class="event-list">${found.slice(0, SHOWN).map((one) => html`<${Way} key=${`${one.id} ${one.version}`} event=${one} onBatch=${setBatch} />`)}</ol>`}
    ${found.length > SHOWN && html`<p class="hint">${found.length - SHOWN} earlier ones are not drawn.</p>`}</section>`;
}
