// Log lines that name a user, a room, an event or a trace; or the last ones of a program.
import { html, useEffect, useState } from "../vendor/preact.js";
import { api } from "../api.js";
import { usePolled } from "../store.js";
import { clock, Empty, Loaded } from "../ui/parts.js";

const PROGRAMS = ["functions", "bridge", "poller", "prosody", "rabbitmq"];

const go = (name) => { location.hash = `#/logs/${encodeURIComponent(name)}`; };

export function Logs({ argument }) {
  const [name, setName] = useState("");
  useEffect(() => setName(argument.startsWith(":") ? "" : argument), [argument]);
  const submit = (event) => {
    event.preventDefault();
    if (name.trim()) go(name.trim());
  };
  return html`<section class="card logs" aria-labelledby="logs-title"><h2 id="logs-title">Log lines</h2>
    <form class="log-search" onSubmit=${submit}><label for="log-name">That name</label>
      <input id="log-name" type="search" value=${name} onInput=${(event) => setName(event.target.value)} placeholder="a user, a room, an event's id, a trace id" spellcheck=${false} autocomplete="off" />
      <button type="submit" class="button primary">Find</button></form>
    <div class="log-programs" role="group" aria-label="The last lines of a program">${PROGRAMS.map((one) => html`<a key=${one} class="chip" href=${`#/logs/:${one}`} aria-current=${argument === `:${one}` ? "true" : undefined}>${one}</a>`)}</div>
    ${argument ? html`<${Lines} key=${argument} name=${argument} />` : html`<${Empty} title="Nothing is looked for">Write a name, or choose a program. Rooms, users, events and processes elsewhere lead here, too.<//>`}</section>`;
}

function Lines({ name }) {
  const query = name.startsWith(":") ? { source: name.slice(1) } : { name };
  const lines = usePolled(() => api.get("logs", query), 2500, [name]);
  return html`<${Loaded} result=${lines} what="log lines">${(list) => list.length === 0 ? html`<${Empty} title="No line">No log names ${name}. The level decides what is logged: scripts/run --log-level silly.<//>`
    : html`<p class="hint" role="status">${list.length} lines, newest first; times since the first line</p>
      <div class="scrolled" tabindex="0" role="region" aria-label="Table of lines"><table class="lines"><thead class="hidden"><tr><th scope="col">Time</th><th scope="col">Since</th><th scope="col">Program</th><th scope="col">Level</th><th scope="col">Line</th></tr></thead>
      <tbody>${[...list].reverse().map((one, index) => html`<tr key=${list.length - index} class="line ${one.level}"><td><time>${clock(one.at, one.isExact ? 3 : 0)}</time></td>
        <td class="number">+${(one.at - list[0].at).toFixed(3)}</td><td>${one.source}</td><td><span class="level ${one.level}">${one.level}</span></td>
        <td class="line-text">${one.message} <span class="line-details">${one.details}</span> <${Links} line=${one} current=${name} /></td></tr>`)}</tbody></table></div>`}<//>`;
}

/** What the line leads to. */
function Links({ line, current }) {
  const found = Object.entries({ room: line.room, event: line.event, trace: line.trace }).filter(([, id]) => id && id !== current);
  return found.map(([what, id]) => html`<a key=${what} class="chip" href=${`#/logs/${encodeURIComponent(id)}`} title=${id}>${what}</a>`);
}
